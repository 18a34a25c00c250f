"""Whether and how the supernet is split, seen from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .process import run_here, succeed, words_of
from .tiny import TINY

NO_AUDIT = TINY | {"audit.networks": 0, "search.trials": 3, "strategy.population": 2}
GRADIENTS = {"split": "gradients", "split.samples": 2, "split.groups": "[]"}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def trained(run: Path) -> dict[str, int]:
    """Images that the supernet of each region saw."""
    states = [read(path) for path in run.glob("checkpoints/*/state.json")]
    return {state["notes"]["region"]: state["images"] for state in states if state["done"]}


def leaves(run: Path) -> list[str]:
    return [child["region"]["id"] for child in read(run / "regions.json")["children"]]


def test_regions_by_gradients(truth: Path, tmp_path: Path) -> None:
    words = words_of(NO_AUDIT | GRADIENTS, run="run")
    succeed("search", words, tmp_path)
    run = tmp_path / "run"
    assert len(leaves(run)) == 2
    assert set(trained(run)) == {"root", *leaves(run)}
    before = {path: path.read_bytes() for path in run.glob("checkpoints/*/weights.safetensors")}
    regions = (run / "regions.json").read_bytes()

    (run / "found.json").unlink()  # as if it had been killed just before
    succeed("search", words, tmp_path)
    assert (run / "regions.json").read_bytes() == regions
    assert {path: path.read_bytes() for path in before} == before

    succeed("rank", ["run=run", f"truth={truth}", "column=accuracy"], tmp_path)
    assert "few-shot, 2 regions, by loss" in read(run / "ranking.json")["predictors"]


def test_a_kill_before_the_regions_are_decided(tmp_path: Path) -> None:
    """The parent is there and the regions are not: they are decided again, and alike."""
    words = words_of(NO_AUDIT | GRADIENTS, run="run")
    succeed("search", words, tmp_path)
    whole = read(tmp_path / "run" / "regions.json")
    root = {**whole, "children": []}
    (tmp_path / "run" / "regions.json").write_text(json.dumps(root))
    succeed("search", words, tmp_path)
    assert read(tmp_path / "run" / "regions.json") == whole


def test_too_many_groups(tmp_path: Path) -> None:
    done = run_here(
        "search", words_of(NO_AUDIT | GRADIENTS, run="run", **{"split.count": 6}), tmp_path
    )
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "split.count of at most 5" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("when", ["auto", "never"])
def test_without_a_split_the_parent_gets_the_whole_budget(
    when: str, finished: Path, tmp_path: Path
) -> None:
    done = succeed("search", words_of(NO_AUDIT, run="run", **{"split.when": when}), tmp_path)
    alone, split = trained(tmp_path / "run"), trained(finished)
    assert set(alone) == {"root"}
    assert len(split) == 3
    # The last batch of every training is a whole one.
    assert abs(alone["root"] - sum(split.values())) < 64 * 3
    assert not leaves(tmp_path / "run")
    sentence = read(tmp_path / "run" / "splitting.json")["sentence"]
    assert sentence
    assert sentence[:60] in done.out.replace("\n", " ")
    assert "is not split" not in read(finished / "splitting.json")["sentence"]
    if when == "auto":
        assert "split.when=always" in sentence


def test_without_inheritance_no_parent_is_trained(truth: Path, tmp_path: Path) -> None:
    succeed("search", words_of(NO_AUDIT, run="run", **{"regions.inherit": "false"}), tmp_path)
    run = tmp_path / "run"
    assert set(trained(run)) == set(leaves(run))
    succeed("rank", ["run=run", f"truth={truth}", "column=accuracy"], tmp_path)
    names = [
        name for name in read(run / "ranking.json")["predictors"] if name.startswith(("one", "few"))
    ]
    assert names == ["few-shot, 2 regions, by accuracy", "few-shot, 2 regions, by loss"]


def test_supernets_may_see_smaller_images(finished: Path, truth: Path, tmp_path: Path) -> None:
    """The search runs on 4 pixels; what is trained from scratch has all 8."""
    words = words_of(TINY | {"search.trials": 3, "strategy.population": 2}, run="run")
    succeed("search", [*words, "data.search_size=4"], tmp_path)
    small = tmp_path / "run"
    assert read(small / "costs.json") == read(finished / "costs.json")
    assert read(small / "data.json") == read(finished / "data.json")
    weights = "checkpoints/root/weights.safetensors"
    assert (small / weights).read_bytes() != (finished / weights).read_bytes()
    succeed("retrain", ["run=run"], tmp_path)
    succeed("rank", ["run=run", f"truth={truth}", "column=accuracy"], tmp_path)
