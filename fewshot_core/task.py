"""What a task supplies; everything else is shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.costs.latency import NetworkParts
from fewshot_core.costs.table import CostTable
from fewshot_core.data import Batch, ImageData, ImageShape
from fewshot_core.recipe.schema import Recipe, TrainingSettings
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.supernet import Supernet
from fewshot_core.training.objective import Objective, Scorer


@runtime_checkable
class Timed(Protocol):
    """A task whose networks can be timed part by part, for ``constraint.latency``."""

    def latency_parts(self, recipe: Recipe, shape: ImageShape) -> NetworkParts:
        """The parts whose latencies add up to a network's, named as in its cost table."""


class Task(Protocol):
    """A kind of search: its space, networks, objective and metric.

    A task is found by name (``tasks.NAME.task:TASK``) or by a dotted path ``package.module:TASK``.

    Beside what is listed here, a task may have

    - ``sections``: dataclasses of further sections of the recipe, by name (``TASK_SECTIONS``)
    - ``scores``: what ``evaluator.score`` may name; accuracy and loss otherwise
    - ``metric_text(recipe, metric, part)``: a metric as tables name it
    - ``generates``: True where networks make images: their metrics compare these with all images of
      a part, and ``evaluator.images`` says nothing
    - ``normalisation``: mean and deviation of pixels in [0, 1] that networks see, in place of those
      of the training images
    - ``check(recipe, data, accelerator)``: raises where a later stage could not do what the recipe
      says, before the first step; every process calls it
    - ``inputs(recipe)``: files that it reads, by the setting that names them, for a run to notice
      when they are others
    - ``watch(recipe, data, accelerator, folder)``: what looks at a retraining at each of its
      checkpoints, see :data:`fewshot_core.training.loop.Watch`; none where it returns None
    - ``watch_supernet(recipe, region, accelerator)``: the same for the supernet of a region
    - ``hand_over(context, folder, network, architecture, result, results)``: writes an export of
      its own in place of a timm folder
    - ``pictures(context)``: name, caption and figure of pictures for the report
    - ``unread(recipe)``: settings that its trainings and scores would not read, each an
      :class:`fewshot_core.recipe.unread.Unread`; giving one is an error
    """

    name: str
    settings: type
    """Dataclass of the recipe section ``network``."""
    metric: str
    """The metric that retrained models are compared by; :mod:`fewshot_core.metrics` knows which way
    is better."""

    def space(self, recipe: Recipe) -> SearchSpace:
        """The search space."""

    def supernet(self, region: Region, recipe: Recipe, shape: ImageShape) -> Supernet:
        """A supernet over a region, freshly initialised from torch's generator."""

    def network(self, architecture: Architecture, recipe: Recipe, shape: ImageShape) -> nn.Module:
        """The standalone network of an architecture, freshly initialised."""

    def costs(self, recipe: Recipe, shape: ImageShape) -> CostTable:
        """The cost table of the recipe's networks."""

    def objective(
        self, model: nn.Module, settings: TrainingSettings, steps: int, accelerator: Accelerator
    ) -> Objective:
        """The training step for a supernet or a standalone network."""

    def loss(
        self,
        model: nn.Module,
        batch: Batch,
        architecture: Architecture | None,
        accelerator: Accelerator,
    ) -> Tensor:
        """A differentiable loss of an architecture, or of a model without one."""

    def scorer(
        self, recipe: Recipe, data: ImageData, part: str, accelerator: Accelerator, folder: Path
    ) -> Scorer:
        """Measures models on the part ``validation`` or ``test``.

        Every process has to ask for it. What it needs to keep goes to ``folder``.
        """

    def draw(self, space: SearchSpace, architecture: Architecture) -> str:
        """A picture of an architecture of the space as SVG text."""

    def export_model(
        self, architecture: Architecture, recipe: Recipe, shape: ImageShape
    ) -> tuple[str, dict[str, Any], Path]:
        """How plain timm rebuilds the network.

        Returns:
            The registered model name, its keyword arguments, and the Python file that registers it
            and depends on nothing of this project.
        """
