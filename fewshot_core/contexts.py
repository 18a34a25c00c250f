"""What hooks of a task are given of a run: what they need, and nothing that acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewshot_core.data import ImageShape
from fewshot_core.export.published import Published
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.checkpoint import StageCheckpoint
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
