"""Costs of architectures: measured once with fvcore, then looked up.

A constraint is checked for every architecture a strategy proposes, so a lookup has to cost
microseconds; and a figure that is printed has to equal what fvcore and torch count on the network
that is handed over. A test holds the two against each other.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fewshot_core.errors import ConstraintError
from fewshot_core.region import Region
from fewshot_core.space import Architecture, Option, SearchSpace

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
    """Costs that add up over decisions.

    Attributes:
        space: The space it is about.
        base: Cost of everything outside the decisions, by measure.
        options: Additional cost of an option: decision, option, measure.
    """

    space: SearchSpace
    base: Mapping[str, float]
    options: Mapping[str, Mapping[Option, Mapping[str, float]]]

    def total(self, architecture: Architecture | None) -> dict[str, float]:
        """Costs with every chosen operation counted; of the base alone for None."""
        total = dict(self.base)
        if architecture is not None:
            for name, choice in self.space.choices(architecture).items():
                for measure_name, value in self.options[name][choice].items():
                    total[measure_name] += value
        return total

    def costs(self, architecture: Architecture) -> dict[str, float]:
        """All figures of an architecture.

        ``params``, ``flops``, ``fvcore_flops`` count every operation, as NAS benchmarks do;
        ``connected_*`` only those on a path from input to output: the network that is trained,
        exported and held against a constraint.
        """
        figures = self.total(architecture)
        connected = self.total(self.space.connected(architecture))
        return figures | {f"connected_{name}": value for name, value in connected.items()}

    def least(self, region: Region, name: str) -> float:
        """The lowest value of a measure among the architectures that a region's options allow."""
        return self.base[name] + sum(
            min(self.options[d.name][o][name] for o in allowed)
            for d, allowed in zip(region.space.decisions, region.allowed, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON value."""
        return {
            "space": self.space.name,
            "base": dict(self.base),
            "options": {
                decision: {str(option): dict(costs) for option, costs in options.items()}
                for decision, options in self.options.items()
            },
        }


@dataclass(frozen=True)
class Limits:
    """Upper limits on the network that is handed over; None: no limit."""

    flops: float | None = None
    params: float | None = None

    def allow(self, costs: Mapping[str, float]) -> bool:
        """Whether the costs stay within the limits."""
        return all(
            limit is None or costs[f"connected_{name}"] <= limit
            for name, limit in (("flops", self.flops), ("params", self.params))
        )

    def __str__(self) -> str:
        pairs = (("flops", self.flops), ("params", self.params))
        return ", ".join(f"{name} <= {limit:,.0f}" for name, limit in pairs if limit is not None)


def require_feasible(region: Region, table: CostTable, limits: Limits) -> None:
    """Raise unless the cheapest architecture of the region satisfies each limit.

    Raises:
        ConstraintError: The limit and the smallest cost there is.
    """
    for name, limit in (("flops", limits.flops), ("params", limits.params)):
        if limit is None:
            continue
        least = table.least(region, name)
        if least > limit:
            raise ConstraintError(
                f"constraint.{name}={limit:,.0f} cannot be met",
                found=f"the cheapest architecture has {least:,.0f}",
                fix=f"raise constraint.{name} to at least {math.ceil(least)}, or make the network "
                "section of the recipe smaller",
            )


def feasible(table: CostTable, limits: Limits) -> Callable[[Architecture], bool]:
    """A predicate over architectures."""
    return lambda architecture: limits.allow(table.costs(architecture))
