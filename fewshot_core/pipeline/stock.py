"""Stock models: what a user has without a search, trained and tested beside what one found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

import timm
import torch
from accelerate.utils import broadcast_object_list
from torch import nn

from fewshot_core.costs.table import measure
from fewshot_core.data import ImageShape
from fewshot_core.errors import RecipeError
from fewshot_core.pipeline.run import KeptRun, Run
from fewshot_core.pipeline.training import build
from fewshot_core.recipe.stock_names import (
    LEAST_PIXELS,
    NEAREST,
    PRETRAINED,
    SCRATCH,
    nearest_stock,
    stock_name,
)
from fewshot_core.runs.retrained import NEAR, base_label, read_retrained
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.training.timm_models import create_pretrained


@dataclass(frozen=True)
class Stock:
    """A model that timm knows by name.

    Attributes:
        name: As for ``timm.create_model``.
        start: What its training starts from: weights that somebody has trained, or random ones.
        near: Id of the architecture that it was chosen for by its FLOPs; empty: it was named.
    """

    name: str
    start: str
    near: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """Its name in the folder of a run: letters, digits and dashes."""
        return re.sub(r"[^A-Za-z0-9._]+", "-", f"{self.start}-{self.name}")


Trained = Architecture | Stock
"""What is retrained: an architecture of the space, or a stock model beside it."""


def stock_of(text: str) -> Stock | None:
    """The stock model that a word of ``retrain.compare`` or a genotype means; else None."""
    found = stock_name(text)
    return None if found is None else Stock(*found)


def read_trained(space: SearchSpace, genotype: str) -> Trained:
    """What a result of ``retrain.json`` is of, by its genotype."""
    return stock_of(genotype) or space.parse(genotype)


def rival_stocks(run: Run, found: Architecture | None) -> dict[str, Stock]:
    """The stock models of ``retrain.compare``, by their words; every process has to ask.

    One that is to be as expensive as what was found is chosen once: ``retrain.json`` keeps it.

    Args:
        run: The run.
        found: What its search found; None: that is not known yet, and such models are left out.

    Raises:
        RecipeError: No stock model takes images of this size, or the task makes no classifiers.
    """
    stocks = {}
    for word in run.recipe.retrain.compare:
        named = stock_of(word)
        if named is not None:
            stocks[word] = named
        elif word in NEAREST:
            _require_near(run, word)
            if found is not None:
                stocks[word] = _nearest(run, found, NEAREST[word])
    return stocks


def nearest_name(run: KeptRun, flops: float) -> str | None:
    """The stock model that costs about as much as a network; None where none takes such images."""
    return nearest_stock(flops, run.images.facts().shape.image_size)


def _nearest(run: Run, found: Architecture, start: str) -> Stock:
    # Every process has to find the same one, and only one may read a file that it writes.
    kept: list[str] = []
    if run.writes:
        labels = {r["label"] for r in read_retrained(run.folder) if r.get(NEAR) == found.id}
        before = [stock_of(base_label(label)) for label in sorted(labels)]
        kept = [stock.name for stock in before if stock is not None and stock.start == start]
    name: str | None = broadcast_object_list([kept[0] if kept else None])[0]
    if name is None:
        name = nearest_name(run, run.costs.costs(found)["connected_flops"])
    assert name is not None, "the size of the images has been looked at"
    return Stock(name, start, found.id)


def _require_near(run: Run, word: str) -> None:
    _require_classifiers(run, word)
    size = run.images.facts().shape.image_size
    if size < LEAST_PIXELS:
        raise RecipeError(
            f"retrain.compare={word}: no stock model is made for images this small",
            found=f"{size} pixels",
            allowed=f"{LEAST_PIXELS} or more",
            fix="name one that takes them, timm:NAME, or leave it out",
        )


def _require_classifiers(run: Run, word: str) -> None:
    if run.task.generates:
        raise RecipeError(
            f"retrain.compare={word} is for classifiers",
            found=f"task={run.recipe.task}",
            fix="leave it out",
        )


def build_stock(run: KeptRun, stock: Stock, seed: int) -> nn.Module:
    """A stock model with its weights, if it starts from them, and a new classifier.

    Raises:
        RecipeError: timm has no such model, its weights cannot be had, or it does not take images
            of this size.
    """
    shape = run.images.facts().shape
    return build(run, lambda: _create(stock, shape), seed)


def require_stock(run: Run, stock: Stock) -> None:
    """Raise unless a stock model can be built and takes the images of a run.

    Raises:
        RecipeError: See :func:`build_stock`; or its task makes no classifiers.
    """
    word = label_of_stock(stock)
    _require_classifiers(run, word)
    model, shape = build_stock(run, stock, 0).eval(), run.images.facts().shape
    try:
        with torch.no_grad():
            model(torch.zeros(1, *shape.input_size))
    except Exception as error:  # every model has errors of its own
        raise RecipeError(
            f"retrain.compare={word} does not take the images of this run",
            found=f"{'x'.join(map(str, shape.input_size))}: {_first_line(error)}",
            fix="choose another model, such as a MobileNet, or another data.image_size",
        ) from None


def timm_name(model: nn.Module) -> str:
    """The name that timm knows a stock model by, also where it came from a folder."""
    return str(model.pretrained_cfg["architecture"])  # type: ignore[index]


def stock_costs(run: KeptRun, stock: Stock) -> dict[str, int]:
    """Parameters and FLOPs of a stock model on the images of a run, by their names in results."""
    shape = run.images.facts().shape
    return {name: int(value) for name, value in _measured(stock, shape).items()}


@lru_cache(maxsize=32)
def _measured(stock: Stock, shape: ImageShape) -> dict[str, float]:
    return measure(_create(Stock(stock.name, SCRATCH), shape), shape.input_size)


def _create(stock: Stock, shape: ImageShape) -> nn.Module:
    return create_stock(
        stock, "retrain.compare", num_classes=shape.classes, in_chans=shape.channels
    )


def create_stock(stock: Stock, key: str, **arguments: int) -> nn.Module:
    """A stock model, with its weights where it starts from them.

    Args:
        stock: Which.
        key: The setting that names it, for messages.
        arguments: As for ``timm.create_model``.

    Raises:
        RecipeError: timm has no such model, or its weights cannot be had.
    """
    pretrained = stock.start == PRETRAINED
    try:
        if pretrained:
            return create_pretrained(stock.name, **arguments)
        model: nn.Module = timm.create_model(stock.name, **arguments)
    except Exception as error:  # timm, the hub and the file system all have their own
        weights = " with its weights" if pretrained else ""
        without = f"scratch:{stock.name}" if key == "retrain.compare" else f"{key}=scratch"
        raise RecipeError(
            f"{key}={label_of_stock(stock)} cannot be had from timm{weights}",
            found=_first_line(error),
            allowed="names of timm.list_models(), or local-dir:FOLDER",
            fix=f"{without} needs no weights" if pretrained else None,
        ) from None
    return model


def label_of_stock(stock: Stock) -> str:
    """The word of ``retrain.compare`` that means a stock model."""
    return f"{'timm' if stock.start == PRETRAINED else SCRATCH}:{stock.name}"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]
