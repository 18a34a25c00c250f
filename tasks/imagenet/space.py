"""The spaces ``ofa_mbv3``, ``proxyless``, ``nasbench_macro`` and variants; stdlib alone.

A genotype is timm's block strings, blocks separated by a space and stages by ``|``::

    ds_r1_k3_s1_e1_c16_nre | ir_r1_k3_s2_e4_c24_nre ir_r1_k5_s1_e3_c24_nre | ...

Several architectures may stand for one network: choices of blocks beyond a unit's depth do
nothing, and it does not matter which of several equal places a skipped block leaves. The strings
describe the network, hence its canonical architecture; what another one chooses differently follows
behind ``#``.
"""

from __future__ import annotations

import itertools
import json
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fewshot_core.errors import ArchitectureError, RecipeError
from fewshot_core.spaces.space import (
    Architecture,
    Decision,
    Feature,
    Option,
    SearchSpace,
    append_idle,
    read_idle,
)
from fewshot_tasks.imagenet.counting import Counts, network_counts
from fewshot_tasks.imagenet.skeleton import (
    PLAIN,
    Block,
    Skeleton,
    macro_skeleton,
    ofa_skeleton,
    proxyless_skeleton,
)

SKIP = "skip"
KERNELS = (3, 5, 7)
EXPANSIONS = {"ofa_mbv3": (3, 4, 6), "proxyless": (3, 6)}

MACRO = (SKIP, "k3e3", "k5e6")
"""What a layer of NAS-Bench-Macro may be, in the order of the digits of its codes."""

_NUMBERS = re.compile(r"(?:ir|ds)_r1_k(\d{1,3})_s\d_e(\d{1,3})_.*?(?:pg(\d{1,2}))?$")
_STAGE, _BLOCK = " | ", " "


def slot_name(unit: int, slot: int) -> str:
    """Name of a place for a block, both counted from 0: ``unit1_block2``."""
    return f"unit{unit + 1}_block{slot + 1}"


@dataclass(frozen=True)
class MobileSpace(SearchSpace):
    """Networks of units of inverted residual blocks.

    Attributes:
        skeleton: Everything that is not chosen.
        image_size: Pixels that the feature ``mflops`` is about; None: there is no such feature.
    """

    skeleton: Skeleton
    image_size: int | None = None

    # -- what the two kinds of space differ in -----------------------------------------------

    @abstractmethod
    def units(self, architecture: Architecture) -> list[list[tuple[int, Block]]]:
        """The blocks of each unit that the network has: (slot, block)."""

    @abstractmethod
    def of_blocks(self, units: Sequence[Sequence[Block]]) -> Architecture:
        """The canonical architecture of a network with these blocks.

        Raises:
            ArchitectureError: A unit cannot have so many blocks, or none of this kind.
        """

    @abstractmethod
    def slots(self, allowed: Sequence[Sequence[Option]]) -> list[list[list[Block]]]:
        """The blocks that each slot of each unit may hold, given allowed options per decision."""

    # -- networks ------------------------------------------------------------------------------

    def arch_def(self, architecture: Architecture) -> list[list[str]]:
        """timm's description of the network: a list of block strings for each stage."""
        return self.skeleton.stages(
            [unit.block(block, first=slot == 0) for slot, block in blocks]
            for unit, blocks in zip(self.skeleton.units, self.units(architecture), strict=True)
        )

    def of_arch_def(self, arch_def: Sequence[Sequence[str]]) -> Architecture:
        """The canonical architecture of a network that timm's strings describe.

        Raises:
            ArchitectureError: The space has no such network.
        """
        skeleton = self.skeleton
        fixed = skeleton.stages([])
        arch_def = self._fill_up(arch_def, len(fixed))
        start, count = len(skeleton.before), len(skeleton.units) + len(fixed)
        end = start + len(skeleton.units)
        if len(arch_def) != count or [*arch_def[:start], *arch_def[end:]] != fixed:
            raise ArchitectureError(
                f"not a network of space {self.name!r}",
                found=_text(arch_def)[:120],
                allowed=f"{count} stages, with {_text(fixed)} around those that are chosen",
            )
        units = []
        for number, (unit, stage) in enumerate(
            zip(skeleton.units, arch_def[start:end], strict=True), start=1
        ):
            blocks = []
            for place, text in enumerate(stage):
                found = _NUMBERS.match(text)
                usual = PLAIN if text.startswith("cn_") else Block(3, 3)
                block = Block(*(int(n or 1) for n in found.groups())) if found else usual
                if text != unit.block(block, first=place == 0):
                    raise ArchitectureError(
                        f"block {place + 1} of unit {number} is none of space {self.name!r}",
                        found=text[:80],
                        allowed=f"like {unit.block(Block(3, 3), first=place == 0)}",
                    )
                blocks.append(block)
            units.append(blocks)
        return self.of_blocks(units)

    def _fill_up(self, arch_def: Sequence[Sequence[str]], fixed: int) -> Sequence[Sequence[str]]:
        """timm's strings with an empty stage where a unit has no blocks; ``fixed`` stages are not
        chosen."""
        return arch_def

    def genotype(self, architecture: Architecture) -> str:
        return append_idle(self, _text(self.arch_def(architecture)), architecture)

    def parse(self, genotype: str) -> Architecture:
        """Read timm's block strings, in our form or as a JSON list of lists.

        Raises:
            ArchitectureError: The text is no genotype of this space.
        """
        if not isinstance(genotype, str):
            raise ArchitectureError(f"not a genotype of space {self.name!r}", found=genotype)
        text, _, others = genotype.strip().partition("#")
        return read_idle(self, self.of_arch_def(_stages(text.strip())), others)

    def canonical(self, architecture: Architecture) -> Architecture:
        return self.of_blocks(
            [[block for _, block in blocks] for blocks in self.units(architecture)]
        )

    def plain(self, architecture: Architecture) -> Architecture:
        return self.canonical(architecture)

    # -- costs and features --------------------------------------------------------------------

    def parts(self, architecture: Architecture) -> list[tuple[str, Block]]:
        return [
            (names[slot], block)
            for names, blocks in zip(self._slot_names, self.units(architecture), strict=True)
            for slot, block in blocks
        ]

    @cached_property
    def _slot_names(self) -> list[list[str]]:
        return [
            [slot_name(u, s) for s in range(unit.slots)]
            for u, unit in enumerate(self.skeleton.units)
        ]

    def every_slot(self) -> list[list[list[Block]]]:
        """:meth:`slots` of the whole space."""
        return self.slots([decision.options for decision in self.decisions])

    @cached_property
    def _counts(self) -> Counts:
        assert self.image_size is not None
        size = (3, self.image_size, self.image_size)
        return network_counts(self.skeleton, self.every_slot(), size, classes=0)

    def _mflops(self, architecture: Architecture) -> float:
        counts = self._counts
        blocks = sum(counts.options[group][item][1] for group, item in self.parts(architecture))
        return (counts.base[1] + blocks) / 1e6

    def features(self) -> Mapping[str, Feature]:
        """Blocks, blocks left out, sums over blocks of kernel and expansion, and ``mflops``.

        These are multiply-adds in millions for an RGB image, without the linear classifier: a space
        does not know how many classes there are.
        """

        def over_blocks(value: str) -> Feature:
            return lambda a: float(
                sum(getattr(block, value) for blocks in self.units(a) for _, block in blocks)
            )

        places = sum(unit.slots for unit in self.skeleton.units)
        features: dict[str, Feature] = {
            "blocks": lambda a: float(sum(map(len, self.units(a)))),
            "skips": lambda a: float(places - sum(map(len, self.units(a)))),
            "kernels": over_blocks("kernel"),
            "expansions": over_blocks("expansion"),
        }
        if self.image_size is not None:
            features["mflops"] = self._mflops
        return features


@dataclass(frozen=True)
class ElasticSpace(MobileSpace):
    """Per unit a depth, and per block a kernel and an expansion (OFA, Cai et al., ICLR 2020).

    The first ``depth`` blocks of a unit exist.
    """

    @cached_property
    def _places(self) -> list[tuple[int, list[tuple[int, int, int]]]]:
        """For each unit, where its depth lies, and for each slot its kernel and expansion."""
        return [
            (
                self.position(f"unit{u + 1}_depth"),
                [
                    (
                        slot,
                        self.position(f"{slot_name(u, slot)}_kernel"),
                        self.position(f"{slot_name(u, slot)}_expansion"),
                    )
                    for slot in range(unit.slots)
                ],
            )
            for u, unit in enumerate(self.skeleton.units)
        ]

    def units(self, architecture: Architecture) -> list[list[tuple[int, Block]]]:
        c = architecture.choices
        return [
            [(slot, Block(c[k], c[e])) for slot, k, e in slots[: c[depth]]]  # type: ignore[arg-type,index]
            for depth, slots in self._places
        ]

    def of_blocks(self, units: Sequence[Sequence[Block]]) -> Architecture:
        choices: list[Option] = [decision.options[0] for decision in self.decisions]
        for number, ((depth, slots), blocks) in enumerate(
            zip(self._places, units, strict=True), start=1
        ):
            self._choose(choices, depth, len(blocks), f"unit {number} cannot have that depth")
            for (_, k, e), (kernel, expansion, _) in zip(slots, blocks, strict=False):
                self._choose(choices, k, kernel, f"unit {number} has no such kernel")
                self._choose(choices, e, expansion, f"unit {number} has no such expansion")
        return Architecture(self.name, tuple(choices))

    def _choose(self, choices: list[Option], place: int, value: int, problem: str) -> None:
        options = self.decisions[place].options
        if value not in options:
            raise ArchitectureError(problem, found=value, allowed=", ".join(map(str, options)))
        choices[place] = value

    def slots(self, allowed: Sequence[Sequence[Option]]) -> list[list[list[Block]]]:
        return [
            [
                [Block(k, e) for k in allowed[kernel] for e in allowed[expansion]]  # type: ignore[arg-type]
                for _, kernel, expansion in slots[: max(allowed[depth])]  # type: ignore[index]
            ]
            for depth, slots in self._places
        ]

    def kernel_options(self, unit: int, slot: int) -> list[int]:
        """All kernel sizes of a slot, both counted from 0."""
        _, kernel, _ = self._places[unit][1][slot]
        return [int(option) for option in self.decisions[kernel].options]


@dataclass(frozen=True)
class OperationSpace(MobileSpace):
    """Per block one operation, or none (ProxylessNAS, Cai et al., ICLR 2019).

    The first block of a unit changes the width or the resolution. Where it may be skipped all the
    same, a plain convolution takes its place.
    """

    @cached_property
    def _operations(self) -> dict[Option, Block]:
        numbers = itertools.product(range(1, 32), range(1, 32), (1, 2))
        return {operation_name(block): block for block in itertools.starmap(Block, numbers)}

    def may_be_empty(self, unit: int) -> bool:
        """Whether a unit, counted from 0, may have no block at all."""
        return False

    def _block_of(self, unit: int, slot: int, option: Option) -> Block | None:
        """What an option puts into a slot of a unit; None: nothing."""
        if option == SKIP:
            return None if slot or self.may_be_empty(unit) else PLAIN
        return self._operations[option]

    @cached_property
    def _places(self) -> list[range]:
        ends = list(itertools.accumulate(unit.slots for unit in self.skeleton.units))
        return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def units(self, architecture: Architecture) -> list[list[tuple[int, Block]]]:
        found = []
        for u, places in enumerate(self._places):
            chosen = [self._block_of(u, s, architecture.choices[i]) for s, i in enumerate(places)]
            found.append([(slot, block) for slot, block in enumerate(chosen) if block is not None])
        return found

    def of_blocks(self, units: Sequence[Sequence[Block]]) -> Architecture:
        choices: list[Option] = []
        for number, (places, blocks) in enumerate(zip(self._places, units, strict=True), start=1):
            least = 0 if self.may_be_empty(number - 1) else 1
            if not least <= len(blocks) <= len(places):
                raise ArchitectureError(
                    f"unit {number} cannot have {len(blocks)} blocks",
                    allowed=f"{least} to {len(places)}",
                )
            for place, block in itertools.zip_longest(places, blocks):
                name = SKIP if block in (None, PLAIN) else operation_name(block)
                options = self.decisions[place].options
                if name not in options:
                    raise ArchitectureError(
                        f"unit {number} has no such operation",
                        found=name,
                        allowed=", ".join(map(str, options)),
                    )
                choices.append(name)
        return Architecture(self.name, tuple(choices))

    def slots(self, allowed: Sequence[Sequence[Option]]) -> list[list[list[Block]]]:
        return [
            [
                [block for o in allowed[i] if (block := self._block_of(u, slot, o)) is not None]
                for slot, i in enumerate(places)
            ]
            for u, places in enumerate(self._places)
        ]


@dataclass(frozen=True)
class MacroSpace(OperationSpace):
    """NAS-Bench-Macro: eight layers, each skipped, small or large; a genotype is its code.

    A code has a digit for each layer: 0 identity, 1 kernel 3 and expansion 3, 2 kernel 5 and
    expansion 6.
    """

    def genotype(self, architecture: Architecture) -> str:
        return "".join(str(place) for place in self.encode(architecture))

    def parse(self, genotype: str) -> Architecture:
        """Read a code, or timm's block strings.

        Raises:
            ArchitectureError: The text is neither.
        """
        if not isinstance(genotype, str) or "_" in genotype:
            return super().parse(genotype)
        digits, count = genotype.strip(), len(self.decisions)
        options = len(MACRO)
        if len(digits) != count or not set(digits) <= set("0123456789"[:options]):
            raise ArchitectureError(
                f"not a code of space {self.name!r}",
                found=digits[:80],
                allowed=f"{count} digits from 0 to {options - 1}",
            )
        return Architecture(self.name, tuple(MACRO[int(digit)] for digit in digits))


def operation_name(block: Block) -> str:
    """Name of an operation: ``k5e6``, ``k3e1g2``."""
    kernel, expansion, groups = block
    return f"k{kernel}e{expansion}" + (f"g{groups}" if groups > 1 else "")


def ofa_mbv3(
    skeleton: Skeleton | None = None,
    *,
    depths: Sequence[int] = (2, 3, 4),
    kernels: Sequence[int] = KERNELS,
    expansions: Sequence[int] = EXPANSIONS["ofa_mbv3"],
    image_size: int | None = None,
) -> ElasticSpace:
    """The OFA-MobileNetV3 space: with its defaults 2.2e19 networks for each resolution.

    Raises:
        RecipeError: A list of options cannot be used.
    """
    skeleton = skeleton or ofa_skeleton(1.0)
    _check_options(kernels, expansions)
    slots = min(unit.slots for unit in skeleton.units)
    if not _increasing(depths, 1, slots):
        raise RecipeError(
            "network.depths does not fit", found=list(depths), allowed=f"increasing, 1 to {slots}"
        )
    decisions = []
    for u, unit in enumerate(skeleton.units):
        decisions.append(Decision(f"unit{u + 1}_depth", tuple(depths)))
        for slot in range(unit.slots):
            name = slot_name(u, slot)
            decisions.append(Decision(f"{name}_kernel", tuple(kernels)))
            decisions.append(Decision(f"{name}_expansion", tuple(expansions)))
    return ElasticSpace("ofa_mbv3", tuple(decisions), skeleton, image_size)


def proxyless(
    skeleton: Skeleton | None = None,
    *,
    kernels: Sequence[int] = KERNELS,
    expansions: Sequence[int] = EXPANSIONS["proxyless"],
    image_size: int | None = None,
) -> OperationSpace:
    """The ProxylessNAS space: with its defaults 6^6 x 7^15 = 2.2e17 architectures.

    Raises:
        RecipeError: A list of options cannot be used.
    """
    skeleton = skeleton or proxyless_skeleton(1.0)
    _check_options(kernels, expansions)
    names = tuple(operation_name(Block(*pair)) for pair in itertools.product(kernels, expansions))
    decisions = [
        Decision(slot_name(u, slot), names if slot == 0 else (*names, SKIP))
        for u, unit in enumerate(skeleton.units)
        for slot in range(unit.slots)
    ]
    return OperationSpace("proxyless", tuple(decisions), skeleton, image_size)


def nasbench_macro(
    skeleton: Skeleton | None = None, *, image_size: int | None = None
) -> MacroSpace:
    """The space of NAS-Bench-Macro: 6,561 codes of 3,969 networks."""
    skeleton = skeleton or macro_skeleton()
    decisions = [
        Decision(slot_name(u, slot), MACRO)
        for u, unit in enumerate(skeleton.units)
        for slot in range(unit.slots)
    ]
    return MacroSpace("nasbench_macro", tuple(decisions), skeleton, image_size)


def _check_options(kernels: Sequence[int], expansions: Sequence[int]) -> None:
    for name, values in (("kernels", kernels), ("expansions", expansions)):
        if not _increasing(values, 1, 31):
            raise RecipeError(
                f"network.{name} does not fit", found=list(values), allowed="increasing, 1 to 31"
            )
    if any(kernel % 2 == 0 for kernel in kernels):
        raise RecipeError("network.kernels must be odd", found=list(kernels))


def _increasing(values: Sequence[int], low: int, high: int) -> bool:
    distinct = bool(values) and list(values) == sorted(set(values))
    return distinct and low <= values[0] and values[-1] <= high


def _text(stages: Sequence[Sequence[str]]) -> str:
    return _STAGE.join(_BLOCK.join(stage) for stage in stages)


def _stages(text: str) -> list[list[str]]:
    if not text.startswith("["):
        return [stage.split() for stage in text.split("|")]
    try:
        stages = json.loads(text)
    except (ValueError, RecursionError):  # too long a number is no JSONDecodeError
        stages = None
    nested = isinstance(stages, list) and all(isinstance(stage, list) for stage in stages)
    if not stages or not nested or not all(isinstance(b, str) for s in stages for b in s):
        raise ArchitectureError(
            "not timm's block strings", found=text[:80], allowed="a JSON list of lists of strings"
        )
    return list(stages)
