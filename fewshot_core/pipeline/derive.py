"""Derive: learn preferences together with the supernets, and take the architectures they name."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch

from fewshot_core.data import Batch, BatchStream
from fewshot_core.data.images import class_balanced_split
from fewshot_core.differentiable.controller import Controller
from fewshot_core.differentiable.objectives import (
    BATCHES,
    ControllerStep,
    MixtureStep,
    PreferenceStep,
    TwoBatchObjective,
)
from fewshot_core.differentiable.relaxed import RelaxedSupernet, draw, most_likely, scores_of
from fewshot_core.errors import RecipeError
from fewshot_core.objective import Objective, learning_rate
from fewshot_core.paths import PathPolicy, UniformPaths
from fewshot_core.pipeline.session import Session
from fewshot_core.pipeline.supernets import train_regions
from fewshot_core.recipe.schema import TrainingSettings
from fewshot_core.region import Region
from fewshot_core.seeds import derive_seed
from fewshot_core.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_core.training import Stage, steps_for, train


def derive(session: Session) -> list[Architecture]:
    """Train the relaxed supernet of every region; the architectures that the leaves prefer.

    DARTS and PC-DARTS name one per leaf, the likeliest; ENAS and SETN draw
    ``preferences.samples`` per leaf. Which of them is the best is for the evaluator to say.

    Raises:
        RegionError: A region has nothing acceptable.
    """
    leaves = set(session.tree.leaves()) if not session.split_is_learned else None

    def train(region: Region, parent: Supernet | None) -> list[Architecture]:
        relaxation = Relaxation(session, region)
        model = relaxation.trained(parent)
        return relaxation.named(model) if leaves is None or region in leaves else []

    named = train_regions(session, train)
    some = (named.get(leaf, []) for leaf in session.tree.leaves())
    return list(dict.fromkeys(architecture for one in some for architecture in one))


def require_relaxable(session: Session) -> None:
    """Find out before anything is written whether :func:`derive` can run.

    Raises:
        RecipeError: More than one process for a supernet.
        RegionError: The task's supernet cannot run mixtures.
    """
    if session.worker.num_processes > 1:
        raise RecipeError(
            f"strategy={session.recipe.strategy.name} trains a supernet on one process",
            found=f"{session.worker.num_processes} processes for each",
            fix="set processes=regions, or start it with --num_processes 1",
        )
    batch = session.stream(session.search_data.train, session.recipe.supernet, 0).batch(0)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        RelaxedSupernet(session.new_supernet(session.root))(batch[0])


class Relaxation:
    """The training of one region by the recipe's differentiable strategy."""

    def __init__(self, session: Session, region: Region) -> None:
        self.session, self.region = session, region
        self.recipe = session.recipe
        self.method = session.recipe.strategy.name
        self.settings = session.recipe.preferences
        self.seed = derive_seed(session.recipe.seed, "preferences", region.id)
        self.training: TrainingSettings = session.settings_of(region)

    def trained(self, parent: Supernet | None) -> RelaxedSupernet:
        """Train, continue, or load what is trained; the weights start from the parent's."""
        session, settings = self.session, self.training
        supernet = session.new_supernet(self.region)
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
        images = session.search_data.train
        mine, theirs = class_balanced_split(images.labels, self.settings.share, self.seed)
        others = session.stream(images.subset(theirs), settings, derive_seed(self.seed, "others"))
        checkpoint = session.folder.checkpoint(self.region)
        steps = steps_for(settings, len(images), BATCHES)
        state = train(
            Stage(
                f"supernet {self.region.id}",
                steps,
                derive_seed(self.recipe.seed, "training", self.region.id),
                self.recipe.checkpoint_steps,
            ),
            model,
            lambda prepared: self._objective(model, steps, others),
            session.stream(images.subset(mine), settings, self.seed),
            self._paths(model),
            checkpoint,
            session.worker,
            session.console,
            batches=BATCHES,
            stop=session.stop,
        )
        if not state.notes:
            checkpoint.annotate(notes)
        session.console.print(
            f"supernet {self.region.id}: {state.images:,} images seen, {state.seconds:.0f} s"
        )
        return model

    def named(self, model: RelaxedSupernet) -> list[Architecture]:
        """The architectures that a trained model prefers."""
        rng = random.Random(derive_seed(self.seed, "named"))
        accepts = self.session.accepts()
        if self.method == "enas":
            assert model.controller is not None
            return self._of_controller(model.controller, accepts)
        scores = scores_of(model)
        best = most_likely(self.region, scores, accepts, rng)
        if self.method != "setn":
            return [best]
        drawn = draw(self.region, scores, accepts, rng, self.settings.samples)
        return list(dict.fromkeys([best, *drawn]))[: self.settings.samples]

    def _of_controller(
        self, controller: Controller, accepts: Callable[[Architecture], bool]
    ) -> list[Architecture]:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "named"))
        found: dict[Architecture, None] = {}
        with torch.no_grad():
            for _ in range(20 * self.settings.samples):
                architecture, _, _ = controller.draw(generator)
                if self.region.contains(architecture) and accepts(architecture):
                    found.setdefault(architecture)
                if len(found) == self.settings.samples:
                    break
        return list(found)

    def _paths(self, model: RelaxedSupernet) -> PathPolicy | None:
        if self.method == "setn":
            return UniformPaths(self.region)
        if self.method == "enas":
            assert model.controller is not None
            return ControllerPaths(self.region, model.controller)
        return None

    def _objective(self, model: RelaxedSupernet, steps: int, others: BatchStream) -> Objective:
        session, settings = self.session, self.training
        device = session.worker.device

        def batch(step: int) -> Batch:
            images, targets = others.batch(step)
            return images.to(device), targets.to(device)

        def loss(net: torch.nn.Module, batch: Batch, a: Architecture | None) -> torch.Tensor:
            return session.task.loss(net, batch, a, session.worker)

        return TwoBatchObjective(
            model,
            lambda: session.task.objective(model, settings, steps, session.worker),
            self._step(model, loss, steps),
            batch,
        )

    def _step(self, model: RelaxedSupernet, loss: Callable, steps: int) -> PreferenceStep:
        if self.method == "enas":
            assert model.controller is not None
            region, accepts = self.region, self.session.accepts()
            return ControllerStep(
                model,
                model.controller,
                loss,
                self.settings,
                lambda a: region.contains(a) and accepts(a),
                self.seed,
            )
        warmup = round(steps * self.training.warmup_epochs / self.training.epochs)
        first = round(steps * self.settings.start) if self.method == "pcdarts" else 0
        return MixtureStep(
            model,
            loss,
            self.settings,
            lambda step: learning_rate(self.training, step, steps, warmup),
            first,
        )


class ControllerPaths:
    """The controller's own draws train the weights (Pham et al., section 2.2)."""

    paths_per_step = 1

    def __init__(self, region: Region, controller: Controller) -> None:
        self.region, self.controller = region, controller

    def draw(self, rng: random.Random) -> list[Architecture]:
        generator = torch.Generator().manual_seed(rng.getrandbits(62))
        with torch.no_grad():
            for _ in range(100):
                architecture = self.controller.draw(generator)[0]
                if self.region.contains(architecture):
                    return [architecture]
        return [self.region.sample(rng)]
