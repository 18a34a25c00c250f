"""What hooks of a task are given of a run: what they need, and nothing that acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewshot_core.data import ImageShape
from fewshot_core.export.published import Published
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import SearchSpace


@dataclass(frozen=True)
class PictureContext:
    """What pictures of a task for the report are drawn from.

    Attributes:
        recipe: The recipe of the run.
        supernets: The trainings of supernets by the id of their region: the root, then the leaves.
            Not all of them need have run.
        trainings: The first final training of each label.
    """

    recipe: Recipe
    supernets: Mapping[str, StageCheckpoint]
    trainings: Mapping[str, StageCheckpoint]


@dataclass(frozen=True)
class Moment:
    """What a network made at one moment of its training.

    Attributes:
        step: Steps that were done.
        picture: An image file of it.
        text: What was measured then; empty: nothing.
    """

    step: int
    picture: Path
    text: str = ""


@dataclass(frozen=True)
class Moments:
    """What a network made along its training, for the report to go through.

    Attributes:
        caption: A sentence that says what is shown.
        moments: In their order; at least two.
        real: An image file of as many real ones, to stand beside; None: there is none.
        instead_of: Name of a picture of the task that shows no more than this.
    """

    caption: str
    moments: Sequence[Moment]
    real: Path | None = None
    instead_of: str = ""


@dataclass(frozen=True)
class ExportContext:
    """What an export that a task writes itself is about.

    Attributes:
        recipe: The recipe of the run.
        run: The run folder.
        space: The search space.
        shape: Channels, side and classes of the images.
        described: What the run has kept of its images, as ``data.json`` has it.
        environment: The machine and the versions that the run began with.
        published: License and the like, for the card.
    """

    recipe: Recipe
    run: Path
    space: SearchSpace
    shape: ImageShape
    described: Mapping[str, Any]
    environment: Mapping[str, Any]
    published: Published = field(default_factory=Published)


@dataclass(frozen=True)
class InheritedFacts:
    """What the card of a network with its supernet's weights says of it.

    Attributes:
        label: How the network was chosen, as in ``retrain.json``.
        genotype: Its architecture as text.
        region: The region whose supernet has the weights.
        metrics: What it reaches on the validation images; never on test images.
        calibrated: Inputs that batch norm was measured on, for this network alone: training images
            of a classifier, noise vectors of a generator. 0: it was not.
        costs: Its figures, as of :meth:`fewshot_core.costs.table.CostTable.costs`.
    """

    label: str
    genotype: str
    region: Region
    metrics: Mapping[str, float]
    calibrated: int
    costs: Mapping[str, float]
