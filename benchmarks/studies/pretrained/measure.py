"""What the study of pretrained weights measures."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.studies.cifar10 import costs_of
from benchmarks.studies.jobs import Job, Rows, lock_file, make_slug
from benchmarks.studies.pretrained.folders import OTHERS, PRETRAINED, make_folder
from benchmarks.studies.pretrained.show import make_tables, summarise
from benchmarks.studies.record import ROOT
from benchmarks.studies.runs import read_supernet
from benchmarks.studies.study import Study
from fewshot_core.costs.table import CostTable
from fewshot_core.recipe.load import load_recipe
from fewshot_core.report.results_of_run import read_result
from fewshot_core.runs.files import read_json, write_json
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.imagenet.pretrained import ofa_weights
from fewshot_tasks.imagenet.supernet import MobileSupernet

WORDS = ("recipe=mobile_cifar", "network.expansions=[3,4,6]", "split=none")
"""A space of once-for-all at lab size: its kernels and expansions, fewer and narrower units."""

BATCHES = (32, 128)
"""Images of a step of the supernet's pretraining: with fewer there are more steps of as many."""

NEAR = 0.03
"""How far the FLOPs of a network of equal FLOPs may be from the other's."""

KERNELS = (3, 5, 3, 5)
"""Kernel sizes that MobileNetV3 has in units 1, 2, 3 and 5 of the space, nearly throughout."""

EXPANSIONS = (3, 3, 3, 6)
"""Its expansions there, to the nearest option."""

DEPTH = 2


@dataclass(frozen=True)
class Size:
    """Sizes of the study.

    Attributes:
        seeds: Seeds of the user's part.
        pretrain: Training images that the supernet sees, and as many MobileNetV3's choices.
        each: Images of a class in the user's folder.
        tested: Test images of a class; None: all.
        adapt: Passes over the user's images in which the supernet is adapted.
        tune: Passes of fine-tuning.
        scratch: Passes of trainings from scratch.
        words: Further settings of every run.
        learned: Images of a class to pretrain on; None: all 5,000.
        batches: Which of :data:`BATCHES` supernets are pretrained with.
    """

    seeds: int
    pretrain: int
    each: int = 125
    tested: int | None = None
    adapt: float = 40
    tune: float = 30
    scratch: float = 120
    words: tuple[str, ...] = ("search.trials=200",)
    learned: int | None = None
    batches: tuple[int, ...] = BATCHES


FULL = Size(3, 600_000)
QUICK = Size(
    1,
    600,
    each=10,
    tested=5,
    adapt=1,
    tune=1,
    scratch=2,
    words=("search.trials=4",),
    learned=20,
    batches=(32,),
)


class Pretrained(Study):
    """A pretrained supernet, specialised to a folder of 500 images of other classes."""

    needs = "cifar10"
    module = "benchmarks.studies.pretrained"
    folder = "runs/pretrained"
    stages = ("pretraining", "folders")
    name = "pretrained"
    tables = staticmethod(make_tables)

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.size = QUICK if options.quick else FULL
        self.seeds, self.data, self.work = self.size.seeds, options.data, work.absolute()

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        how = [*WORDS, *self.size.words, f"pretrain={self.size.pretrain}"]
        if stage == "pretraining":
            jobs = [Job("MobileNetV3", "fixed", how, self._pretrain_fixed)]
            for batch in self.size.batches:
                measure = partial(self._pretrain_supernet, batch)
                key = f"supernet | {_batch(batch)}"
                jobs.append(Job(key, make_slug(key), [*how, _batch(batch)], measure))
            return jobs
        how += [f"{key}={getattr(self.size, key)}" for key in ("each", "adapt", "tune", "scratch")]
        jobs = []
        for batch in self.size.batches:
            if not {f"supernet | {_batch(batch)}", "MobileNetV3"} <= rows.keys():
                continue
            for seed in range(self.seeds):
                measure = partial(self._specialise, batch, seed)
                key = f"{_batch(batch)} | seed {seed}"
                jobs.append(Job(key, make_slug(key), [*how, _batch(batch)], measure))
        return jobs

    def summarise(self, rows: Rows) -> dict[str, Any]:
        return summarise(rows)

    # -- what somebody else does first ---------------------------------------------------------

    def _pretrain_supernet(self, batch: int) -> dict[str, Any]:
        """Train a supernet on six classes, and write it as once-for-all's authors wrote theirs."""
        run = self.work / make_slug("supernet", batch)
        images = self._images("learned", PRETRAINED, self.size.learned)
        epochs = self.size.pretrain / (self._count(images[0]) * 0.9)
        words = [f"supernet.epochs={epochs:.3f}", _batch(batch)]
        words += ["constraint.flops=none", "audit.networks=0"]
        self._tool("search", [*self._words(images), *words, f"run={run}", "search.trials=1"])
        supernet = read_supernet(run)
        assert isinstance(supernet, MobileSupernet)
        torch.save({"state_dict": ofa_weights(supernet)}, self._weights(batch))
        found = read_json(run / "found.json")
        return {
            "images": read_result(run).images["supernets"],
            "accuracy_of_a_random_network": found["score"],
            "file": self._weights(batch).stat().st_size,
        }

    def _pretrain_fixed(self) -> dict[str, Any]:
        """Train MobileNetV3's choices on the same classes, for as many images, and export them."""
        run, images = self.work / "fixed", self._images("learned", PRETRAINED, self.size.learned)
        epochs = self.size.pretrain / self._count(images[0])
        costs = self._costs()
        fixed = mobilenet(costs)
        words = ["evaluator=counting", "constraint.flops=none", "audit.networks=0"]
        words += ["search.trials=1", f"retrain.epochs={epochs:.3f}", "retrain.compare=[]"]
        self._tool("search", [*self._words(images), *words, f"run={run}"])
        self._tool("retrain", [f"run={run}", f"architecture={costs.space.genotype(fixed)}"])
        self._tool("export", [f"run={run}", "label=given", f"out={self._exported()}"])
        found = read_json(run / "retrain.json")["results"][0]
        return {
            "images": found["images_seen"],
            "test_accuracy": found["test"]["accuracy"],
            "flops": found["flops"],
            "params": found["params"],
        }

    # -- what the user does --------------------------------------------------------------------

    def _specialise(self, batch: int, seed: int) -> dict[str, Any]:
        """Search in 500 images with pretrained weights, fine-tune what is found, and its rivals."""
        images = self._images("user", OTHERS, self.size.each, seed)
        run, costs = self.work / make_slug(batch, "seed", seed), self._costs()
        limit = costs.costs(mobilenet(costs))["connected_flops"]
        size = self.size
        began = time.monotonic()
        self._tool(
            "search",
            [
                *self._words(images),
                f"seed={seed}",
                "data.validation=0.2",
                f"supernet.weights={self._weights(batch)}",
                f"supernet.epochs={size.adapt}",
                "supernet.lr=0.02",
                "supernet.batch_size=64",
                "evaluator.score=loss",  # 100 validation images are few for an accuracy
                f"constraint.flops={limit:.0f}",
                "audit.networks=0",
                "retrain.start=inherited",
                f"retrain.epochs={size.tune}",
                f"retrain.head_epochs={size.tune / 10:g}",
                "retrain.lr=0.02",
                "retrain.batch_size=64",
                f"retrain.compare=[largest,timm:local-dir:{self._exported()}]",
                f"run={run}",
            ],
        )
        clock = run / "search_seconds.json"  # of the search itself, and not of going on behind it
        if not clock.exists():
            write_json(clock, round(time.monotonic() - began))
        self._tool("retrain", [f"run={run}"])
        found = read_json(run / "found.json")
        drawn = draw_equal(costs, found["costs"]["connected_flops"], found["id"], seed)
        self._tool("retrain", [f"run={run}", f"architecture={costs.space.genotype(drawn)}"])
        given = f"architecture={found['genotype']}"
        stock = f"retrain.start=timm:local-dir:{self._exported()}"
        self._tool("retrain", [f"run={run}", stock, given])
        scratch = [f"run={run}", "retrain.start=scratch", "retrain.lr=0.1", "retrain.head_epochs=0"]
        self._tool("retrain", [*scratch, given])
        self._tool("retrain", [*scratch, f"retrain.epochs={size.scratch}", given])
        results = read_json(run / "retrain.json")["results"]
        return {
            "search_seconds": read_json(clock),
            "limit": limit,
            "networks": {
                name_arm(row, found["id"]): {
                    "accuracy": row["test"]["accuracy"],
                    "flops": row["flops"],
                    "params": row["params"],
                    "images": row["images_seen"],
                    "genotype": row["genotype"].replace(str(self.work), "."),
                }
                for row in results
            },
        }

    # -- places and tools ----------------------------------------------------------------------

    def _words(self, images: tuple[Path, Path]) -> list[str]:
        train, test = images
        places = ["data.source=images", f"data.root={train}", f"data.test_root={test}"]
        named = dict(word.split("=", 1) for word in (*WORDS, *self.size.words, *places))
        return [f"{key}={value}" for key, value in named.items()]

    def _weights(self, batch: int) -> Path:
        return self.work / f"supernet_six_classes_{batch}.pth"

    def _exported(self) -> Path:
        return self.work / "mobilenetv3_six_classes"

    def _images(
        self, name: str, classes: Sequence[str], each: int | None, seed: int = 0
    ) -> tuple[Path, Path]:
        """The folders of training and test images."""
        train, test = self.work / f"{name}-{seed}", self.work / f"{name}-test"
        lock = self.work / "locks" / "folders.lock"
        with lock_file(lock, wait=True):  # two workers want the same ones
            make_folder(self.data / "cifar10" / "train.tar", classes, train, each, seed)
            make_folder(self.data / "cifar10" / "test.tar", classes, test, self.size.tested)
        return train, test

    def _count(self, folder: Path) -> int:
        return sum(1 for _ in folder.glob("*/*"))

    def _costs(self) -> CostTable:
        return costs_of(load_recipe(WORDS, drop_unread=True).recipe)

    def _tool(self, name: str, words: Sequence[str]) -> None:
        """Run a tool as a user does, or continue it."""
        tool = ROOT / "tools" / f"{name}.py"
        subprocess.run([sys.executable, str(tool), *words], check=True)


def _batch(images: int) -> str:
    return f"supernet.batch_size={images}"


def mobilenet(costs: CostTable) -> Architecture:
    """The choices of MobileNetV3-Large, as near as the space has them."""
    choices: list[int] = []
    for decision in costs.space.decisions:  # as unit2_depth, unit2_block1_kernel
        unit, *_, kind = decision.name.split("_")
        place = int(unit.removeprefix("unit")) - 1
        kinds = {"depth": DEPTH, "kernel": KERNELS[place], "expansion": EXPANSIONS[place]}
        choices.append(kinds[kind])
    return costs.space.plain(Architecture(costs.space.name, tuple(choices)))


def draw_equal(costs: CostTable, flops: float, other: str, seed: int) -> Architecture:
    """A random architecture of about as many FLOPs; not the one whose id is ``other``."""
    root, rng = Region.root(costs.space), random.Random(seed)
    while True:
        drawn = costs.space.plain(root.sample(rng))
        near = abs(costs.costs(drawn)["connected_flops"] / flops - 1) <= NEAR
        if near and drawn.id != other:
            return drawn


def name_arm(row: dict[str, Any], found: str) -> str:
    """What a result of ``retrain.json`` is in the study."""
    if row["id"] == found:
        if row["start"] == "scratch":
            longer = "retrain.epochs" in row["settings"]
            return "found, from scratch, longer" if longer else "found, from scratch"
        return "found" if row["start"] == "inherited" else "found, from MobileNetV3"
    if row["label"].startswith("timm:"):
        return "MobileNetV3"
    return "largest" if row["label"].startswith("largest") else "random"
