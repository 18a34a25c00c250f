"""What was measured of a quantised network, and how a card tells it. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fewshot_core.metrics import Metric

STATED_LOSS = 1.0
"""Points of accuracy. A card says so plainly where int8 loses more."""


@dataclass(frozen=True)
class Int8Facts:
    """Both ONNX files, measured in one process.

    Attributes:
        float32: Test metrics of ``model.onnx`` by onnxruntime.
        int8: Those of ``model.int8.onnx``.
        calibrated: Training images that the ranges of activations were taken of.
        milliseconds: Median latency of one image, float32 and int8.
        ratio: Median over pairs of runs, one right after the other: int8 by float32.
        quartiles: Of the same ratios, the lower and the upper one.
        pairs: Number of pairs.
        threads: Of onnxruntime, within an operator.
        processor: What it ran on.
        sizes: Bytes of the two files.
    """

    float32: Mapping[str, float]
    int8: Mapping[str, float]
    calibrated: int
    milliseconds: tuple[float, float]
    ratio: float
    quartiles: tuple[float, float]
    pairs: int
    threads: int
    processor: str
    sizes: tuple[int, int]


def int8_text(facts: Int8Facts, metric: Metric) -> str:
    """The section of a card."""
    before, after = facts.float32[metric.name], facts.int8[metric.name]
    unit = f" ({metric.unit})" if metric.unit else ""
    low, high = facts.quartiles
    return f"""`model.int8.onnx` is the same network quantised (static, QDQ;
8-bit activations, weights by channel), calibrated on {facts.calibrated:,} training images. It takes
and gives what `model.onnx` does, and the snippet above runs with its name. Both were measured
alike, on the test images:

| | float32 | int8 |
| --- | --- | --- |
| test {metric.name}{unit} | {before:.2f} | {after:.2f} |
| latency of one image | {facts.milliseconds[0]:.3f} ms | {facts.milliseconds[1]:.3f} ms |
| file | {facts.sizes[0] / 1024:,.0f} KiB | {facts.sizes[1] / 1024:,.0f} KiB |

int8 takes {facts.ratio:.2f} times as long as float32. This is the median of {facts.pairs} pairs of
runs, one right after the other in one process (quartiles {low:.2f} and {high:.2f}), by onnxruntime
with {_threads(facts.threads)} on the CPU ({facts.processor}).

{_verdict(before, after, facts, metric)}"""


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _verdict(before: float, after: float, facts: Int8Facts, metric: Metric) -> str:
    lost = (after - before) if metric.lower else (before - after)
    points = "points" if metric.unit == "%" else metric.name
    said = []
    if lost > STATED_LOSS:
        said.append(
            f"**int8 loses {lost:.2f} {points}, which is more than {STATED_LOSS:g}: use float32 "
            "unless that does not matter to you.**"
        )
    elif lost > 0:
        said.append(f"int8 loses {lost:.2f} {points}, which is not more than {STATED_LOSS:g}.")
    else:
        said.append("int8 loses nothing on these images.")
    if facts.ratio >= 1:
        said.append("**int8 is not faster here.**")
    return " ".join(said)
