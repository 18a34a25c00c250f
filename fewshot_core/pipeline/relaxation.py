"""The training of one region's supernet together with its preferences."""

from __future__ import annotations

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
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.search.differentiable import StepContext, make_method
from fewshot_core.search.preferences.relaxed import RelaxedSupernet
from fewshot_core.search.preferences.steps import Loss, TwoBatchObjective, batches_of
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_core.training.loop import Stage, steps_for, train
from fewshot_core.training.objective import Objective, learning_rate

LARGEST_STEP = 0.1
"""Of Adam on the preferences, however short the training."""


class Relaxation:
    """The training of one region by the recipe's differentiable strategy."""

    def __init__(self, run: Run, region: Region) -> None:
        self.run, self.region = run, region
        self.method = make_method(run.recipe)
        self.settings = run.recipe.preferences
        self.seed = derive_seed(run.recipe.seed, "preferences", region.id)
        self.training: TrainingSettings = settings_of(run, region)

    @cached_property
    def steps(self) -> int:
        """Steps of the training: both batches count. Until :attr:`first` there is one."""
        images = len(self.run.images.search_data().train)
        return steps_for(self.training, images, 2 - self.method.start)

    @property
    def first(self) -> int:
        """The step from which on preferences move."""
        return round(self.steps * self.method.start)

    @property
    def step_size(self) -> float:
        """Of Adam on the preferences: ``preferences.lr``, or what suits the length."""
        if self.settings.lr is not None:
            return self.settings.lr
        return min(LARGEST_STEP, self.method.reach / max(1, self.steps - self.first))

    def new(self, parent: Supernet | None = None) -> tuple[RelaxedSupernet, dict[str, Any]]:
        """Fresh preferences, and weights that start from the parent's; notes on them."""
        supernet = new_supernet(self.run, self.region)
        notes: dict[str, Any] = {"region": self.region.id, "size": self.region.size()}
        if parent is not None:
            notes["inherited"] = supernet.inherit_from(parent).to_json()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = self.method.relax(supernet)
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
            self.method.paths(model),
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
            self.method.make_step(model, self._context(loss)),
            batch,
            self.first,
        )

    def _context(self, loss: Loss) -> StepContext:
        region, accepts = self.region, self.run.accepts()
        warmup = round(self.steps * self.training.warmup_epochs / self.training.epochs)
        return StepContext(
            loss,
            self.step_size,
            lambda step: learning_rate(self.training, step, self.steps, warmup),
            lambda a: region.contains(a) and accepts(a),
            self.seed,
        )
