"""What a card says of limits, and its metadata as the Hugging Face Hub reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from scipy import stats

from fewshot_core.export.card import share_interval
from fewshot_core.export.front_matter import Measured, front_matter, hub_name
from fewshot_core.export.int8_facts import STATED_LOSS, Int8Facts, int8_text
from fewshot_core.metrics import ACCURACY, LOSS
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import DataSettings
from fewshot_core.report.account import Account

FACTS = Int8Facts(
    float32={"accuracy": 91.25, "loss": 0.3},
    int8={"accuracy": 91.0, "loss": 0.31},
    calibrated=512,
    milliseconds=(1.0, 0.5),
    ratio=0.5,
    quartiles=(0.4, 0.6),
    pairs=51,
    threads=2,
    processor="a processor",
    sizes=(204800, 61440),
)


def front(license: str = "", **data: object) -> str:
    recipe = load_recipe(["recipe=digits"]).recipe
    recipe = replace(recipe, data=replace(recipe.data, **data))
    return front_matter(
        model_name="cell",
        account=Account(recipe, {"test": 70, "train": 40}),
        labels=["found"],
        license=license,
        task="image-classification",
        library="timm",
        tags=["timm"],
        measured=[
            Measured("accuracy", "test accuracy (%)", 91.254321),
            Measured("loss", "loss", 3),
        ],
    )


def test_the_hub_reads_the_metadata() -> None:
    data = ModelCard(front("mit", source="hfds", root="me/flowers") + "\n# cell\n").data
    assert (data.license, data.library_name) == ("mit", "timm")
    assert data.pipeline_tag == "image-classification"
    assert data.datasets == ["me/flowers"]
    assert data.metrics == ["accuracy", "loss"]
    assert data.model_name == "cell"
    first, second = data.eval_results or []
    assert (first.metric_name, first.metric_value) == ("test accuracy (%)", 91.2543)
    assert (first.dataset_type, first.dataset_split) == ("me/flowers", "test")
    assert first.dataset_args == {"images": 70}
    assert second.metric_type == "loss"


def test_what_is_not_known_is_not_there() -> None:
    data = ModelCard(front()).data.to_dict()
    assert not {"license", "license_name", "datasets"} & set(data)
    assert "few-shot-nas" not in data["tags"]
    named = ModelCard(front("other:ours")).data.to_dict()
    assert (named["license"], named["license_name"]) == ("other", "ours")


def test_data_sets_that_the_hub_knows(tmp_path: Path) -> None:
    assert hub_name(DataSettings(source="torch/cifar10")) == "uoft-cs/cifar10"
    assert hub_name(DataSettings(source="hfds", root=str(tmp_path))) is None
    assert hub_name(DataSettings(source="images", root="me/flowers")) is None


@pytest.mark.parametrize(("right", "count"), [(0, 5), (328, 359), (70, 70), (5, 10)])
def test_the_interval_of_a_share(right: int, count: int) -> None:
    expected = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert share_interval(right / count, count) == pytest.approx(tuple(expected), abs=1e-4)


def test_what_int8_loses_is_said() -> None:
    text = int8_text(FACTS, ACCURACY)
    assert "| test accuracy (%) | 91.25 | 91.00 |" in text
    assert "int8 loses 0.25 points, which is not more than 1." in text
    assert "int8 takes 0.50 times as long" in text
    assert "2 threads on the CPU (a processor)" in text
    assert "not faster" not in text
    worse = replace(FACTS, int8={"accuracy": 91.25 - STATED_LOSS - 0.1}, ratio=1.2)
    text = int8_text(worse, ACCURACY)
    assert "**int8 loses 1.10 points, which is more than 1: use float32" in text
    assert "**int8 is not faster here.**" in text
    assert "loses nothing" in int8_text(replace(FACTS, int8={"accuracy": 91.25}), ACCURACY)


def test_where_less_is_better_more_is_a_loss() -> None:
    assert "**int8 loses 2.00 loss" in int8_text(replace(FACTS, int8={"loss": 2.3}), LOSS)
