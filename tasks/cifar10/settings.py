"""Section ``network`` of a recipe of this task."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.tasks import Description


@dataclass
class CellSettings:
    """Section ``network`` of a recipe of this task."""

    space: str = "nasbench201"
    channels: int = 16  # C: channels of the first stage; the others have 2C and 4C
    cells_per_stage: int = 5  # N: cells in each of the three stages
    supernet_affine: bool = False  # whether batch norm in the supernet's cells has weights


DESCRIPTION = Description(CellSettings)
