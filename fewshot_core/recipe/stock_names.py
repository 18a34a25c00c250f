"""Words for stock models: ``timm:NAME`` with its published weights, ``scratch:NAME`` without.

``stock`` and ``stock-scratch`` leave the name to the FLOPs of the network that is found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from fewshot_core.recipe.declare import check_choice

PRETRAINED, SCRATCH = "pretrained", "scratch"
"""What the training of a stock model starts from."""

RIVALS = ("random", "largest", "most-flops", "one-shot")
"""Architectures of the space that may be trained beside the one found."""

FLOPS = {
    "mobilenetv3_small_050": 24.2e6,
    "mobilenetv3_small_075": 43.4e6,
    "mobilenetv3_small_100": 56.5e6,
    "lcnet_075": 94.8e6,
    "lcnet_100": 155.7e6,
    "mobilenetv3_large_100": 216.6e6,
    "mobilenetv2_100": 300.8e6,
    "efficientnet_b0": 385.8e6,
    "mobilenetv2_140": 582.2e6,
}
"""Small models with published weights: multiply-adds at 224 pixels, as
:func:`fewshot_core.costs.table.measure` counts them."""

_SIZE = 224
LEAST_PIXELS = 48
"""Images below this are nothing for models that halve them five times."""

_STARTS = {"timm": PRETRAINED, "scratch": SCRATCH}
_FOLDER = "local-dir:"

NEAREST = {"stock": PRETRAINED, "stock-scratch": SCRATCH}
"""Words for the stock model that costs about as much as what is found: what it starts from."""


def is_tuned(word: str) -> bool:
    """Whether a word of ``retrain.compare`` means a model whose weights are learned already."""
    return NEAREST.get(word, (stock_name(word) or ("", ""))[1]) == PRETRAINED


def stock_name(text: str) -> tuple[str, str] | None:
    """Name and start of the stock model that a word means; None where it means none."""
    kind, colon, name = text.partition(":")
    return (name, _STARTS[kind]) if colon and name and kind in _STARTS else None


def nearest_stock(flops: float, image_size: int) -> str | None:
    """The model of :data:`FLOPS` that costs about as much; None where none takes such images.

    Args:
        flops: Multiply-adds of one image.
        image_size: Pixels; costs grow with their square, but for the classifier.
    """
    if image_size < LEAST_PIXELS or flops <= 0:
        return None
    share = (image_size / _SIZE) ** 2
    return min(FLOPS, key=lambda name: abs(math.log(FLOPS[name] * share / flops)))


def check_start(key: str, start: str) -> Iterator[str]:
    """A line where ``retrain.start`` says nothing that a training can start from."""
    if (stock_name(start) or ("", ""))[1] != PRETRAINED:
        yield from check_choice(key, start, ("scratch", "inherited", "timm:NAME"))


def check_rivals(key: str, rivals: Sequence[str]) -> Iterator[str]:
    """A line for each word of a list that means nothing to train."""
    for rival in rivals:
        found = stock_name(rival)
        if found is None and rival not in (*RIVALS, *NEAREST):
            allowed = f"{', '.join((*RIVALS, *NEAREST))}, timm:NAME, scratch:NAME"
            yield f"{key} has {rival!r}; allowed: {allowed}"
        elif found and found[0].startswith(_FOLDER):
            folder = found[0].removeprefix(_FOLDER)
            if not Path(folder).is_absolute():
                yield f"{key} has {rival!r}: a folder of weights needs its whole path, from / on"
