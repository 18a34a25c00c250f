"""The training of one region's supernet together with its preferences."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from fewshot_core.data import Batch, BatchStream
from fewshot_core.data.images import class_balanced_split
from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.supernets import new_supernet, settings_of
from fewshot_core.pipeline.training import make_stream
from fewshot_core.recipe.schema import TrainingSettings
from fewshot_core.search.differentiable.controller import Controller
from fewshot_core.search.differentiable.objectives import (
    ControllerStep,
    Loss,
    MixtureStep,
    PreferenceStep,
    TwoBatchObjective,
    batches_of,
)
from fewshot_core.search.differentiable.relaxed import RelaxedSupernet
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.paths import PathPolicy, UniformPaths
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_core.training.loop import Stage, steps_for, train
from fewshot_core.training.objective import Objective, learning_rate

REACH = 20.0
"""How far Adam can move a preference: step size times steps.

DARTS takes 50 epochs of 390 steps with 3e-4 (Liu et al., appendix A.1), which is 5.9. In a tenth of
the steps gradients agree less, and with 6 hardly anything is preferred; docs/strategies.md has what
was looked at, and no true accuracy was."""

CONTROLLER_REACH = 0.7
"""The same for the weights of a controller, which act on a choice together: 2,000 steps with the
3.5e-4 of Pham et al. With three times as much every choice was as good as made at the end."""

LARGEST_STEP = 0.1


class Relaxation:
    """The training of one region by the recipe's differentiable strategy."""

    def __init__(self, run: Run, region: Region) -> None:
        self.run, self.region = run, region
        self.method = run.recipe.strategy.name
        self.settings = run.recipe.preferences
        self.seed = derive_seed(run.recipe.seed, "preferences", region.id)
        self.training: TrainingSettings = settings_of(run, region)

    @cached_property
    def steps(self) -> int:
        """Steps of the training: both batches count. Until :attr:`first` there is one."""
        images = len(self.run.images.search_data().train)
        return steps_for(self.training, images, 2 - self._start)

    @property
    def first(self) -> int:
        """The step from which on preferences move."""
        return round(self.steps * self._start)

    @property
    def _start(self) -> float:
        return self.settings.start if self.method == "pcdarts" else 0.0

    @property
    def step_size(self) -> float:
        """Of Adam on the preferences: ``preferences.lr``, or what suits the length."""
        if self.settings.lr is not None:
            return self.settings.lr
        reach = CONTROLLER_REACH if self.method == "enas" else REACH
        return min(LARGEST_STEP, reach / max(1, self.steps - self.first))

    def new(self, parent: Supernet | None = None) -> tuple[RelaxedSupernet, dict[str, Any]]:
        """Fresh preferences, and weights that start from the parent's; notes on them."""
        supernet = new_supernet(self.run, self.region)
        notes: dict[str, Any] = {"region": self.region.id, "size": self.region.size()}
        if parent is not None:
            notes["inherited"] = supernet.inherit_from(parent).to_json()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            enas = self.method == "enas"
            model = RelaxedSupernet(
                supernet,
                normalise_places=self.method == "pcdarts",
                controller=Controller(self.region, self.settings.hidden) if enas else None,
            )
        return model, notes

    def trained(self, parent: Supernet | None) -> RelaxedSupernet:
        """Train, continue, or load what is trained."""
        run = self.run
        model, notes = self.new(parent)
        images = run.images.search_data().train
        mine, theirs = class_balanced_split(
            images.labels, self.settings.share, self.seed, images.classes
        )
        seed = derive_seed(self.seed, "others")
        others = make_stream(run, images.subset(theirs), self.training, seed)
        checkpoint = run.folder.checkpoint(self.region)
        state = train(
            Stage(
                f"supernet {self.region.id}",
                self.steps,
                derive_seed(run.recipe.seed, "training", self.region.id),
                run.recipe.checkpoint_steps,
            ),
            model,
            lambda prepared: self._objective(model, others),
            make_stream(run, images.subset(mine), self.training, self.seed),
            self.paths(model),
            checkpoint,
            run.worker,
            run.console,
            batches=lambda step: batches_of(step, self.first),
            stop=run.stop,
        )
        if not state.notes:
            checkpoint.annotate(notes)
        run.console.print(
            f"supernet {self.region.id}: {state.images:,} images seen, {state.seconds:.0f} s"
        )
        return model

    def paths(self, model: RelaxedSupernet) -> PathPolicy | None:
        """What the weights are trained on; None: the mixture."""
        if self.method == "setn":
            return UniformPaths(self.region)
        if model.controller is not None:
            return ControllerPaths(model.controller)
        return None

    def _objective(
        self, model: RelaxedSupernet, others: BatchStream | PrefetchedStream
    ) -> Objective:
        run = self.run
        device = run.worker.device

        def batch(step: int) -> Batch:
            images, targets = others.batch(step)
            return images.to(device), targets.to(device)

        def loss(net: nn.Module, batch: Batch, architecture: Architecture | None) -> Tensor:
            return run.task.loss(net, batch, architecture, run.worker)

        return TwoBatchObjective(
            model,
            lambda: run.task.objective(model, self.training, self.steps, run.worker),
            self._step(model, loss),
            batch,
            self.first,
        )

    def _step(self, model: RelaxedSupernet, loss: Loss) -> PreferenceStep:
        settings = replace(self.settings, lr=self.step_size)
        if model.controller is not None:
            region, accepts = self.region, self.run.accepts()
            return ControllerStep(
                model,
                model.controller,
                loss,
                settings,
                lambda a: region.contains(a) and accepts(a),
                self.seed,
            )
        if self.method != "darts" or settings.order == 1:
            return MixtureStep(model, loss, settings)
        warmup = round(self.steps * self.training.warmup_epochs / self.training.epochs)
        return MixtureStep(
            model,
            loss,
            settings,
            lambda step: learning_rate(self.training, step, self.steps, warmup),
        )


class ControllerPaths:
    """The controller's own draws train the weights (Pham et al., section 2.2)."""

    paths_per_step = 1

    def __init__(self, controller: Controller) -> None:
        self.controller, self.region = controller, controller.region

    def draw(self, rng: random.Random) -> list[Architecture]:
        """One architecture, as it prefers; at random where none of its draws is in the bands."""
        generator = torch.Generator().manual_seed(rng.getrandbits(62))
        with torch.no_grad():
            for _ in range(100):
                architecture = self.controller.draw(generator)[0]
                if self.region.contains(architecture):
                    return [architecture]
        return [self.region.sample(rng)]
