"""The jobs of the mobile study: train a network from scratch, or supernets and score networks."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from jobs import Images, close, images_seen, load_words
from torch import nn

from fewshot_core.costs.table import measure
from fewshot_core.data import ImageShape
from fewshot_core.pipeline.search import start
from fewshot_core.pipeline.session import Session
from fewshot_core.pipeline.supernets import train_supernets
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.paths import CostPaths
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from tasks.imagenet.task import TASK

BAND = 0.02
"""How far the FLOPs of a band's networks are from its middle, as a share."""

SMALLEST, LARGEST = 0.1, 2.0
"""Multipliers of MobileNetV3-small's widths that are looked at."""


@dataclass(frozen=True)
class MobilePlan:
    """What the jobs have in common.

    Attributes:
        words: Settings of every recipe.
        places: Where the images are; of no account for the results.
        work: Where jobs keep their runs.
        bands: FLOPs that the networks of a band have, nearly.
        networks: Networks of a band.
        epochs: Of a training from scratch.
        budget: Passes over the training images of all supernets of an arm together.
        groups: Kernels of the first block of a unit, a region for each group.
    """

    words: tuple[str, ...]
    places: tuple[str, ...]
    work: Path
    bands: tuple[float, ...]
    networks: int
    epochs: float
    budget: float
    groups: str

    def arms(self) -> dict[str, list[str]]:
        """Settings of each arm: all see as many images."""
        whole, half = self.budget, self.budget / 2
        two = [f"supernet.epochs={half}", f"regions.epochs={half / 2}", *self._groups()]
        # The two regions that are cut again are trained, too.
        four = [f"supernet.epochs={half}", f"regions.epochs={half / 6}", *self._groups()]
        again = f"[{{by: groups, decision: unit2_block1_kernel, groups: {self.groups}}}]"
        return {
            "one-shot": [f"supernet.epochs={whole}", "split=none"],
            "few-shot, 2 regions": two,
            "few-shot, 4 regions": [*four, f"split.then={again}"],
        }

    def _groups(self) -> list[str]:
        return [
            "split=groups",
            "split.decision=unit1_block1_kernel",
            f"split.groups={self.groups}",
            "split.when=always",
        ]


def networks_of(plan: MobilePlan, shape: ImageShape) -> list[list[Architecture]]:
    """Random distinct networks of each band, the same for every job."""
    recipe = load_words([*plan.words, *plan.places]).recipe
    table, root = TASK.costs(recipe, shape), Region.root(TASK.space(recipe))

    def flops(architecture: Architecture) -> float:
        return table.costs(architecture)["connected_flops"]

    bands = []
    for number, middle in enumerate(plan.bands):
        rng, found = random.Random(number), dict[Architecture, None]()
        paths = CostPaths(root, flops, middle * (1 - BAND / 2), middle * (1 + BAND / 2))
        while len(found) < plan.networks:
            architecture = root.space.plain(paths.draw(rng)[0])
            if abs(flops(architecture) / middle - 1) <= BAND:
                found.setdefault(architecture)
        bands.append(list(found))
    return bands


def shape_of(words: Sequence[str]) -> ImageShape:
    """Of the recipe's images, without reading them: CIFAR-10, or digits."""
    data = load_words(list(words)).recipe.data
    return ImageShape(1, 8, 10) if data.source == "digits" else ImageShape(3, 32, 10)


def run_truth(
    plan: MobilePlan, slug: str, words: list[str], network: Architecture, images: Images
) -> dict[str, Any]:
    """Train a network from scratch, measure it on all validation images."""
    session = _open(plan, slug, words, images)
    metrics = session.train_standalone(network, plan.epochs)
    costs = session.costs.costs(network)
    genotype = session.root.space.genotype(network)
    close(session)
    figures = {name: costs[f"connected_{name}"] for name in ("flops", "params")}
    return {"recipe": words, "genotype": genotype, **metrics, **figures}


def run_reference(
    plan: MobilePlan, slug: str, words: list[str], flops: float, images: Images
) -> dict[str, Any]:
    """The same for MobileNetV3-small, its widths scaled to these FLOPs."""
    session = _open(plan, slug, words, images)
    multiplier, network = scaled_mobilenet(flops, session.data.shape)
    settings = session.recipe.retrain
    settings.epochs = plan.epochs
    seed = derive_seed(session.recipe.seed, "reference")
    network = session.build(lambda: scaled(multiplier, session.data.shape), seed)
    folder = session.folder.training("standalone", "reference")
    session.fit("MobileNetV3-small", network, settings, session.data.train, folder, seed)
    recipe = session.recipe
    recipe.evaluator.images = None
    metrics = session.scorer(recipe, session.data, "validation").score(network, None)
    costs = measure(network.cpu(), session.data.shape.input_size)
    close(session)
    return {"recipe": words, "multiplier": multiplier, **metrics, **costs}


def run_arm(
    plan: MobilePlan, slug: str, words: list[str], bands: list[list[Architecture]], images: Images
) -> dict[str, Any]:
    """Train the supernets of an arm and score the networks of all bands."""
    began = time.monotonic()
    session = _open(plan, slug, words, images)
    train_supernets(session)
    evaluator = session.inherited()
    scores: dict[str, list[list[float]]] = {"accuracy": [], "loss": []}
    for networks in bands:
        metrics = [evaluator.evaluate(network) for network in networks]
        scores["accuracy"].append([m["accuracy"] for m in metrics])
        scores["loss"].append([-m["loss"] for m in metrics])
    seen = images_seen(session)
    close(session)
    return {
        "recipe": words,
        "scores": scores,
        "images_seen": seen,
        "seconds": round(time.monotonic() - began),
    }


def scaled(multiplier: float, shape: ImageShape) -> nn.Module:
    """MobileNetV3-small with its widths multiplied, and no stride in the stem."""
    from timm.models.mobilenetv3 import _gen_mobilenet_v3

    model: nn.Module = _gen_mobilenet_v3(
        "mobilenetv3_small_100", multiplier, num_classes=shape.classes, in_chans=shape.channels
    )
    model.conv_stem.stride = (1, 1)  # type: ignore[assignment]
    return model


def scaled_mobilenet(flops: float, shape: ImageShape) -> tuple[float, nn.Module]:
    """The multiplier, and the network, whose FLOPs are nearest to these."""
    assert timm.is_model("mobilenetv3_small_100")
    steps = [SMALLEST + 0.025 * i for i in range(round((LARGEST - SMALLEST) / 0.025) + 1)]
    low, high = 0, len(steps) - 1
    while high - low > 1:
        middle = (low + high) // 2
        costs = measure(scaled(steps[middle], shape), shape.input_size)
        low, high = (middle, high) if costs["flops"] <= flops else (low, middle)
    nearest = min(
        (steps[low], steps[high]),
        key=lambda m: abs(measure(scaled(m, shape), shape.input_size)["flops"] - flops),
    )
    return nearest, scaled(nearest, shape)


def _open(plan: MobilePlan, slug: str, words: list[str], images: Images) -> Session:
    loaded = load_words([*words, *plan.places, f"run={plan.work / slug}"])
    return start(loaded, images.of(loaded.recipe))
