"""The exact words for what a run did, where the usual ones would be false."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fewshot_core.metrics import ACCURACY, LOSS
from fewshot_core.pipeline.report import training_caption
from fewshot_core.plugins import plugin
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import (
    AuditSettings,
    ConstraintSettings,
    DataSettings,
    EvaluatorSettings,
    Recipe,
    recipe_type,
)
from fewshot_core.recipe.trainings import RetrainSettings
from fewshot_core.report.account import Account, classes_text, data_name
from fewshot_core.report.facts import DerivedFacts, RegionFacts, Retrained, RunFacts
from fewshot_core.report.words import comparison, describe_recipe, heading, summary, warn_unaudited
from fewshot_core.runs.checkpoint import StageState
from fewshot_tasks.autogan.settings import MetricSettings

DATA = {"train": 1151, "validation": 56, "test": 359}
COSTS = {"connected_params": 10, "connected_flops": 20}
FOUND = {"score": 1.0, "trial": 0, "costs": COSTS}


def region(name: str, parent: str | None = None, **more: Any) -> RegionFacts:
    state = StageState(1, 1, images=1, history=[[0.0, 1.0]], **more)
    return RegionFacts(name, parent, 0 if parent is None else 1, 5, state)


ONE = [region("root")]
FIVE = [*ONE, *(region(f"r{i}", "root", notes={"inherited": {}}) for i in range(5))]


def chosen(name: str, **more: Any) -> EvaluatorSettings:
    made: EvaluatorSettings = replace(plugin("evaluator", name).default(), **more)
    return made


def account(evaluator: EvaluatorSettings, **more: Any) -> Account:
    return Account(Recipe(recipe="r", evaluator=evaluator), DATA, **more)


@pytest.mark.parametrize(
    ("evaluator", "words"),
    [
        (
            chosen("inherited"),
            "accuracy in % on 56 validation images with the supernet's weights, without training "
            "of its own",
        ),
        (
            chosen("inherited", images=2000),  # more than there are
            "accuracy in % on 56 validation images with the supernet's weights, without training "
            "of its own",
        ),
        (
            chosen("inherited", images=20, score="loss"),
            "loss with its sign turned, on 20 of the 56 validation images with the supernet's "
            "weights, without training of its own",
        ),
        (
            chosen("predictor"),
            "predicted by a small network that learnt from 240 scores: accuracy in % on 56 "
            "validation images with the supernet's weights",
        ),
        (
            chosen("standalone"),
            "accuracy in % on 56 validation images with weights trained from scratch for 5 epochs",
        ),
        (chosen("table", table="t.csv", column="c"), "column c of t.csv"),
        (
            chosen("synflow"),
            "SynFlow of the untrained network, which takes no image; only its order means anything",
        ),
        (
            chosen("naswot"),
            "NASWOT of the untrained network on 64 training images; only its order means anything",
        ),
        (
            chosen("naswot", batch_size=16),
            "NASWOT of the untrained network on 16 training images; only its order means anything",
        ),
    ],
)
def test_what_a_score_is(evaluator: EvaluatorSettings, words: str) -> None:
    assert account(evaluator, regions=ONE, predictor={"samples": 240}).score_meaning() == words


def test_every_region_has_a_supernet_of_its_own() -> None:
    said = account(chosen("inherited"), regions=FIVE).score_meaning()
    assert said == (
        "accuracy in % on 56 validation images with the supernet's weights, one supernet for each "
        "region, without training of its own"
    )


def test_generated_images_are_compared_with_all_validation_images() -> None:
    """evaluator.images means nothing to generators."""
    recipe = recipe_type({"metric": MetricSettings})(
        task="autogan",
        evaluator=chosen("inherited", score="fid", images=20),
        metric=MetricSettings(extractor="classifier", images=500),  # type: ignore[call-arg]
    )
    assert Account(recipe, DATA, ONE).score_meaning() == (
        "FID (classifier, 500 images) with its sign turned, against 56 validation images with the "
        "supernet's weights, without training of its own"
    )


@pytest.mark.parametrize(
    ("evaluator", "regions", "words"),
    [
        ("inherited", ONE, "one-shot neural architecture search (one supernet)"),
        ("inherited", [], "one-shot neural architecture search (one supernet)"),
        ("inherited", FIVE, "few-shot neural architecture search (5 sub-supernets)"),
        (
            "inherited",
            [*FIVE, region("r9", "root", diverged="nan")],
            "few-shot neural architecture search (5 sub-supernets)",
        ),
        (
            "predictor",
            FIVE,
            "few-shot neural architecture search (5 sub-supernets, scores predicted)",
        ),
        # A tree of regions is there, and nobody trained anything for them.
        ("standalone", FIVE, "neural architecture search by short trainings from scratch"),
        ("table", FIVE, "neural architecture search in a table of scores"),
        ("synflow", FIVE, "neural architecture search by a training-free proxy (SynFlow)"),
        ("naswot", ONE, "neural architecture search by a training-free proxy (NASWOT)"),
    ],
)
def test_the_name_of_the_search(evaluator: str, regions: list[RegionFacts], words: str) -> None:
    assert account(chosen(evaluator), regions=regions).method() == words


@pytest.mark.parametrize(
    ("label", "also", "words"),
    [
        (
            "found",
            ["found"],
            "Found by one-shot neural architecture search (one supernet), recipe `r`, strategy "
            "`rea`; then trained from scratch.",
        ),
        (
            "given",
            ["given"],
            "Given by hand, and not found by a search. Trained from scratch in a run of recipe "
            "`r`.",
        ),
        (
            "largest",
            ["largest"],
            "The largest architecture, by parameters, that could be made with params <= 1,000; "
            "not found by a search. Trained from scratch in a run of recipe `r`, as a rival of "
            "what the search found.",
        ),
        (
            "random",
            ["random"],
            "Drawn at random with params <= 1,000, another for each seed, and not found by a "
            "search. Trained from scratch in a run of recipe `r`, as a rival of what the search "
            "found.",
        ),
        (
            "largest",
            ["found", "largest"],
            "The largest architecture, by parameters, that could be made with params <= 1,000; "
            "not found by a search. Trained from scratch in a run of recipe `r`, as a rival of "
            "what the search found. The search of that run found the same architecture.",
        ),
    ],
)
def test_what_a_network_is(label: str, also: list[str], words: str) -> None:
    made = account(chosen("inherited"), regions=ONE)
    limited = replace(made.recipe, constraint=ConstraintSettings(params=1000))
    assert replace(made, recipe=limited).origin(label, also) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (DataSettings(), "digits"),
        (DataSettings(root="/kept/here"), "digits"),
        (DataSettings("torch/cifar10", root="/kept/here"), "torch/cifar10"),
        (DataSettings("images", root="/home/me/flowers"), "images in flowers"),
        (DataSettings("images", root="cifar10/train.tar"), "images in cifar10/train.tar"),
        (DataSettings("images", root="/data/train/"), "images in data/train"),
        (DataSettings("images", root="/"), "images in /"),
        (DataSettings("wds", root="p/train-{0..9}.tar"), "WebDataset shards in p/train-{0..9}.tar"),
        (DataSettings("hfds", root="cornell/flowers"), "cornell/flowers of the Hugging Face Hub"),
    ],
)  # fmt: skip
def test_images_have_the_name_of_their_source(data: DataSettings, words: str) -> None:
    assert data_name(data) == words


def test_a_folder_of_a_hugging_face_data_set(tmp_path: Any) -> None:
    (tmp_path / "pets").mkdir()
    found = data_name(DataSettings("hfds", root=str(tmp_path / "pets")))
    assert found == "Hugging Face data set in pets"


def test_images_without_labels_have_no_classes() -> None:
    assert classes_text(DataSettings(), 10) == "10"
    assert classes_text(DataSettings(labelled=False), 1).startswith("none")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "The recipe's description of itself: “cells on CIFAR-10”."),
        (
            ["split=none"],
            "The recipe's description of itself: “cells on CIFAR-10”. Typed beside it: split=none.",
        ),
        (["data.source=images", "data.root=x"], ""),
        (["data=images", "data.root=x"], ""),
    ],
)
def test_a_recipe_speaks_for_itself_and_of_no_other_images(
    overrides: list[str], words: str
) -> None:
    recipe = Recipe(description="cells on CIFAR-10")
    assert describe_recipe(recipe, RunFacts(overrides=overrides)) == words


def test_the_heading_says_what_was_done() -> None:
    recipe = Recipe(recipe="nasbench201", data=DataSettings("images", root="/me/flowers"))
    assert heading(recipe, RunFacts(found=FOUND, regions=ONE)) == (
        "One-shot neural architecture search (one supernet), strategy rea, on images in flowers."
    )
    said = heading(recipe, RunFacts(regions=ONE))
    assert said == "Networks of images in flowers; no search has ended."


@pytest.mark.parametrize(
    ("evaluator", "audited", "uses"),
    [
        (
            "inherited",
            False,
            (
                "to train supernets, to retrain networks",
                "to score architectures, then with the training images to retrain",
            ),
        ),
        (
            "inherited",
            True,
            (
                "to train supernets, to train the networks of the audit, to retrain networks",
                "to score architectures, then to audit the scores, then with the training images "
                "to retrain",
            ),
        ),
        ("synflow", False, ("to retrain networks", "with the training images to retrain")),
        (
            "naswot",
            False,
            (
                "a batch of them for the scores, to retrain networks",
                "with the training images to retrain",
            ),
        ),
    ],
)
def test_what_images_are_for(evaluator: str, audited: bool, uses: tuple[str, str]) -> None:
    said = account(chosen(evaluator), audited=audited).uses()
    assert (said["train"], said["validation"]) == uses
    assert said["test"] == "held out of the source, for retrained networks alone"


def test_validation_images_may_be_for_nothing() -> None:
    recipe = Recipe(
        evaluator=chosen("table", table="t.csv"),
        retrain=RetrainSettings(use_validation=False),
        data=DataSettings("images", root="x"),
    )
    made = Account(recipe, DATA)
    assert made.uses()["validation"] == "for nothing"
    assert made.uses()["test"] == "for retrained networks alone"


# -- sentences ---------------------------------------------------------------------------------


def row(label: str, name: str, values: list[float], genotype: str = "", many: int = 1) -> Retrained:
    return Retrained(label, name, values, f"{values[0]:.2f}", 1, 1, genotype or label, {}, many)


def test_what_is_given_by_hand_is_not_taken_for_what_was_found() -> None:
    rows = [row("given", "given by hand", [95.0, 96.0]), row("random", "random", [90.0, 91.0])]
    said = " ".join(summary(Recipe(), RunFacts(retrained=rows, data=DATA, found=FOUND), ACCURACY))
    assert "the architecture given by hand reaches 95.00 % (2 seeds) accuracy on the 359" in said
    assert "the one given by hand is 5.00 points higher" in said
    assert "the found one is" not in said
    assert "What is given by hand is no result of the search" in said
    assert "The found one has not been retrained yet" in said


def test_the_found_one_comes_first_whatever_the_order() -> None:
    rows = [row("given", "given by hand", [95.0]), row("found", "found", [94.0])]
    said = " ".join(summary(Recipe(), RunFacts(retrained=rows, found=FOUND), ACCURACY))
    assert "Trained from scratch, it reaches 94.00 % (1 seed)" in said
    assert "The architecture given by hand reaches 95.00 % (1 seed): the found one is 1.00 " in said
    assert "has not been retrained" not in said


def test_random_architectures_are_several_and_the_same_architecture_is_not_compared() -> None:
    rows = [
        row("found", "found", [94.0, 95.0], "g"),
        row("random", "random", [90.0, 91.0], "2 architectures", 2),
        row("one-shot", "choice", [94.0, 95.0], "g"),
    ]
    said = " ".join(summary(Recipe(), RunFacts(retrained=rows, found=FOUND), ACCURACY))
    assert "Random architectures, another for each seed, reach 90.00 % (2 seeds)" in said
    assert "The choice of the one-shot supernet is the same architecture." in said


def test_a_lower_distance_is_called_better() -> None:
    assert "2.00 lower, which is better, a clear" in comparison([1.0, 1.0], [3.0, 3.0], LOSS)
    assert "2.00 higher, which is worse, but one" in comparison([3.0], [1.0], LOSS)


def test_trials_without_a_number_are_told() -> None:
    said = summary(Recipe(), RunFacts(found=FOUND, failed=4), ACCURACY)[0]
    assert said.startswith("In 0 trials (0 different architectures; 4 more gave no number)")


def test_the_plan_of_a_budget_is_told() -> None:
    planned = load_recipe(["recipe=nasbench201", "params=170K", "budget=6.7"]).recipe
    said = summary(planned, RunFacts(found=FOUND), ACCURACY)
    assert any(line.startswith("Budget of 6.7 passes: one supernet is trained") for line in said)
    assert not any("udget" in line for line in summary(Recipe(), RunFacts(found=FOUND), ACCURACY))


def test_one_supernet_names_one_architecture() -> None:
    facts = RunFacts(found=FOUND, regions=ONE, derived=[DerivedFacts("root", 1, {})])
    recipe = Recipe(strategy=plugin("strategy", "darts").default())
    said = summary(recipe, facts, ACCURACY)[0]
    assert said.startswith("By its preferences, the supernet named 1 architecture. It is a network")


@pytest.mark.parametrize(
    ("evaluator", "asked", "words"),
    [
        ("inherited", 0, "was not checked"),
        ("predictor", 0, "was not checked"),
        ("synflow", 0, "was not checked"),
        ("table", 0, ""),
        ("standalone", 0, ""),
        ("inherited", 12, "asks for an audit of 12 networks, and there is none"),
    ],
)
def test_an_audit_that_was_not_made(evaluator: str, asked: int, words: str) -> None:
    recipe = Recipe(evaluator=chosen(evaluator), audit=AuditSettings(asked))
    said = warn_unaudited(recipe, RunFacts())
    assert words in said
    assert bool(said) == bool(words)
    assert ("start a new run" in said) == (bool(words) and not asked)


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        (ONE, "Loss of the supernet on training images."),
        (
            FIVE,
            "Loss of the root supernet and of the supernets of 5 regions on training images; each "
            "starts where the one that it inherits from ends.",
        ),
        (
            [region("a", "root"), region("b", "root")],
            "Loss of the supernets of 2 regions on training images; none inherits from another.",
        ),
        (
            [region("root"), region("a", "root")],  # a learned split without inheritance
            "Loss of the root supernet and of the supernets of 1 region on training images; none "
            "inherits from another.",
        ),
    ],
)
def test_whose_losses_are_drawn(trained: list[RegionFacts], words: str) -> None:
    assert training_caption(trained) == words
