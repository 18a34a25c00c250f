"""Settings that fit a set of images: the rule behind ``fewshot search images=DIR``.

A pure function of what a look at the images has found and of the settings that are given, so that
every process of a launch and every start of a run come to the same. The table is in
docs/own_images.md. What a network is made of is for its task to say:
:meth:`fewshot_core.task.TaskDefaults.fit`.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fewshot_core.recipe.yamltext import write_value

SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224)
"""Sides in pixels that are chosen among."""

LIKE_CIFAR = 48
"""Up to so many pixels images are shifted by a few pixels, where larger ones are cropped."""

HELD_LEAST, HELD_SHARE, HELD_MUCH, HELD_MOST = 100, 5, 2_500, 10_000
"""How many images are held out for a score: see :func:`held_out`."""

MANY_TIES = 500
"""With fewer validation images accuracies are equal so often that the loss orders better."""

IN_MEMORY = 2 << 30
"""Bytes of decoded images that are kept in memory."""


@dataclass(frozen=True)
class Facts:
    """What the rule has to know of a set of images.

    Attributes:
        images: Those to train, to choose and, without a test part of their own, to test on.
        classes: How many classes.
        smallest: Images of the smallest class.
        side: The median of the shorter sides, in pixels.
        channels: 1 where every image is gray, else 3.
        tested: Images of a test part of their own; None where there is none.
    """

    images: int
    classes: int
    smallest: int
    side: int
    channels: int
    tested: int | None = None


@dataclass(frozen=True)
class FittedSetting:
    """A setting, its value, and why in a few words."""

    key: str
    value: Any
    reason: str

    @property
    def word(self) -> str:
        """As it is typed in a shell."""
        return shlex.quote(f"{self.key}={write_value(self.value).replace(', ', ',')}")


@dataclass(frozen=True)
class Scale:
    """What depends on the number of training images.

    Attributes:
        below: It is for fewer training images than this.
        name: In words.
        side: Pixels at most: with few images, more of them teach a network little and cost much.
        batch: Images of a step.
        supernet_epochs: Passes of the supernet.
        retrain_epochs: Passes of a network that is trained from scratch.
        trials: Architectures that are scored.
        seeds: Trainings of what is found: the fewer images, the more one differs from the next.
        scale: Random crops show at least this share of an image.
        policy: timm's policy of colours and shapes for trainings from scratch.
        recalibrate: Images that batch norm is measured anew with.
    """

    below: float
    name: str
    side: int
    batch: int
    supernet_epochs: int
    retrain_epochs: int
    trials: int
    seeds: int
    scale: float
    policy: str
    recalibrate: int


SCALES = (
    Scale(1_000, "hundreds", 96, 32, 300, 100, 200, 3, 0.35, "rand-m6-mstd0.5", 512),
    Scale(10_000, "thousands", 128, 64, 200, 80, 300, 2, 0.25, "rand-m7-mstd0.5", 1024),
    Scale(100_000, "tens of thousands", 160, 128, 120, 60, 500, 1, 0.2, "rand-m9-mstd0.5", 2048),
    Scale(
        *(math.inf, "hundreds of thousands", 224, 256, 120, 60, 1000, 1, 0.08),
        *("rand-m9-mstd0.5", 4096),
    ),
)  # fmt: skip
"""From few images to many; docs/own_images.md has them as a table."""


def scale_of(train: int) -> Scale:
    """The scale of a number of training images."""
    return next(scale for scale in SCALES if train < scale.below)


def held_out(images: int, classes: int) -> int:
    """How many of some images are held out for a score.

    A fifth of them, but at least 100 and 5 of each class, and never more than a third. Of more than
    12,500 images 2,500 are enough, or one in a hundred, up to 10,000. At an accuracy of 80 %, 100
    images have a standard error of 4 points, 2,500 of 0.8.
    """
    wanted = min(images // HELD_SHARE, max(HELD_MUCH, images // 100), HELD_MOST)
    return max(1, min(max(wanted, HELD_LEAST, 5 * classes), images // 3))


def tested_on(images: int, classes: int) -> int:
    """How many images are held out to test on: as many, but never more than a fifth.

    Nothing is chosen by them, and what they take from a small set is missing in every training.
    """
    return max(1, min(held_out(images, classes), images // HELD_SHARE))


def standard_error(count: int, accuracy: float = 0.8) -> float:
    """The standard error, in points, of an accuracy that was measured on so many images."""
    return 100 * math.sqrt(accuracy * (1 - accuracy) / count)


@dataclass
class Fitting:
    """Choices as they are made, each with what was given or chosen before it.

    Attributes:
        facts: What was found.
        given: Settings that a recipe or a word gives, by key.
        choices: What was chosen, in order.
    """

    facts: Facts
    given: Mapping[str, Any]
    choices: list[FittedSetting] = field(default_factory=list)

    def choose(self, key: str, value: Any, reason: str) -> Any:
        """Choose a value unless one is given; what counts is returned."""
        if key in self.given:
            return self.given[key]
        self.choices.append(FittedSetting(key, value, reason))
        return value

    def value(self, key: str, default: Any = None) -> Any:
        """What is given, or was chosen before."""
        chosen = {choice.key: choice.value for choice in self.choices}
        return self.given.get(key, chosen.get(key, default))


def fit_classifier(fitting: Fitting) -> None:
    """Choose what every classifier has: images, their parts, trainings, length of the search."""
    train, validation = _fit_parts(fitting)
    scale = scale_of(train)
    side = _fit_pixels(fitting, scale)
    _fit_augmentation(fitting, scale, side)
    _fit_supernet(fitting, scale, train)
    _fit_scores(fitting, scale, train, validation)
    _fit_retraining(fitting, scale, train, side)


def _fit_parts(fitting: Fitting) -> tuple[int, int]:
    """Images to train on and to validate with."""
    facts, left = fitting.facts, fitting.facts.images
    if facts.tested is None and not fitting.given.get("data.test_root"):
        count = tested_on(left, facts.classes)
        share = fitting.choose("data.test", _share(count, left), _held(count, "to test"))
        left -= round(left * share)
    left = min(left, fitting.given.get("data.limit") or left)
    count = held_out(left, facts.classes)
    reason = _held(count, "to choose by")
    share = fitting.choose("data.validation", _share(count, left), reason)
    validation = max(1, round(left * share))
    return max(1, left - validation), validation


def _held(count: int, purpose: str) -> str:
    error = standard_error(count)
    return f"{count:,} images {purpose}, some of each class; standard error {error:.1f} points"


def _share(count: int, images: int) -> float:
    return round(min(count / max(1, images), 0.5), 4)


def _fit_pixels(fitting: Fitting, scale: Scale) -> int:
    facts = fitting.facts
    # Up to a fifth more pixels than there are: what is lost by less is more than what is made up.
    fitting_sizes = [size for size in SIZES if size <= min(scale.side, 1.2 * facts.side)]
    side = max(fitting_sizes, default=SIZES[0])
    reason = f"the median side is {facts.side}; at most {scale.side} for {scale.name} of images"
    side = int(fitting.choose("data.image_size", side, reason) or facts.side)
    size = facts.images * facts.channels * side**2
    held = f"{size / 2**30:.1f} GiB decoded"
    if size > IN_MEMORY:
        fitting.choose("data.memory", False, f"{held}: read at every use")
    if fitting.value("data.memory", True) is False:
        fitting.choose("data.workers", 4, "processes that read ahead")
    return side


def _fit_augmentation(fitting: Fitting, scale: Scale, side: int) -> None:
    if fitting.facts.channels == 3:
        reason = "photographs may be mirrored; data.flip=false for text and signs"
        fitting.choose("data.flip", True, reason)
    if side <= LIKE_CIFAR:
        pad = max(1, side // 8)
        fitting.choose("data.pad", pad, f"shifts, as is usual for {side} pixels")
    else:
        crops = f"random crops show at least this share, for {scale.name} of images"
        fitting.choose("data.scale", scale.scale, crops)
        fitting.choose("data.jitter", 0.2, "brightness and colours of other cameras")


def _batch(scale: Scale, train: int) -> int:
    """A power of two, at most a quarter of the images, or a pass would have no steps."""
    return max(4, min(scale.batch, 1 << (max(1, train // 4)).bit_length() - 1))


def _fit_supernet(fitting: Fitting, scale: Scale, train: int) -> None:
    batch = _batch(scale, train)
    many = f"{scale.name} of training images: {train:,}"
    whole = fitting.choose("supernet.batch_size", batch, many)
    passes = "passes; each of the paths of a step counts as one"
    epochs = fitting.choose("supernet.epochs", scale.supernet_epochs, passes)
    rate = _rate(0.1 * whole / 256)
    rate = fitting.choose("supernet.lr", rate, "0.1 for each 256 images of a batch")
    fitting.choose("supernet.warmup_epochs", _few(epochs, 0.05), "a twentieth of the passes")
    fitting.choose("regions.batch_size", whole, "as the supernet's")
    fitting.choose("regions.epochs", _few(epochs, 0.2), "a fifth, if the supernet is split at all")
    fitting.choose("regions.lr", _rate(0.4 * rate), "less, as they start from trained weights")


def _fit_scores(fitting: Fitting, scale: Scale, train: int, validation: int) -> None:
    count = max(1, min(scale.recalibrate, train))
    fitting.choose("evaluator.recalibrate", count, "images to measure batch norm with")
    if validation < MANY_TIES:
        reason = f"{validation:,} images give many equal accuracies; the loss tells more apart"
        fitting.choose("evaluator.score", "loss", reason)
    fitting.choose("search.trials", scale.trials, "architectures that are scored")


def _fit_retraining(fitting: Fitting, scale: Scale, train: int, side: int) -> None:
    many = f"{scale.name} of training images: {train:,}"
    batch = fitting.choose("retrain.batch_size", _batch(scale, train), many)
    passes = "passes of each network that is trained from scratch"
    epochs = fitting.choose("retrain.epochs", scale.retrain_epochs, passes)
    fitting.choose("retrain.lr", _rate(0.1 * batch / 128), "0.1 for each 128 images of a batch")
    fitting.choose("retrain.warmup_epochs", _few(epochs, 0.05), "a twentieth of the passes")
    if side > LIKE_CIFAR and fitting.facts.channels == 3:
        fitting.choose("retrain.augment", scale.policy, "timm's policy; m is its strength")
        fitting.choose("retrain.erase", 0.1, "a rectangle, in one image of ten")
    seeds = "trainings of each network: with few images one says little"
    seeds = seeds if scale.seeds > 1 else "with so many images one training says enough"
    fitting.choose("retrain.seeds", scale.seeds, seeds)


def _rate(rate: float) -> float:
    """A learning rate of two digits."""
    return float(f"{rate:.2g}")


def _few(epochs: float, share: float) -> float:
    """A share of some passes, whole where there are many."""
    part = epochs * share
    return float(round(part)) if part >= 1 else round(part, 3)
