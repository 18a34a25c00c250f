"""What a task supplies; everything else is shared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.costs.latency import NetworkParts
from fewshot_core.costs.table import CostTable
from fewshot_core.data import Batch, ImageData, ImageShape
from fewshot_core.description import Description
from fewshot_core.errors import RecipeError, RegionError
from fewshot_core.metrics import Metric
from fewshot_core.recipe.fitting import Fitting
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.recipe.unread import Unread
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.supernet import Supernet
from fewshot_core.supernet.pretrained import WeightsReport
from fewshot_core.training.loop import Watch
from fewshot_core.training.objective import Objective, Scorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fewshot_core.contexts import ExportContext, InheritedFacts, Moments, PictureContext


class TaskDefaults:
    """What a task may say besides, each with what holds where it says nothing."""

    generates: bool = False
    """Whether networks make images. Their metrics compare these with all images of a part, so that
    ``evaluator.images`` says nothing."""

    normalisation: tuple[float, float] | None = None
    """Mean and deviation of pixels in [0, 1] that networks see; None: of the training images."""

    published: Mapping[str, str] = MappingProxyType({})
    """Addresses of published weights for the task's supernets, by name."""

    memory_setting: str = "batch_size"
    """The setting of a training whose half is advised where the memory of a device is full."""

    drawing_key: str = ""
    """How the picture of an architecture is read, a sentence or two; empty: it says so itself."""

    # -- recipes -----------------------------------------------------------------------------

    def check_recipe(self, recipe: Recipe) -> Iterable[str]:
        """What is wrong with the task's own sections and with what it cannot combine.

        One line each, as soon as a recipe is read; :meth:`Task.space` may rely on it.
        """
        return ()

    def find_unread(self, recipe: Recipe) -> Iterable[Unread]:
        """Settings that the task's trainings and scores would not read; giving one is an error."""
        return ()

    def find_inputs(self, recipe: Recipe) -> Mapping[str, Path]:
        """Files that the task reads, by the setting that names them.

        A run notices when their content is another.
        """
        return {}

    def fit(self, fitting: Fitting) -> None:
        """Choose settings that fit the images of a user; by default none.

        Called before a run that looks at its images (``data.look``). It is a function of
        ``fitting.facts`` and ``fitting.given`` alone, so that every process comes to the same.
        Settings that are given are kept: ``fitting.choose`` sees to that.
        """

    def check_measurable(self, recipe: Recipe, data: ImageData, accelerator: Accelerator) -> None:
        """Find out before the first step whether networks can be scored at the end.

        Every process calls it.

        Raises:
            FewshotError: They cannot.
        """

    # -- words and pictures ------------------------------------------------------------------

    def name_metric(self, metric: Metric, recipe: Recipe, part: str) -> str:
        """A metric as tables name it.

        Args:
            metric: One of the description's.
            recipe: The settings of the run.
            part: ``validation`` for scores of a search, ``test`` for what was retrained.
        """
        return metric.text or metric.name

    def draw(self, space: SearchSpace, architecture: Architecture) -> str:
        """A picture of an architecture of the space as SVG text; by default its choices in words.

        Text has the colour of what surrounds it, so that dark pages can show it.
        """
        lines = [f"{name}: {choice}" for name, choice in space.choices(architecture).items()]
        texts = [
            f'<text x="16" y="{24 * row}" fill="currentColor">{escape(line)}</text>'
            for row, line in enumerate(lines, start=1)
        ]
        size = f'width="{max(map(len, lines)) * 9 + 32}" height="{24 * len(lines) + 16}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(texts)}</svg>'

    def pictures(self, session: Any) -> Iterable[tuple[str, str, Figure]]:
        """Name, caption and figure of further pictures for the report."""
        return ()

    def moments(self, context: PictureContext) -> Moments | None:
        """What a network made along its training, for the report; by default nothing."""
        return None

    # -- pretrained supernets ----------------------------------------------------------------

    def find_pretrained(self, recipe: Recipe) -> Mapping[str, str]:
        """Those of :attr:`published` that a recipe may name.

        Raises:
            RecipeError: Its supernets take no weights, as by default.
        """
        raise RecipeError(
            f"supernet.weights cannot be used with task={recipe.task}",
            fix="leave supernet.weights out",
        )

    def load_pretrained(self, supernet: Any, weights: Mapping[str, Tensor]) -> WeightsReport:
        """Fill a supernet of the task, in place, and account for every tensor.

        Args:
            supernet: One that :meth:`Task.supernet` has made.
            weights: The tensors of a file by name.

        Raises:
            RecipeError: They do not fit, or the task takes none, as by default.
        """
        raise RecipeError("this task's supernets take no pretrained weights")

    def start_from_stock(
        self, network: nn.Module, model: nn.Module, recipe: Recipe
    ) -> WeightsReport:
        """Fill a network of the task, in place, from a stock model of timm where the two agree.

        Args:
            network: One that :meth:`Task.network` has made.
            model: The model of ``retrain.start``, with its weights.
            recipe: The settings of the run.

        Returns:
            What became of every tensor.

        Raises:
            RecipeError: The model is of another family or nothing of it fits; or no stock model is
                like the task's networks, as by default.
        """
        raise RecipeError(
            f"retrain.start={recipe.retrain.start} cannot be used with task={recipe.task}, "
            "whose networks are like no stock model",
            fix="retrain.start=scratch or inherited",
        )

    # -- trainings ---------------------------------------------------------------------------

    def start_from_supernet(
        self, network: nn.Module, inherited: nn.Module, supernet: Supernet
    ) -> None:
        """Fill a network that is to be fine-tuned, in place, with the weights of its supernet.

        By default what :meth:`result` hands over gets them, and what serves the training alone
        keeps its random ones.

        Args:
            network: One that :meth:`network` has made.
            inherited: What :meth:`result` would hand over of such a network, with the weights of
                the supernet and batch-norm statistics of its own.
            supernet: The supernet of its region, for what else it has.

        Raises:
            RegionError: The network lacks parts that have weights.
        """
        found = network.load_state_dict(inherited.state_dict(), strict=False)
        if found.unexpected_keys:
            raise RegionError(
                "the network that is trained has other parts than its supernet's",
                found=found.unexpected_keys[0],
                fix="retrain.start=scratch",
            )

    def watch(
        self, recipe: Recipe, data: ImageData, accelerator: Accelerator, folder: Path
    ) -> Watch | None:
        """What looks at a retraining at each of its checkpoints.

        Args:
            recipe: The settings of the run.
            data: The images.
            accelerator: What trainings run on.
            folder: Where the task may keep what it needs for scores.
        """
        return None

    def watch_supernet(
        self, recipe: Recipe, region: Region, accelerator: Accelerator
    ) -> Watch | None:
        """What looks at the supernet of a region at each checkpoint of its training."""
        return None

    # -- what is handed over -----------------------------------------------------------------

    def latency_parts(self, recipe: Recipe, shape: ImageShape) -> NetworkParts:
        """The parts whose latencies add up to a network's, named as in its cost table.

        Raises:
            RecipeError: The task's networks cannot be taken apart, as by default.
        """
        raise RecipeError(
            f"constraint.latency cannot be used with task={recipe.task}, "
            "which does not say what its networks consist of",
            fix="use constraint.flops or constraint.params",
        )

    def result(self, network: nn.Module) -> nn.Module:
        """What of a trained network is handed over; by default all of it.

        An auxiliary head, say, serves the training alone. Of :meth:`Supernet.extract` it has the
        parts and their names.
        """
        return network

    def export_model(
        self, architecture: Architecture, recipe: Recipe, shape: ImageShape
    ) -> tuple[str, dict[str, Any], Sequence[Path]] | None:
        """How plain timm rebuilds the network.

        Returns:
            The registered model name, its keyword arguments, and the Python files that, joined in
            their order, register it and depend on nothing else of this project. None where the
            network is no timm model, as by default; :meth:`hand_over` then writes the export.
        """
        return None

    def hand_over(self, *arguments: Any) -> None:
        """Write the export of a network that is no timm model.

        Raises:
            RecipeError: The task says neither this nor :meth:`export_model`.
        """
        raise RecipeError("this task's networks cannot be exported")

    def hand_over_inherited(
        self,
        context: ExportContext,
        folder: Path,
        network: nn.Module,
        architecture: Architecture,
        facts: InheritedFacts,
    ) -> None:
        """Write the export of a network that is no timm model and has its supernet's weights.

        Args:
            context: The run, with the sizes of its supernets.
            folder: An empty folder, to be filled.
            network: What :meth:`result` hands over, on the CPU.
            architecture: What it is.
            facts: What its card says.

        Raises:
            RecipeError: The task says neither this nor :meth:`export_model`.
        """
        raise RecipeError(
            "this task's networks cannot be exported with their supernet's weights",
            fix="retrain them, and export without weights=inherited",
        )


class Task(TaskDefaults, ABC):
    """A kind of search: its space, networks, objective and metrics.

    A task is found by name (``fewshot_tasks.NAME.task:TASK``) or by a dotted path
    ``package.module:TASK``. What it may say besides is declared in :class:`TaskDefaults`. A task
    that classifies images derives from
    :class:`fewshot_core.training.classification.ClassificationTask`, which has objective, loss and
    scorer.
    """

    description: Description

    @abstractmethod
    def space(self, recipe: Recipe) -> SearchSpace:
        """The search space of a recipe that :meth:`check_recipe` has nothing against."""

    @abstractmethod
    def supernet(
        self, region: Region, recipe: Recipe, shape: ImageShape, *, partial: int = 1
    ) -> Supernet:
        """A supernet over a region, freshly initialised from torch's generator.

        Sizes in which it may differ from :meth:`network` are read from
        :func:`fewshot_core.description.as_supernet` of the task's section.

        Args:
            region: The region.
            recipe: The settings of the run.
            shape: Channels, size and classes of the images.
            partial: Operations of a mixture see one of so many channels; 1: all of them. What runs
                no mixtures has no use for it.
        """

    @abstractmethod
    def network(self, architecture: Architecture, recipe: Recipe, shape: ImageShape) -> nn.Module:
        """The standalone network of an architecture, freshly initialised."""

    @abstractmethod
    def costs(self, recipe: Recipe, shape: ImageShape) -> CostTable:
        """The cost table of the standalone networks."""

    @abstractmethod
    def objective(
        self, model: nn.Module, settings: TrainingSettings, steps: int, accelerator: Accelerator
    ) -> Objective:
        """The training step for a supernet or a standalone network."""

    @abstractmethod
    def loss(
        self,
        model: nn.Module,
        batch: Batch,
        architecture: Architecture | None,
        accelerator: Accelerator,
    ) -> Tensor:
        """A differentiable loss, a scalar, of an architecture or of a model without one."""

    @abstractmethod
    def scorer(
        self, recipe: Recipe, data: ImageData, part: str, accelerator: Accelerator, folder: Path
    ) -> Scorer:
        """Measures models on the part ``validation`` or ``test``.

        Every process has to ask for it. What it needs to keep goes to ``folder``.
        """
