"""Costs of architectures: measured once with fvcore, then looked up.

A constraint is checked for every architecture a strategy proposes, so a lookup has to cost
microseconds; and a figure that is printed has to equal what fvcore and torch count on the network
that is handed over. A test holds the two against each other.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from fewshot_core.errors import ConstraintError
from fewshot_core.spaces.extremes import extreme
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace

MEASURES = ("params", "flops", "fvcore_flops")
"""What is measured: trainable parameters; multiply-adds of convolutions and linear layers for one
image; fvcore's own total, which also counts batch norm and pooling."""


def measure(network: nn.Module, input_size: tuple[int, ...]) -> dict[str, float]:
    """Parameters and FLOPs of a network for one input of ``input_size``.

    Args:
        network: A module that takes one tensor.
        input_size: Channels, height and width of an image, or what else the network takes.

    FLOPs are multiply-adds of convolutions and linear layers, as papers count them.
    """
    training = network.training
    network.eval()
    parameter = next(network.parameters())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of fvcore when imported and of the tracer, about torch
        from fvcore.nn import FlopCountAnalysis

        logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
        counts = FlopCountAnalysis(network, parameter.new_zeros(1, *input_size))
        counts.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        operators = counts.by_operator()
    network.train(training)
    return {
        "params": float(sum(p.numel() for p in network.parameters())),
        "flops": float(operators["conv"] + operators["linear"]),
        "fvcore_flops": float(sum(operators.values())),
    }


@dataclass(frozen=True)
class CostTable:
    """Costs that add up over the parts of an architecture.

    Attributes:
        space: The space it is about; its ``parts`` name the parts.
        base: Cost of everything that all networks have, by measure.
        options: Additional cost of a part: place, what is there, measure.
    """

    space: SearchSpace
    base: Mapping[str, float]
    options: Mapping[str, Mapping[Any, Mapping[str, float]]]

    @cached_property
    def _rows(self) -> Mapping[tuple[str, Hashable], tuple[float, ...]]:
        return {
            (place, part): tuple(costs.get(name, 0.0) for name in self.base)
            for place, parts in self.options.items()
            for part, costs in parts.items()
        }

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return (*self.base, *(f"connected_{name}" for name in self.base))

    def _sums(self, architecture: Architecture | None) -> list[float]:
        if architecture is None:
            return list(self.base.values())
        rows = map(self._rows.__getitem__, self.space.parts(architecture))
        return list(map(sum, zip(self.base.values(), *rows, strict=True)))

    def total(self, architecture: Architecture | None) -> dict[str, float]:
        """Costs with every chosen operation counted; of the base alone for None."""
        return dict(zip(self.base, self._sums(architecture), strict=True))

    def costs(self, architecture: Architecture) -> dict[str, float]:
        """All figures of an architecture.

        ``params``, ``flops``, ``fvcore_flops`` count every operation, as NAS benchmarks do;
        ``connected_*`` only those on a path from input to output: the network that is trained,
        exported and held against a constraint.
        """
        sums = self._sums(architecture)
        connected = self.space.connected(architecture)
        others = sums if connected is architecture else self._sums(connected)
        return dict(zip(self._names, [*sums, *others], strict=True))

    def cheapest(self, region: Region, measure: str) -> Architecture:
        """An architecture of a region that costs least, bands left aside.

        Exact where each decision has a cheapest option whatever the others are, or can be left out.
        """
        box = Region(region.space, region.allowed)
        return extreme(box, lambda architecture: -self.total(architecture)[measure])

    def with_measure(
        self, name: str, base: float, options: Mapping[str, Mapping[Any, float]]
    ) -> CostTable:
        """The same table with one more measure, which adds up as the others do."""
        more = {
            place: {part: {**costs, name: options[place][part]} for part, costs in parts.items()}
            for place, parts in self.options.items()
        }
        return CostTable(self.space, {**self.base, name: base}, more)

    def to_json(self) -> dict[str, Any]:
        """A JSON value."""
        return {
            "space": self.space.name,
            "base": dict(self.base),
            "options": {
                place: {str(part): dict(costs) for part, costs in parts.items()}
                for place, parts in self.options.items()
            },
        }


@dataclass(frozen=True)
class Limits:
    """Upper limits on the network that is handed over; None: no limit."""

    flops: float | None = None
    params: float | None = None
    latency: float | None = None

    @cached_property
    def given(self) -> tuple[tuple[str, float], ...]:
        """Measures that are limited, with their limits."""
        pairs = (("flops", self.flops), ("params", self.params), ("latency", self.latency))
        return tuple((name, limit) for name, limit in pairs if limit is not None)

    def allow(self, costs: Mapping[str, float]) -> bool:
        """Whether the costs stay within the limits."""
        return all(costs[f"connected_{name}"] <= limit for name, limit in self.given)

    def price(self, costs: Mapping[str, float]) -> tuple[float, ...]:
        """What decides between architectures of equal score, lower first.

        What is limited, in the order of the attributes; then FLOPs, then parameters.
        """
        measures = (*(name for name, _ in self.given), "flops", "params")
        return tuple(costs[f"connected_{name}"] for name in measures)

    def excess(self, costs: Mapping[str, float]) -> float:
        """By how much the limits are exceeded, as shares of each, added up; 0 where they hold."""
        return sum(max(0.0, costs[f"connected_{name}"] / limit - 1) for name, limit in self.given)

    def __str__(self) -> str:
        return ", ".join(f"{name} <= {_readable(name, limit)}" for name, limit in self.given)


def _readable(measure: str, value: float) -> str:
    return f"{value:.4g} ms" if measure == "latency" else f"{value:,.0f}"


def require_feasible(region: Region, table: CostTable, limits: Limits) -> None:
    """Raise unless the cheapest architecture of the region satisfies each limit.

    Raises:
        ConstraintError: The limit and the smallest cost there is.
    """
    for name, limit in limits.given:
        least = table.total(table.cheapest(region, name))[name]
        if least > limit:
            enough = f"{least * 1.001:.4g}" if name == "latency" else str(math.ceil(least))
            raise ConstraintError(
                f"constraint.{name}={_readable(name, limit)} cannot be met",
                found=f"the cheapest architecture has {_readable(name, least)}",
                fix=f"raise constraint.{name} to at least {enough}, or make the network "
                "section of the recipe smaller",
            )


@dataclass(frozen=True)
class Constraint:
    """The limits as a predicate over architectures.

    Attributes:
        table: Costs of architectures.
        limits: What they may cost.
        refused: Says of which architectures nothing is wanted, whatever they cost.
    """

    table: CostTable
    limits: Limits
    refused: Callable[[Architecture], bool] = lambda architecture: False

    def __call__(self, architecture: Architecture) -> bool:
        if self.limits.given and not self.limits.allow(self.table.costs(architecture)):
            return False
        return not self.refused(architecture)

    def excess(self, architecture: Architecture) -> float:
        """How far an architecture is from satisfying the limits; 0: it does."""
        return self.limits.excess(self.table.costs(architecture))


def feasible(table: CostTable, limits: Limits) -> Constraint:
    """A predicate over architectures."""
    return Constraint(table, limits)
