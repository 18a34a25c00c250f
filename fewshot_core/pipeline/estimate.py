"""What a run will take, from a few steps of each kind of training; printed before it begins."""

from __future__ import annotations

import random
import resource
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.supernets import new_supernet, regions_to_train, settings_of
from fewshot_core.pipeline.training import build_network, make_stream
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.runs.reuse import trainer_of
from fewshot_core.search.ladder import plan_rungs
from fewshot_core.search.loop import sample_feasible
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.paths import PathPolicy, make_paths
from fewshot_core.training.loop import steps_for

STEPS = 2
"""Steps that are timed, after one that is not."""

ESTIMATE = "estimate.json"


@dataclass(frozen=True)
class Estimate:
    """What is expected of a run.

    Attributes:
        supernet_steps: Training steps of all supernets together.
        supernet_seconds: Seconds that one of them takes.
        ladder_steps: Training steps of all networks of the ladder.
        retrain_steps: Training steps of all networks that are retrained.
        retrain_seconds: Seconds that one of them takes.
        device_hours: Hours of all trainings, times the number of processes.
        memory: Peak bytes: of the accelerator, or of this process where there is none.
        device: Where it was measured.
    """

    supernet_steps: int
    supernet_seconds: float
    ladder_steps: int
    retrain_steps: int
    retrain_seconds: float
    device_hours: float
    memory: int
    device: str

    def to_json(self) -> dict[str, Any]:
        """A JSON value."""
        return asdict(self)

    def __str__(self) -> str:
        kind = "CPU" if self.device == "cpu" else "GPU"
        retraining = f"of retraining at {self.retrain_seconds:.2f} s"
        parts = [f"{self.retrain_steps:,} steps {retraining}"]
        if self.ladder_steps:
            parts = [
                f"{self.ladder_steps:,} steps of the ladder and {self.retrain_steps:,} {retraining}"
            ]
        if self.supernet_steps:
            supernets = f"{self.supernet_steps:,} steps of supernets at"
            parts.insert(0, f"{supernets} {self.supernet_seconds:.2f} s")
        return (
            f"estimate: {' and '.join(parts)}, together about {self.device_hours:,.1f} {kind} "
            f"hours without scores and audits; peak memory {self.memory / 2**30:.1f} GiB"
        )


def estimate(run: Run) -> Estimate:
    """Time a few steps. Scores and audits are left out, which is what the sentence says.

    Nothing of the run depends on it: the models are thrown away.
    """
    recipe, root = run.recipe, run.root
    images = len(run.images.search_data().train)
    device = run.worker.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    supernet_steps, supernet_seconds = 0, 0.0
    if run.evaluator.inherits and trainer_of(run.folder.path) is None:
        trained = regions_to_train(run)
        for region in trained:
            settings = settings_of(run, region)
            paths = make_paths(settings.paths, region, run.front_cost)
            supernet_steps += steps_for(settings, images, paths.paths_per_step)
        settings = settings_of(run, trained[0])
        paths = make_paths(settings.paths, trained[0], run.front_cost)
        supernet_seconds = _step(run, new_supernet(run, trained[0]), settings, paths)
    networks = recipe.retrain.seeds * (1 + len(recipe.retrain.compare))
    count = images + (len(run.images.data().validation) if recipe.retrain.use_validation else 0)
    retrain_steps = networks * steps_for(recipe.retrain, count)
    # Networks of a ladder take the steps that retrained ones take, on fewer images.
    ladder_steps = sum(
        rung.networks * steps_for(recipe.retrain.from_scratch(rung.epochs), images)
        for rung in plan_rungs(recipe.ladder)
    )
    rng = random.Random(derive_seed(recipe.seed, "estimate"))
    architecture = sample_feasible(root, run.accepts(), rng)
    network = build_network(run, architecture, 0)
    retrain_seconds = _step(run, network, recipe.retrain, None)
    seconds = supernet_steps * supernet_seconds + (ladder_steps + retrain_steps) * retrain_seconds
    run.worker.free_memory()
    return Estimate(
        supernet_steps=supernet_steps,
        supernet_seconds=supernet_seconds,
        ladder_steps=ladder_steps,
        retrain_steps=retrain_steps,
        retrain_seconds=retrain_seconds,
        device_hours=seconds * run.worker.num_processes / 3600,
        memory=_peak_memory(device),
        device=device.type,
    )


def _step(
    run: Run, model: nn.Module, settings: TrainingSettings, paths: PathPolicy | None
) -> float:
    """Seconds of one training step on this process's share of a batch, data included."""
    device = run.worker.device
    model.to(device).train()
    objective = run.task.objective(model, settings, STEPS + 1, run.worker)
    stream = make_stream(run, run.images.search_data().train, settings, 0)
    rng = random.Random(0)
    began = 0.0
    for step in range(STEPS + 1):
        if step == 1:
            began = time.perf_counter()
        images, targets = stream.batch(step)
        drawn = paths.draw(rng) if paths else [None]
        objective.step((images.to(device), targets.to(device)), drawn, step)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / STEPS


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
