"""The rule that chooses settings for a set of images, on sets of many sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewshot_core.recipe.fitting import (
    SCALES,
    Facts,
    Fitting,
    fit_classifier,
    held_out,
    scale_of,
    standard_error,
)

SIZES = (200, 720, 5_000, 50_000, 1_000_000)


def facts(images: int, **more: Any) -> Facts:
    known: dict[str, Any] = {"classes": 8, "smallest": images // 8, "side": 500, "channels": 3}
    return Facts(images=images, **(known | more))


def fit(images: Facts, **given: Any) -> dict[str, Any]:
    """Values by key; ``supernet_epochs`` of the arguments is ``supernet.epochs``."""
    fitting = Fitting(images, {key.replace("_", ".", 1): value for key, value in given.items()})
    fit_classifier(fitting)
    return {choice.key: choice.value for choice in fitting.choices}


EXPECTED = {
    200: (96, 16, 300, 100, 3, True),
    720: (96, 32, 300, 100, 3, True),
    5_000: (128, 64, 200, 80, 2, True),
    50_000: (160, 128, 120, 60, 1, False),
    1_000_000: (224, 256, 120, 60, 1, False),
}


@pytest.mark.parametrize("images", SIZES)
def test_what_is_chosen_by_the_number_of_images(images: int) -> None:
    chosen = fit(facts(images))
    found = (
        chosen["data.image_size"],
        chosen["supernet.batch_size"],
        chosen["supernet.epochs"],
        chosen["retrain.epochs"],
        chosen["retrain.seeds"],
        chosen.get("data.memory", True),
    )
    assert found == EXPECTED[images]


@pytest.mark.parametrize("images", SIZES)
@pytest.mark.parametrize("tested", [None, 50])
def test_scores_are_measured_on_enough_images(images: int, tested: int | None) -> None:
    chosen = fit(facts(images, tested=tested))
    left = images
    if tested is None:
        left -= round(images * chosen["data.test"])
    else:
        assert "data.test" not in chosen
    validation = round(left * chosen["data.validation"])
    assert validation >= min(99, left // 3 - 1)
    assert validation <= left / 3 + 1
    assert validation <= 10_010
    # Nobody needs to look at ties of accuracies where there are hundreds of images.
    assert chosen.get("evaluator.score") == ("loss" if validation < 500 else None)


def test_720_images_are_no_longer_scored_on_eight() -> None:
    chosen = fit(facts(720))
    assert round(576 * chosen["data.validation"]) == 115
    assert chosen["supernet.batch_size"] == 32
    assert "precision" not in chosen  # which mobile_auto leaves to the device


@pytest.mark.parametrize(
    ("images", "classes", "expected"),
    [
        *[(3, 2, 1), (90, 2, 30), (400, 2, 100), (2_000, 2, 400), (2_000, 100, 500)],
        *[(20_000, 10, 2_500), (400_000, 10, 4_000), (5_000_000, 10, 10_000)],
    ],
)
def test_how_many_are_held_out(images: int, classes: int, expected: int) -> None:
    assert held_out(images, classes) == expected


def test_a_small_set_gives_no_more_than_a_fifth_to_tests() -> None:
    chosen = fit(facts(200, classes=4))
    assert chosen["data.test"] == 0.2
    assert round(160 * chosen["data.validation"]) == 53


def test_the_documented_table_is_the_rule() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "own_images.md").read_text()
    for key, field in COLUMNS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{key}`"))
        cells = [cell.strip() for cell in row.strip("|").split("|")[1:]]
        assert cells == [str(getattr(scale, field)) for scale in SCALES]


COLUMNS = {
    "data.image_size": "side",
    "supernet.batch_size": "batch",
    "supernet.epochs": "supernet_epochs",
    "retrain.epochs": "retrain_epochs",
    "search.trials": "trials",
    "retrain.seeds": "seeds",
    "data.scale": "scale",
    "retrain.augment": "policy",
    "evaluator.recalibrate": "recalibrate",
}
"""Rows of the table and what they are in the code."""


def test_a_standard_error_is_that_of_a_share() -> None:
    assert standard_error(100) == pytest.approx(4.0)
    assert standard_error(2_500) == pytest.approx(0.8)


@pytest.mark.parametrize("images", [4, 10, 40, *SIZES])
@pytest.mark.parametrize("side", [4, 8, 32, 144, 4000])
def test_every_choice_is_within_what_settings_allow(images: int, side: int) -> None:
    chosen = fit(facts(images, side=side, classes=2, smallest=1))
    assert 0 < chosen["data.validation"] < 1
    assert 0 < chosen["data.test"] < 1
    assert chosen["data.image_size"] <= max(8, 1.2 * side)
    for part in ("supernet", "regions", "retrain"):
        assert chosen[f"{part}.lr"] > 0
        assert chosen[f"{part}.batch_size"] % 2 == 0
    assert chosen["supernet.warmup_epochs"] <= chosen["supernet.epochs"]
    assert ("data.pad" in chosen) != ("data.scale" in chosen)


def test_what_is_given_stays_and_the_rest_follows_it() -> None:
    given = fit(facts(720), supernet_batch_size=128, supernet_epochs=10, data_image_size=32)
    assert not {"supernet.batch_size", "supernet.epochs", "data.image_size"} & given.keys()
    assert given["supernet.lr"] == 0.05
    assert given["supernet.warmup_epochs"] == 0.5
    assert given["data.pad"] == 4
    limited = fit(facts(50_000), data_limit=500)
    assert limited["retrain.seeds"] == 3


def test_gray_images_are_not_mirrored() -> None:
    assert "data.flip" not in fit(facts(720, channels=1))
    assert fit(facts(720))["data.flip"] is True


def test_choices_are_a_function_of_the_facts() -> None:
    assert fit(facts(5_000)) == fit(facts(5_000))
    assert [scale_of(count).name for count in (999, 1_000, 99_999, 100_000)] == [
        "hundreds", "thousands", "tens of thousands", "hundreds of thousands",
    ]  # fmt: skip


def test_a_choice_can_be_typed_in_a_shell() -> None:
    fitting = Fitting(facts(720), {})
    fitting.choose("network.depths", [1, 2], "why")
    fitting.choose("data.flip", True, "why")
    assert [choice.word for choice in fitting.choices] == [
        "'network.depths=[1,2]'",
        "data.flip=true",
    ]
