"""Latency of the parts of networks on this device, measured once and added up.

A constraint is checked for every architecture that a strategy proposes, so that its networks cannot
all be run. The latency of a network run block by block is nearly the sum over its blocks (Cai et
al., ProxylessNAS, ICLR 2019, section 3.3); how nearly is measured, too, and kept beside the table.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fewshot_core.costs.table import CostTable
from fewshot_core.errors import RunFolderError
from fewshot_core.spaces.space import Architecture

WARM_UP, RUNS = 5, 21
"""Runs before, and runs of which the median is taken."""

MEASURE = "latency"


@dataclass(frozen=True)
class Part:
    """What is measured by itself.

    Attributes:
        key: Parts with equal keys are measured once.
        make: Builds the module.
        input_size: Channels, height and width of one input.
    """

    key: Hashable
    make: Callable[[], nn.Module]
    input_size: tuple[int, int, int]


@dataclass(frozen=True)
class NetworkParts:
    """Networks taken apart.

    Attributes:
        base: What all networks have.
        options: The parts that a place may hold: place, what is there.
    """

    base: tuple[Part, ...]
    options: Mapping[str, Mapping[Any, Part]]


@torch.no_grad()
def latency_of(module: nn.Module, input_size: tuple[int, ...], device: torch.device) -> float:
    """Median milliseconds for one input, on as many threads as torch uses now."""
    module = module.to(device).eval()
    images = torch.randn(1, *input_size, device=device)
    times = []
    for run in range(WARM_UP + RUNS):
        began = time.perf_counter()
        module(images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if run >= WARM_UP:
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def measure_parts(
    parts: NetworkParts, device: torch.device, tick: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Time every distinct part.

    Returns:
        ``base`` in milliseconds and ``options`` by place and by the part's text, ready for JSON.
    """
    known: dict[Hashable, float] = {}

    def time_part(part: Part) -> float:
        if part.key not in known:
            known[part.key] = latency_of(part.make(), part.input_size, device)
            tick(len(known))
        return known[part.key]

    return {
        "unit": "ms",
        "device": str(device),
        "threads": torch.get_num_threads(),
        "base": sum(time_part(part) for part in parts.base),
        "options": {
            place: {str(what): time_part(part) for what, part in options.items()}
            for place, options in parts.options.items()
        },
    }


def with_latency(table: CostTable, measured: Mapping[str, Any]) -> CostTable:
    """The table with the measure ``latency`` in milliseconds.

    Raises:
        RunFolderError: What was measured is about other networks.
    """
    try:
        options = {
            place: {part: float(measured["options"][place][str(part)]) for part in parts}
            for place, parts in table.options.items()
        }
        return table.with_measure(MEASURE, float(measured["base"]), options)
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            "latency.json is damaged, or about other networks",
            found=repr(error)[:80],
            fix="delete it: the latencies are measured again",
        ) from None


def compare(
    table: CostTable,
    networks: Mapping[Architecture, nn.Module],
    input_size: tuple[int, int, int],
    device: torch.device,
) -> dict[str, float]:
    """How near the sums are to whole networks: mean and largest deviation, as shares."""
    deviations = []
    for architecture, network in networks.items():
        whole = latency_of(network, input_size, device)
        deviations.append(abs(table.total(architecture)[MEASURE] / whole - 1))
    return {
        "networks": len(deviations),
        "mean_deviation": statistics.mean(deviations),
        "largest_deviation": max(deviations),
    }
