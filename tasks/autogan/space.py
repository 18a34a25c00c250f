"""The generators of AutoGAN (Gong et al., ICCV 2019, section 3.1): 373,248 of them at 32 pixels.

A generator is a row of cells, each of which doubles the resolution. Its genotype is AutoGAN's row
of integers, cell after cell: block, normalisation, upsampling, shortcut, and from the second cell
on the earlier cells it reads. ``1,0,1,1,1,0,0,1,1,1,0,1,0,3`` is the generator that the paper
reports.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fewshot_core.errors import ArchitectureError
from fewshot_core.spaces.region import ENUMERABLE, Region
from fewshot_core.spaces.space import Architecture, Decision, Feature, SearchSpace

BLOCKS = ("post", "pre")
"""Both blocks of a cell: normalisation and ReLU behind or before the convolution."""

NORMS = ("none", "batch", "instance")
UPSAMPLINGS = ("bilinear", "nearest", "deconv")
SHORTCUTS = ("none", "add")

SKIPS = {2: ("none", "cell1"), 3: ("none", "cell2", "cell1", "both")}
"""Earlier cells that a cell reads. The place is AutoGAN's integer: its lowest bit stands for the
cell just before, so that 1 is cell 2 and 2 is cell 1."""

MOST_CELLS = 3

Cell = tuple[int, ...]
"""The integers of one cell: four for the first, five for the others."""


@dataclass(frozen=True)
class GeneratorSpace(SearchSpace):
    """Generators of so many cells."""

    cells: int = field(default=MOST_CELLS)

    def of_cells(self, architecture: Architecture) -> tuple[Cell, ...]:
        """AutoGAN's integers, cell by cell."""
        return self._cut_cells(self.encode(architecture))

    def genotype(self, architecture: Architecture) -> str:
        return ",".join(map(str, self.encode(architecture)))

    def parse(self, genotype: str) -> Architecture:
        """Read integers that are separated by commas or spaces, with or without brackets.

        Raises:
            ArchitectureError: Their number is not the space's, or one is out of range.
        """
        words = re.split(r"[\s,]+", str(genotype).strip(" \t[]()"))
        if len(words) != len(self.decisions) or not all(w.isdecimal() for w in words):
            raise ArchitectureError(
                "not a generator",
                found=str(genotype)[:120],
                allowed=f"{len(self.decisions)} integers, such as "
                f"{','.join('0' * len(self.decisions))}",
            )
        choices = []
        for decision, word in zip(self.decisions, words, strict=True):
            if int(word) >= len(decision.options):
                options = ", ".join(f"{i} {o}" for i, o in enumerate(decision.options))
                raise ArchitectureError(f"{decision.name}={word} is out of range", allowed=options)
            choices.append(decision.options[int(word)])
        return Architecture(self.name, tuple(choices))

    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Cell by cell."""
        return self._cut_cells(tuple(decision.name for decision in self.decisions))

    def parts(self, architecture: Architecture) -> Iterator[tuple[str, str]]:
        """One decision alone has no cost: a shortcut costs more in a cell that deconvolves."""
        for number, (block, norm, up, shortcut, *skips) in enumerate(
            self.of_cells(architecture), start=1
        ):
            place = f"cell{number}"
            yield place, f"block {block} norm {norm}"
            yield place, f"upsample {up}"
            if shortcut:
                yield place, f"shortcut {up}"
            if any(skips):
                yield place, f"skips {skips[0]} {up}"

    def features(self) -> Mapping[str, Feature]:
        return {
            "post_blocks": self._counting("_block", "post"),
            "batch_norms": self._counting("_norm", "batch"),
            "norms": self._counting("_norm", "batch", "instance"),
            "deconvs": self._counting("_upsample", "deconv"),
            "shortcuts": self._counting("_shortcut", "add"),
            "skips": self._skips,
        }

    def cells_of(self, region: Region) -> list[set[Cell]]:
        """For each cell, what it is in some generator of a region.

        Exact where the region has no bands or can be enumerated; otherwise all that its options
        allow.
        """
        if region.bands and region.box_size() <= ENUMERABLE:
            found: list[set[Cell]] = [set() for _ in range(self.cells)]
            for member in region.enumerate():
                for place, cell in enumerate(self.of_cells(member)):
                    found[place].add(cell)
            return found
        places = [
            tuple(decision.options.index(option) for option in allowed)
            for decision, allowed in zip(self.decisions, region.allowed, strict=True)
        ]
        return [set(itertools.product(*part)) for part in self._cut_cells(tuple(places))]

    def _cut_cells(self, row: tuple) -> tuple[tuple, ...]:
        ends = [4 + 5 * cell for cell in range(self.cells)]
        return tuple(row[start:end] for start, end in zip([0, *ends], ends, strict=False))

    def _counting(self, suffix: str, *options: str) -> Feature:
        places = [i for i, d in enumerate(self.decisions) if d.name.endswith(suffix)]
        return lambda a: float(sum(a.choices[i] in options for i in places))

    def _skips(self, architecture: Architecture) -> float:
        return float(sum(cell[4].bit_count() for cell in self.of_cells(architecture)[1:]))


def generator_space(cells: int = MOST_CELLS) -> GeneratorSpace:
    """The space of generators of one, two or three cells: 36, 2,592 or 373,248.

    Raises:
        ArchitectureError: Another number of cells.
    """
    if not 1 <= cells <= MOST_CELLS:
        raise ArchitectureError("no such generators", found=f"{cells} cells", allowed="1, 2, 3")
    decisions = []
    for cell in range(1, cells + 1):
        decisions += [
            Decision(f"cell{cell}_block", BLOCKS),
            Decision(f"cell{cell}_norm", NORMS),
            Decision(f"cell{cell}_upsample", UPSAMPLINGS),
            Decision(f"cell{cell}_shortcut", SHORTCUTS),
        ]
        if cell in SKIPS:
            decisions.append(Decision(f"cell{cell}_skips", SKIPS[cell]))
    return GeneratorSpace(f"autogan{cells}", tuple(decisions), cells=cells)
