"""The sections of a recipe that are this task's own: ``network``, ``gan`` and ``metric``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.check import PROXIES
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.places import absolute
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.unread import Unread, by_choice, of_supernets
from fewshot_core.tasks import SUPERNET, Description, supernet_sizes
from tasks.autogan.metrics import METRICS
from tasks.autogan.space import MOST_CELLS

if TYPE_CHECKING:  # the module imports torch, and recipes are checked without it
    from fewshot_core.data import ImageShape

CELLS = {8: 1, 16: 2, 32: 3, 48: 3}
"""Cells by image size, so that the smallest image is of 4 pixels, or of 6."""

SMALLEST = 2
"""Side of the smallest image inside: instance norm needs more than one pixel."""

EXTRACTORS = ("inception", "classifier")


@dataclass
class GeneratorSettings:
    """Generator and discriminator."""

    channels: int = 256  # of every cell of a generator that is trained from scratch
    supernet_channels: int = 128  # of every cell of the supernet
    discriminator: int = 128  # channels of the discriminator beside such a generator
    supernet_discriminator: int = 64  # and beside the supernet
    latent: int = 128  # numbers in a noise vector
    cells: int | None = None  # 1, 2 or 3; none: 8 px 1, 16 px 2, 32 and 48 px 3


@dataclass
class GanSettings:
    """How generator and discriminator are trained against each other."""

    critic_steps: int = 5  # steps of the discriminator for one of the generator
    generator_batch: float = 2.0  # batch of the generator, in batches of the discriminator
    discriminator_lr: float | None = None  # step size of the discriminator; none: lr
    beta1: float = 0.0  # of Adam
    beta2: float = 0.9
    # Share of the old in the average of a generator trained from scratch, per generator step; it
    # begins lower, so that the first weights are soon forgotten. 0: no average.
    ema: float = 0.999
    # supernets: losses that no longer vary over this many steps mean collapse, and generator and
    # discriminator begin anew. 0: never
    reset_window: int = 500
    reset_variance: float = 1e-3
    # supernets: the discriminator sees how much the images of a batch differ, too, so that each
    # generator has to make various ones (Karras et al. 2018); not in the paper of AutoGAN
    batch_deviation: bool = False


@dataclass
class MetricSettings:
    """Inception score and Frechet distance, by torch-fidelity."""

    shorthand: ClassVar[str] = "extractor"
    extractor: str = "inception"  # inception | classifier: a small one, trained on the data itself
    # inception: the file of weights; none: torch-fidelity's own download
    weights: str | None = setting(None, place=absolute, changes_results=False)
    images: int = 5000  # generated for the score of an architecture
    test_images: int = 50000  # generated for a retrained generator
    watch_images: int = 2000  # generated for a score at every checkpoint of a retraining; 0: none
    splits: int = 10  # of the Inception score
    batch_size: int = 100  # images that pass through the extractor together
    # Retrained generators also against the training images, as published distances are.
    against_train: bool = False
    kid: bool = False  # the kernel distance as well
    precision_recall: bool = False  # precision and recall as well
    is_weight: float = 1.0  # of the Inception score in evaluator.score=reward
    fid_weight: float = 0.1  # of the distance, which is subtracted
    steps: int = 1500  # classifier: training steps
    # inception: folder for statistics of real images; none: a common one
    cache: str | None = setting(None, place=absolute, changes_results=False)


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
        for name in ("momentum", "eps", "label_smoothing")
    ),
    *(f"{part}.paths.{n}" for part in ("supernet", "regions") for n in ("distill", "together")),
    *(f"retrain.{name}" for name in ("mixup", "cutmix", "ema", "teacher", "teacher_weight")),
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
    if recipe.evaluator.name == "table" and recipe.audit.networks == 0:
        readers = "scores of generators and audits read it; did you mean metric.test_images?"
        both = ("evaluator.name", "audit.networks")
        yield Unread("metric.images", "evaluator.name=table", both, readers)


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
    if not 1 <= cells <= MOST_CELLS:
        raise RecipeError(f"network.cells={cells} is none of 1, 2, 3")
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
    """What is wrong with the three sections, and what generators cannot be combined with."""
    network, gan, metric = recipe.network, recipe.gan, recipe.metric
    least = {
        "network": [f.name for f in fields(network) if f.name != "cells"],
        "gan": ("critic_steps",),
        "metric": ("images", "test_images", "splits", "batch_size", "steps"),
    }
    for section, names in least.items():
        for name in names:
            value = getattr(getattr(recipe, section), name)
            if value < 1:
                yield f"{section}.{name}={value} must be at least 1"
    if not recipe.data.memory:
        yield "data.memory=false: generators are measured against images in memory"
    for name in ("beta1", "beta2", "ema"):
        if not 0 <= getattr(gan, name) < 1:
            yield f"gan.{name}={getattr(gan, name)} must be at least 0 and below 1"
    if not gan.generator_batch > 0:
        yield f"gan.generator_batch={gan.generator_batch} must be above 0"
    if gan.discriminator_lr is not None and not gan.discriminator_lr > 0:
        yield f"gan.discriminator_lr={gan.discriminator_lr} must be above 0"
    for name in ("reset_window", "reset_variance"):
        if not getattr(gan, name) >= 0:
            yield f"gan.{name}={getattr(gan, name)} must be at least 0"
    if metric.extractor not in EXTRACTORS:
        yield f"metric.extractor={metric.extractor} is none of {', '.join(EXTRACTORS)}"
    for name in ("images", "test_images", "watch_images"):
        count = getattr(metric, name)
        if 0 < count < metric.splits or count < 0:
            yield f"metric.{name}={count} must be at least metric.splits={metric.splits}"
    yield from _check_combinations(recipe)


def _check_combinations(recipe: Recipe) -> Iterator[str]:
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
    if recipe.evaluator.name in PROXIES:
        yield f"evaluator={recipe.evaluator.name} scores classifiers, and generators not"
