"""Arms and sizes of the study of generators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PLAIN = "one-shot"
"""The arm that the others are held against."""

COMMON = (
    "recipe=autogan_cifar_lab",
    "data.source=images",
    "metric.watch_images=0",
    # Half the side and as many generators: a core sees more images in a second.
    "data.image_size=8",
    "network.cells=2",
)
PARENT_SHARE = 0.5
"""Share of a few-shot budget that the parent gets; the regions divide the rest."""

ARMS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    PLAIN: (0, ("split=none",)),
    "one-shot, images judged singly": (0, ("split=none", "gan.batch_deviation=false")),
    "few-shot, 2 by block": (2, ("split=decision", "split.decision=cell2_block")),
    "few-shot, 3 by upsampling": (3, ("split=decision", "split.decision=cell2_upsample")),
    "few-shot, 3 by norm": (3, ("split=decision", "split.decision=cell2_norm")),
    "few-shot, 6 by upsampling and block": (
        9,  # the three between are trained, too
        (
            "split=decision",
            "split.decision=cell2_upsample",
            "split.then=[{by: decision, decision: cell2_block}]",
        ),
    ),
}
"""Trainings after the parent's, and settings, of each arm."""


@dataclass(frozen=True)
class Size:
    """Sizes of the study.

    Attributes:
        generators: Number of generators that are trained from scratch.
        truth_seeds: Seeds of each of them.
        pool: Number of further ones that an arm chooses from.
        epochs: Budget of an arm, in passes of the discriminator over the training images.
        retrain_epochs: Budget of a training from scratch, counted alike.
        arm_seeds: Seeds of each arm.
        choice_seeds: Seeds of each generator that an arm chose.
        words: Settings of every recipe.
    """

    generators: int
    truth_seeds: int
    pool: int
    epochs: float
    retrain_epochs: float
    arm_seeds: int
    choice_seeds: int
    words: tuple[str, ...] = ()


FULL = Size(20, 2, 100, 6, 2, 3, 3, ("metric.test_images=5000",))
QUICK = Size(
    *(4, 1, 4, 0.2, 0.1, 1, 1),
    words=(
        *("data.limit=1000", "metric.images=40", "metric.test_images=60", "metric.steps=20"),
        *("evaluator.recalibrate=32", "network.channels=4", "network.supernet_channels=4"),
        *("network.discriminator=4", "network.supernet_discriminator=4"),
    ),
)


def arm_words(size: Size, arm: str, seed: int) -> list[str]:
    """The settings of an arm."""
    regions, split = ARMS[arm]
    parent = size.epochs * (PARENT_SHARE if regions else 1)
    rest = (size.epochs - parent) / max(1, regions)
    return [
        *split,
        f"seed={seed}",
        f"supernet.epochs={parent:g}",
        *([f"regions.epochs={rest:g}"] if regions else []),
        "retrain.compare=[random]",
    ]
