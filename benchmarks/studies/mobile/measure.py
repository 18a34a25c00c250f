"""What the mobile study measures: networks trained from scratch, and scores of supernets."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import timm
from torch import nn

from benchmarks.studies.cifar10 import places_of
from benchmarks.studies.jobs import Job, Rows, make_slug
from benchmarks.studies.mobile.arms import FULL, QUICK, Size
from benchmarks.studies.mobile.show import make_tables, summarise
from benchmarks.studies.runs import Bench, StudyRun
from benchmarks.studies.study import Study
from fewshot_core.costs.table import measure
from fewshot_core.data import ImageShape
from fewshot_core.recipe.schema import Recipe
from fewshot_core.spaces.paths import CostPaths
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.imagenet.task import TASK

BAND = 0.02
"""How far the FLOPs of a band's networks are from its middle, as a share."""

SMALLEST, LARGEST = 0.1, 2.0
"""Multipliers of MobileNetV3-small's widths that are looked at."""


class Mobile(Study):
    """Scores of supernets against networks of equal FLOPs that were trained from scratch."""

    module = "benchmarks.studies.mobile"
    folder = "runs/mobile"
    name = "mobile"
    tables = staticmethod(make_tables)

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.size = QUICK if options.quick else FULL
        self.seeds = self.size.seeds
        # The quick one looks at digits, which come with the program.
        self.needs = None if options.quick else "cifar10"
        places = () if options.quick else places_of(options.data)
        self.bench = Bench(self.size.words, places, work)

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        bench, epochs, bands = self.bench, self.size.epochs, draw_networks(self.bench, self.size)
        words = [*bench.words, "seed=0", f"retrain.epochs={epochs}"]
        jobs = []
        for band, networks in enumerate(bands):
            for number, network in enumerate(networks):
                key, slug = f"truth | {band} | {number}", make_slug("truth", band, number)
                jobs.append(bench.job(key, slug, words, partial(measure_truth, network, epochs)))
        for band, flops in enumerate(self.size.bands):
            key, slug = f"reference | {band}", make_slug("reference", band)
            jobs.append(bench.job(key, slug, words, partial(measure_reference, flops, epochs)))
        for seed in range(self.seeds):
            for arm, settings in self.size.arms().items():
                key, slug = f"{arm} | seed {seed}", make_slug("arm", arm, seed)
                own = [*bench.words, f"seed={seed}", *settings]
                jobs.append(bench.job(key, slug, own, partial(measure_arm, bands)))
        return jobs

    def summarise(self, rows: Rows) -> dict[str, Any]:
        return summarise(rows, self.size)


def draw_networks(bench: Bench, size: Size) -> list[list[Architecture]]:
    """Draw random distinct networks of each band, the same for every job."""
    recipe = bench.recipe()
    table, root = TASK.costs(recipe, shape_of(recipe)), Region.root(TASK.space(recipe))

    def flops(architecture: Architecture) -> float:
        return table.costs(architecture)["connected_flops"]

    bands = []
    for number, middle in enumerate(size.bands):
        rng, found = random.Random(number), dict[Architecture, None]()
        paths = CostPaths(root, flops, middle * (1 - BAND / 2), middle * (1 + BAND / 2))
        while len(found) < size.networks:
            architecture = root.space.plain(paths.draw(rng)[0])
            if abs(flops(architecture) / middle - 1) <= BAND:
                found.setdefault(architecture)
        bands.append(list(found))
    return bands


def shape_of(recipe: Recipe) -> ImageShape:
    """The shape of the recipe's images, without reading them: CIFAR-10, or digits."""
    return ImageShape(1, 8, 10) if recipe.data.source == "digits" else ImageShape(3, 32, 10)


def measure_truth(network: Architecture, epochs: float, run: StudyRun) -> dict[str, Any]:
    """Train a network from scratch, measure it on all validation images."""
    metrics, costs = run.train_standalone(network, epochs), run.costs.costs(network)
    figures = {name: costs[f"connected_{name}"] for name in ("flops", "params")}
    return {"genotype": run.space.genotype(network), **metrics, **figures}


def measure_reference(flops: float, epochs: float, run: StudyRun) -> dict[str, Any]:
    """The same for MobileNetV3-small, its widths scaled to these FLOPs."""
    shape = run.data.shape
    multiplier = find_multiplier(flops, shape)
    make = partial(scale_mobilenet, multiplier, shape)
    metrics, network = run.train_foreign("MobileNetV3-small", make, epochs)
    return {"multiplier": multiplier, **metrics, **measure(network.cpu(), shape.input_size)}


def measure_arm(bands: Sequence[Sequence[Architecture]], run: StudyRun) -> dict[str, Any]:
    """Train the supernets of an arm and score the networks of all bands."""
    run.train_supernets()
    evaluator = run.inherited()
    scores: dict[str, list[list[float]]] = {"accuracy": [], "loss": []}
    for networks in bands:
        metrics = [evaluator.evaluate(network) for network in networks]
        scores["accuracy"].append([m["accuracy"] for m in metrics])
        scores["loss"].append([-m["loss"] for m in metrics])
    return {"scores": scores, "images_seen": run.images_seen()}


def scale_mobilenet(multiplier: float, shape: ImageShape) -> nn.Module:
    """Build MobileNetV3-small with its widths multiplied, and no stride in the stem."""
    from timm.models.mobilenetv3 import _gen_mobilenet_v3

    model: nn.Module = _gen_mobilenet_v3(
        "mobilenetv3_small_100", multiplier, num_classes=shape.classes, in_chans=shape.channels
    )
    model.conv_stem.stride = (1, 1)  # type: ignore[assignment]
    return model


def find_multiplier(flops: float, shape: ImageShape) -> float:
    """Find the multiplier of widths whose network is nearest to these FLOPs."""
    assert timm.is_model("mobilenetv3_small_100")

    def flops_of(multiplier: float) -> float:
        return measure(scale_mobilenet(multiplier, shape), shape.input_size)["flops"]

    steps = [SMALLEST + 0.025 * i for i in range(round((LARGEST - SMALLEST) / 0.025) + 1)]
    low, high = 0, len(steps) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if flops_of(steps[middle]) <= flops else (low, middle)
    return min((steps[low], steps[high]), key=lambda m: abs(flops_of(m) - flops))
