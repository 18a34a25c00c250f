"""What reports and cards say of made-up runs, held against small statements of what is true.

The facts of a run are made here and known, so every sentence can be wrong. Hundreds of
combinations of recipe and state are looked at, each as a page and as a card.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from html import unescape
from pathlib import Path
from typing import Any

from fewshot_core.export.card import model_card
from fewshot_core.export.published import Published
from fewshot_core.metrics import ACCURACY, LOSS, Metric
from fewshot_core.pipeline.report import training_caption
from fewshot_core.plugins import plugin, plugins
from fewshot_core.recipe.schema import (
    ConstraintSettings,
    DataSettings,
    Recipe,
    default_split,
    recipe_type,
)
from fewshot_core.recipe.trainings import RetrainSettings
from fewshot_core.report.account import account_of
from fewshot_core.report.facts import (
    AuditFacts,
    Correlation,
    DerivedFacts,
    RegionFacts,
    Retrained,
    RunFacts,
    TrialFacts,
)
from fewshot_core.report.headline import Tile, tiles
from fewshot_core.report.html import render
from fewshot_core.report.page import Page
from fewshot_core.runs.checkpoint import StageState

EVALUATORS = tuple(plugins("evaluator"))
STRATEGIES = tuple(plugins("strategy"))
SPLITTERS = tuple(plugins("splitter"))
TREES = ("one", "inherits", "alone", "diverged")
RETRAINED = ("", "found", "found random largest", "found one-shot given", "given", "largest")
COUNTS = {"train": 40, "validation": 56, "test": 70}
PHOTOS = DataSettings(source="images", root="/home/me/flowers", labelled=True)
FOUND = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@dataclass(frozen=True)
class Case:
    """A run."""

    evaluator: str
    strategy: str
    tree: str
    retrained: str
    seeds: int
    searched: bool
    audited: bool
    images: int | None
    splitter: str

    @property
    def differentiable(self) -> bool:
        return plugin("strategy", self.strategy).differentiable

    @property
    def supernets(self) -> bool:
        return plugin("evaluator", self.evaluator).inherits

    @property
    def split(self) -> bool:
        return self.supernets and self.tree != "one"

    def recipe(self) -> Recipe:
        evaluator, strategy = plugin("evaluator", self.evaluator), plugin("strategy", self.strategy)
        known = {"images": self.images, "table": "scores.csv", "column": "acc"}
        settings = evaluator.default()
        named = {field.name for field in fields(settings)}
        return recipe_type(strategy.sections)(
            recipe="nasbench201",
            description="few-shot cell search on CIFAR-10, half an hour on two cores",
            data=PHOTOS,
            evaluator=replace(settings, **{k: v for k, v in known.items() if k in named}),
            strategy=strategy.default(),
            split=default_split(self.splitter),
            retrain=RetrainSettings(seeds=self.seeds, use_validation=self.seeds == 1),
        )


def state(**more: Any) -> StageState:
    return StageState(4, 4, images=64, seconds=1.0, history=[[0.0, 2.0], [1.0, 1.0]], **more)


def regions(case: Case) -> list[RegionFacts]:
    """As a run writes them: the tree is there whatever the evaluator, weights are not."""
    if not case.supernets:
        found = [RegionFacts("root", None, 0, 10, None)]
        split = [RegionFacts(f"r{i}", "root", 1, 5, None) for i in range(3)]
        return found if case.tree == "one" else [*found, *split]
    if case.tree == "one":
        return [RegionFacts("root", None, 0, 10, state(notes={"region": "root"}))]
    notes = {"inherited": {"copied": 7, "sliced": [], "fresh": ["head"]}}
    own = {} if case.tree == "alone" else notes
    root = None if case.tree == "alone" else state()
    children = [RegionFacts(f"r{i}", "root", 1, 5, state(notes=dict(own))) for i in range(3)]
    if case.tree == "diverged":
        children[1] = RegionFacts("r1", "root", 1, 5, state(diverged="loss is nan"))
    return [RegionFacts("root", None, 0, 10, root), *children]


def row(label: str, seeds: int) -> Retrained:
    many = 3 if label == "random" and seeds > 1 else 1
    genotype = FOUND if label in ("found", "one-shot") else f"|{label}|"
    values = [90.0 + seed for seed in range(seeds)]
    return Retrained(label, f"[{label}]", values, "91.00", 10, 20, genotype, {}, many)


def facts(case: Case) -> RunFacts:
    trials = [TrialFacts(i, FOUND, f"id{i}", "root", float(i % 5), 10 + i, 20) for i in range(12)]
    audit = AuditFacts(
        5.0, [1.0, 2.0, 3.0], [90.0, 91.0, 92.0],
        {"connected_params": [1.0, 2.0, 3.0], "connected_flops": [20.0, 20.0, 20.0]},
        Correlation(1.0, 1.0, 1.0),
        {"connected_params": Correlation(0.0, -1.0, 1.0),
         "connected_flops": Correlation(0.0, -1.0, 1.0)},
        20.0, 12, 12, 1,
    )  # fmt: skip
    costs = {"connected_params": 14, "connected_flops": 20}
    # What is handed over has no choices that say nothing, so its id may be of no trial.
    found = {"id": "plain", "genotype": FOUND, "score": 4.0, "trial": 4, "costs": costs}
    derived = []
    if case.differentiable:
        derived = [DerivedFacts("root", 1, {"op": {"a": 0.7, "b": 0.3}})]
    return RunFacts(
        trials=trials if case.searched else [],
        partial=3 if case.searched and case.strategy == "hyperband" else 0,
        found=found if case.searched else None,
        audit=audit if case.searched and case.audited else None,
        regions=regions(case),
        derived=derived,
        predictor={"samples": 240, "held_out": 60} if case.evaluator == "predictor" else None,
        retrained=[row(label, case.seeds) for label in case.retrained.split()],
        data={"source": "images", **COUNTS, "channels": 1, "image_size": 8, "classes": 4},
        overrides=["data.source=images", "data.root=/home/me/flowers"],
        spent=dict.fromkeys(trained(case), (64, 1.0)),
    )


def trained(case: Case) -> list[str]:
    """What a run of this kind trains, as the first screen names it."""
    parts = ["supernets"] if case.supernets else []
    parts += ["trainings"] if case.evaluator == "standalone" else []
    parts += ["audit"] if case.searched and case.audited else []
    return [*parts, *(["retraining"] if case.retrained else [])]


def cases() -> Iterator[Case]:
    every = itertools.product(
        EVALUATORS, STRATEGIES, TREES, RETRAINED,
        (1, 3), (True, False), (True, False), (None, 9, 2000),
    )  # fmt: skip
    for place, values in enumerate(every):
        if place % 31:  # every pair of values is still met several times
            continue
        tree = values[2]
        cutting = [name for name in SPLITTERS if plugin("splitter", name).cuts == (tree != "one")]
        case = Case(*values, splitter=cutting[place % len(cutting)])
        if case.differentiable and case.evaluator != "inherited":
            continue  # the recipe is refused
        if not case.searched and (not case.retrained or "found" in case.retrained):
            continue
        yield case


def page(case: Case, known: RunFacts) -> tuple[str, int]:
    """The words of the page, captions among them and not the recipe's text; its bold rows."""
    html = render(Page(Path("runs/r"), case.recipe(), "", ACCURACY, known))
    bold = html.count('<tr class="mark">')
    html = html.partition("<h2>Settings")[0].partition("</style>")[2]
    trained = [region for region in known.regions if region.state is not None]
    captions = f" {training_caption(trained)}" if trained else ""
    return unescape(re.sub(r"<[^>]*>", " ", html.replace("<wbr>", ""))) + captions, bold


def card(case: Case, label: str) -> str:
    results = [
        {
            "label": one, "seed": seed, "id": "x" if one in ("found", "one-shot") else one,
            "genotype": FOUND, "test": {"accuracy": 90.0 + seed}, "params": 10, "flops": 20,
            "fvcore_flops": 21, "images_seen": 100, "training_seconds": 1.0,
        }
        for one in case.retrained.split()
        for seed in range(case.seeds)
    ]  # fmt: skip
    known = facts(case)
    return model_card(
        model_name="cell",
        account=account_of(case.recipe(), known),
        result=next(r for r in results if r["label"] == label),
        results=results,
        comparison=[(one, "91.00", "10") for one in case.retrained.split()],
        metric=ACCURACY,
        data=known.data,
        classes=("daisy", "rose", "tulip", "violet"),
        environment={
            "processor": "p", "accelerator": "cpu", "packages": {"torch": "1", "timm": "2"},
            "date": "d",
        },
        differences={"timm": 0.0, "onnx": 0.0},
        latency=1.0,
        published=Published(),
    )  # fmt: skip


def first_screen(case: Case) -> dict[str, Tile]:
    """The four numbers by what they are about."""
    shown = tiles(Page(Path("runs/r"), case.recipe(), "", ACCURACY, facts(case)))
    return dict(zip(("test", "cost", "spent", "trust"), shown, strict=True))


def require_truth(text: str, case: Case, subject: str = "") -> None:
    """What has to hold of whatever is said of a run."""
    lower = text.lower()
    assert ("few-shot" in lower) <= case.split
    assert ("one-shot" in lower) <= (
        (case.supernets and not case.split) or "one-shot" in case.retrained
    )
    if not case.supernets:
        assert not re.search(r"(?<!one-shot )supernet", lower)
    assert "cifar-10" not in lower
    assert "flowers" in lower
    for given, part in re.findall(r"([\d,]+) (training|validation|test) image", text):
        known = {"training": "train"}.get(part, part)
        assert int(given.replace(",", "")) <= COUNTS[known], text
    for given, whole in re.findall(r"([\d,]+) of the ([\d,]+) validation images", text):
        assert int(given) < int(whole) == COUNTS["validation"]
        assert int(given) == case.images
    # A score is said to come of images, weights or trainings only where it does.
    said = account_of(case.recipe(), facts(case)).score_meaning()
    assert (said in text) == case.searched
    assert ("trained from scratch" in said) == (case.evaluator == "standalone")
    assert ("validation images" in said) == plugin("evaluator", case.evaluator).measures
    assert ("40 training images" in said) == (case.evaluator == "naswot")
    assert ("supernet" in said) == case.supernets
    assert ("predicted" in said) == (case.evaluator == "predictor")
    assert "once, after all choices" not in text
    assert "measured once" not in text
    assert "None" not in text
    assert "±" not in text or case.seeds > 1, subject


def test_every_page_is_true() -> None:
    count = 0
    for case in cases():
        text, bold = page(case, facts(case))
        require_truth(text, case)
        assert bold == text.count("the found one is bold")
        assert (bold > 0) == case.searched
        labels = case.retrained.split()
        if case.searched and "found" not in labels:
            assert "has not been retrained yet" in text
        else:
            assert "has not been retrained yet" not in text
        if "found" not in labels:
            assert "it reaches" not in text
            assert "the found one is" not in text.replace("the found one is bold", "")
        assert ("given by hand" in text) == ("given" in labels)
        assert ("audit" in text) or not case.audited or not case.searched
        inherits = case.supernets and case.tree in ("inherits", "diverged")
        assert ("inherits from ends" in text) == inherits
        assert ("tensors inherited" in text) == inherits
        assert ("Diverged, and left out" in text) == (case.supernets and case.tree == "diverged")
        count += 1
    assert count > 600


def test_every_first_screen_is_true() -> None:
    """Every evaluator and strategy of the registry, and a run at every stage."""
    count = 0
    for case in cases():
        screen = first_screen(case)
        words = {
            name: " ".join([tile.label, tile.value, *tile.lines, tile.command])
            for name, tile in screen.items()
        }
        labels = case.retrained.split()
        tested = "found" in labels
        assert screen["test"].known == tested
        assert ("fewshot retrain" in words["test"]) == (case.searched and not tested)
        assert ("clear difference" in words["test"]) == (
            tested and case.seeds > 1 and len({"random", "largest"} & set(labels)) > 0
        )
        assert ("random" in words["test"]) == (tested and "random" in labels)
        assert screen["cost"].known == case.searched
        assert "limit of" not in words["cost"]  # none is set
        spent = trained(case)
        assert screen["spent"].known == (bool(spent) or case.searched)
        assert ("supernets" in words["spent"]) == case.supernets
        assert ("Nothing was trained" in words["spent"]) == (case.searched and not spent)
        for part in ("trainings", "audit", "retraining"):
            assert (part in words["spent"].split("training", 2)[-1]) <= (part in spent)
        audited = case.searched and case.audited
        assert ("network" in words["trust"] and "trained to find out" in words["trust"]) == audited
        assert ("trusted" in screen["trust"].value) <= audited
        if not case.searched:
            assert screen["trust"].value == "No scores yet"
        elif not audited:
            told = case.evaluator in ("counting", "standalone", "table")
            assert (screen["trust"].value == "Not audited") == told
        count += 1
    assert count > 500


def test_trainings_with_other_settings_are_trainings() -> None:
    """What was trained otherwise than the recipe says is named so, and compared with its like."""
    case = next(case for case in cases() if case.searched and case.retrained == "found")
    rows = [row(f"{label}, retrain.epochs=9", 3) for label in ("random", "found", "largest")]
    known = replace(facts(case), retrained=[row("given", 3), *rows, row("random", 3)])
    text, _ = page(case, known)
    assert "has not been retrained yet" not in text
    assert "the found one (retrain.epochs=9) reaches 91.00" in text
    first = tiles(Page(Path("runs/r"), case.recipe(), "", ACCURACY, known))[0]
    assert first.known
    assert first.label == "Test accuracy, 3 seeds, retrain.epochs=9"
    assert len(first.lines) == 2  # not with the random ones of the recipe's own settings
    own = replace(known, retrained=[*known.retrained, row("found", 3)])
    first = tiles(Page(Path("runs/r"), case.recipe(), "", ACCURACY, own))[0]
    assert (first.label, len(first.lines)) == ("Test accuracy, 3 seeds", 1)


def test_what_is_clearly_better_or_worse_is_marked() -> None:
    case = next(case for case in cases() if case.searched and case.retrained == "found")

    def tile(metric: Metric, *found: float) -> Tile:
        mine = replace(row("found", 3), values=list(found))
        rows = [mine, replace(row("random", 3), genotype="|other|")]  # 90, 91, 92
        known = replace(facts(case), retrained=rows)
        return tiles(Page(Path("runs/r"), case.recipe(), "", metric, known))[0]

    assert tile(ACCURACY, 98.0, 98.1, 98.2).state == "good"
    assert tile(ACCURACY, 80.0, 80.1, 80.2).state == "bad"
    assert tile(ACCURACY, 90.0, 91.0, 92.0).state == ""
    assert tile(LOSS, 80.0, 80.1, 80.2).state == "good"
    assert "10.90 better than random" in tile(LOSS, 80.0, 80.1, 80.2).lines[0]
    assert "10.90 points worse than random" in tile(ACCURACY, 80.0, 80.1, 80.2).lines[0]


def test_a_stock_model_is_a_rival_with_its_cost() -> None:
    case = next(case for case in cases() if case.searched and case.retrained == "found")
    stock = replace(row("scratch:resnet18", 3), genotype="scratch:resnet18", flops=1_820_000)
    mine = replace(row("found", 3), values=[98.0, 98.1, 98.2])

    def tile(label: str) -> Tile:
        known = replace(facts(case), retrained=[mine, replace(stock, label=label)])
        return tiles(Page(Path("runs/r"), case.recipe(), "", ACCURACY, known))[0]

    said = tile("scratch:resnet18").lines[0].replace("\u00a0", " ")
    assert said.startswith("7.10 points better than timm's resnet18, 1.82 M FLOPs (91.00 %)")
    assert "timm's resnet18, published weights, 1.82 M" in tile("timm:resnet18").lines[0].replace(
        "\u00a0", " "
    )
    assert tile("timm:resnet18").state == "good"
    local = tile("timm:local-dir:/a/mine").lines[0].replace("\u00a0", " ")
    assert "than the model in the folder mine with its weights, 1.82 M FLOPs" in local


def test_a_cost_is_told_against_its_limit() -> None:
    case = next(case for case in cases() if case.searched)
    limits = ConstraintSettings(flops=40, params=10)
    recipe = replace(case.recipe(), constraint=limits)
    cost = tiles(Page(Path("runs/r"), recipe, "", ACCURACY, facts(case)))[1]
    assert cost.value == "20 FLOPs"
    assert cost.lines[:2] == [
        "50 % of the limit of 40 FLOPs.",
        "140 % of the limit of 10 parameters.",
    ]
    assert cost.state == "bad"


def test_every_card_is_true() -> None:
    count = 0
    for case in cases():
        for label in case.retrained.split():
            text = card(case, label)
            require_truth(text, case, label)
            first = text.split("Its architecture:")[0]
            if label == "found":
                assert "Found by" in first
                assert "not found by" not in first
            elif label != "one-shot":
                assert "ot found by a search" in first
            assert ("Given by hand" in first) == (label == "given")
            same = label == "one-shot" and "found" in case.retrained
            found = label == "found" or (same and case.searched)
            assert ("sub-supernets" in text) == (case.split and found)
            # Of what the search of a split supernet did not find, few-shot NAS is not said.
            few_shot = case.split and found and case.searched
            assert ("found by few-shot NAS" in text) == few_shot
            assert ("- few-shot-nas\n" in text) == few_shot
            assert ("few-shot" in text.lower()) <= found
            assert ("The search of that run found the same" in first) == same
            assert ("the first of" in text) == (case.seeds > 1)
            assert 'convert("L")' in text
            assert "grayscale (1 channel)" in text
            assert "daisy, rose, tulip, violet" in text
            assert "No search was ended" in text or case.searched
            both = "the 40 training and 56 validation images"
            assert (both in text) == (case.seeds == 1)  # with retrain.use_validation
            count += 1
    assert count > 600
