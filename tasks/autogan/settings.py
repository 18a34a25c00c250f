"""The sections of a recipe that are this task's own: ``network``, ``gan`` and ``metric``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fewshot_core.description import SUPERNET, Description, supernet_sizes
from fewshot_core.errors import RecipeError
from fewshot_core.plugins import find_plugin
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.places import absolute
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.trainings import FINE_TUNING
from fewshot_core.recipe.unread import Unread, by_choice, of_supernets
from fewshot_tasks.autogan.metrics import METRICS
from fewshot_tasks.autogan.space import MOST_CELLS

if TYPE_CHECKING:  # the module imports torch, and recipes are checked without it
    from fewshot_core.data import ImageShape

CELLS = {8: 1, 16: 2, 32: 3, 48: 3}
"""Cells by image size, so that the smallest image is of 4 pixels, or of 6."""

SMALLEST = 2
"""Side of the smallest image inside: instance norm needs more than one pixel."""

EXTRACTORS = ("inception", "classifier")


@dataclass(frozen=True)
class GeneratorSettings:
    """Generator and discriminator."""

    channels: int = setting(256, "of every cell of a generator that is trained from scratch", low=1)
    supernet_channels: int = setting(128, "of every cell of the supernet", low=1)
    discriminator: int = setting(
        128, "channels of the discriminator beside such a generator", low=1
    )
    supernet_discriminator: int = setting(64, "and beside the supernet", low=1)
    latent: int = setting(128, "numbers in a noise vector", low=1)
    cells: int | None = setting(
        None, "1, 2 or 3; none: 8 px 1, 16 px 2, 32 and 48 px 3", low=1, high=MOST_CELLS
    )


@dataclass(frozen=True)
class GanSettings:
    """How generator and discriminator are trained against each other."""

    critic_steps: int = setting(5, "steps of the discriminator for one of the generator", low=1)
    generator_batch: float = setting(
        2.0, "batch of the generator, in batches of the discriminator", above=0
    )
    discriminator_lr: float | None = setting(
        None, "step size of the discriminator; none: lr", above=0
    )
    beta1: float = setting(0.0, "of Adam: decay of the mean of gradients", low=0, below=1)
    beta2: float = setting(0.9, "of Adam: decay of the mean of their squares", low=0, below=1)
    ema: float = setting(
        0.999,
        "Share of the old in the average of a generator trained from scratch, per generator step; "
        "it begins lower, so that the first weights are soon forgotten. 0: no average.",
        low=0,
        below=1,
    )
    reset_window: int = setting(
        500,
        "supernets: losses that no longer vary over this many steps mean collapse, and generator "
        "and discriminator begin anew. 0: never",
        low=0,
    )
    reset_variance: float = setting(1e-3, "supernets: what counts as hardly varying", low=0)
    batch_deviation: bool = setting(
        False,
        "supernets: the discriminator sees how much the images of a batch differ, too, so that "
        "each generator has to make various ones (Karras et al. 2018); not in the paper of AutoGAN",
    )


@dataclass(frozen=True)
class MetricSettings:
    """Inception score and Frechet distance, by torch-fidelity."""

    shorthand: ClassVar[str] = "extractor"
    extractor: str = setting(
        "inception",
        "inception | classifier: a small one, trained on the data itself",
        choices=EXTRACTORS,
    )
    weights: str | None = setting(
        None,
        "inception: the file of weights; none: torch-fidelity's own download",
        place=absolute,
        changes_results=False,
    )
    images: int = setting(5000, "generated for the score of an architecture", low=1)
    test_images: int = setting(50000, "generated for a retrained generator", low=1)
    watch_images: int = setting(
        2000, "generated for a score at every checkpoint of a retraining; 0: none", low=0
    )
    splits: int = setting(10, "of the Inception score", low=1)
    batch_size: int = setting(100, "images that pass through the extractor together", low=1)
    against_train: bool = setting(
        False,
        "Retrained generators also against the training images, as published distances are.",
    )
    kid: bool = setting(False, "the kernel distance as well")
    precision_recall: bool = setting(False, "precision and recall as well")
    is_weight: float = setting(1.0, "of the Inception score in evaluator.score=reward")
    fid_weight: float = setting(0.1, "of the distance, which is subtracted")
    steps: int = setting(1500, "classifier: training steps", low=1)
    cache: str | None = setting(
        None,
        "inception: folder for statistics of real images; none: a common one",
        place=absolute,
        changes_results=False,
    )

    def check(self, key: str) -> Iterator[str]:
        """A line for each number of images that cannot be split."""
        for name in ("images", "test_images", "watch_images"):
            count = getattr(self, name)
            if 0 < count < self.splits:
                yield f"{key}.{name}={count} must be at least {key}.splits={self.splits}"


_EXTRACTOR_OF = {"weights": ("inception",), "cache": ("inception",), "steps": ("classifier",)}
_OF_SUPERNETS = (
    *(f"network.{SUPERNET}{name}" for name in supernet_sizes(GeneratorSettings)),
    "gan.reset_window",
    "gan.reset_variance",
    "gan.batch_deviation",
)
_OF_CLASSIFIERS = (
    *(
        f"{part}.{name}"
        for part in ("supernet", "regions", "retrain")
        for name in ("momentum", "eps", "label_smoothing", "teacher", "teacher_weight")
    ),
    *(f"{part}.paths.{n}" for part in ("supernet", "regions") for n in ("distill", "together")),
    *(f"retrain.{name}" for name in ("mixup", "cutmix", "ema", *FINE_TUNING)),
    "evaluator.images",
)
_MEANT = {
    "momentum": "gan.beta1",
    "retrain.ema": "gan.ema",
    "evaluator.images": "metric.images",
}


def find_unread(recipe: Recipe) -> Iterator[Unread]:
    """Settings that a run of generators would not read."""
    for key in _OF_CLASSIFIERS:
        meant = _MEANT.get(key) or _MEANT.get(key.rpartition(".")[2])
        readers = "trainings of classifiers read it" + (f"; did you mean {meant}?" if meant else "")
        yield Unread(key, f"task={recipe.task}", ("task",), readers)
    for key in _OF_SUPERNETS:
        yield from of_supernets(key, recipe)
    if recipe.gan.reset_window == 0:
        because, deciders = "gan.reset_window=0", ("gan.reset_window",)
        yield Unread("gan.reset_variance", because, deciders, "gan.reset_window=500 reads it")
    extractor = recipe.metric.extractor
    if extractor in EXTRACTORS:
        yield from by_choice("metric", "extractor", extractor, _EXTRACTOR_OF)
    evaluator = find_plugin("evaluator", recipe.evaluator.name)
    if evaluator is not None and not evaluator.measures and recipe.audit.networks == 0:
        readers = "scores of generators and audits read it; did you mean metric.test_images?"
        both = ("evaluator.name", "audit.networks")
        yield Unread("metric.images", f"evaluator.name={evaluator.name}", both, readers)


DESCRIPTION = Description(
    {"network": GeneratorSettings, "gan": GanSettings, "metric": MetricSettings},
    METRICS,
    scoring=("metric",),
)


def cells_for(settings: GeneratorSettings, image_size: int) -> int:
    """The number of cells of generators of this size.

    Raises:
        RecipeError: No number of cells makes such images.
    """
    cells = settings.cells
    if cells is None:
        if image_size not in CELLS:
            raise RecipeError(
                f"data.image_size={image_size} has no usual number of cells",
                allowed=", ".join(map(str, CELLS)),
                fix="set data.image_size, or network.cells as well",
            )
        return CELLS[image_size]
    if image_size % 2**cells or image_size < SMALLEST * 2**cells:
        raise RecipeError(
            f"network.cells={cells} cannot make images of {image_size} pixels",
            allowed=f"multiples of {2**cells} from {SMALLEST * 2**cells} on",
            fix="set data.image_size or network.cells",
        )
    return cells


def image_size_of(recipe: Recipe) -> int:
    """Side of the images, which a recipe of this task has to name: the space depends on it.

    Raises:
        RecipeError: It is not named.
    """
    if recipe.data.image_size is None:
        raise RecipeError(
            "data.image_size is missing: the number of cells depends on it",
            allowed="8, 16, 32, 48",
            fix="add data.image_size=32",
        )
    return recipe.data.image_size


def generator_shape(settings: GeneratorSettings, shape: ImageShape) -> dict[str, int]:
    """Keyword arguments of a generator."""
    return {
        "channels": settings.channels,
        "latent": settings.latent,
        "image_size": shape.image_size,
        "image_channels": shape.channels,
    }


def discriminator_shape(settings: GeneratorSettings, shape: ImageShape) -> dict[str, int]:
    """Keyword arguments of a discriminator."""
    return {
        "channels": settings.discriminator,
        "cells": cells_for(settings, shape.image_size),
        "image_channels": shape.channels,
    }


def check_recipe(recipe: Recipe) -> Iterator[str]:
    """What generators cannot be combined with."""
    if not recipe.data.memory:
        yield "data.memory=false: generators are measured against images in memory"
    try:
        size = image_size_of(recipe)
        cells_for(recipe.network, size)
        if recipe.data.search_size not in (None, size):
            yield "data.search_size is not for generators: their size is a part of the space"
    except RecipeError as error:
        yield str(error)
    for key in ("supernet", "regions", "retrain"):
        if getattr(recipe, key).micro_batch is not None:
            yield (
                f"{key}.micro_batch is for classifiers, a discriminator judges a whole batch: "
                f"leave it out, or lower {key}.batch_size"
            )
    evaluator = find_plugin("evaluator", recipe.evaluator.name)
    if evaluator is not None and evaluator.untrained:
        yield f"evaluator={evaluator.name} scores classifiers, and generators not"
