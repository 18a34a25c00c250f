"""Folders, files and words that a run cannot be continued with end with code 2 and one line."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from .damage import flip_a_bit, truncate
from .process import run_here, run_tool, succeed, words_of
from .refusals import contents, refused
from .tiny import TINY

# -- the run folder ------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    # Root may write everywhere, but not below a file.
    (tmp_path / "file").write_text("kept")
    words = words_of(TINY, run="file/run")
    refused(run_here("search", words, tmp_path), "file/run", "choose another run=DIR")
    assert contents(tmp_path) == {"file": b"kept"}


def test_a_folder_of_another_recipe(copy: Path) -> None:
    before = contents(copy)
    words = words_of(TINY, run="run", seed=1)
    refused(
        run_tool("search", words, copy.parent),
        "the run of another recipe",
        "seed: 0 -> 1",
        "choose another run=DIR",
    )
    assert contents(copy) == before


def test_a_damaged_recipe(copy: Path) -> None:
    (copy / "recipe.yaml").write_text("network: [")
    before = contents(copy)
    refused(run_tool("search", words_of(TINY, run="run"), copy.parent), "recipe.yaml")
    refused(run_tool("retrain", ["run=run"], copy.parent), "recipe.yaml")
    assert contents(copy) == before


@pytest.mark.parametrize("tool", ["retrain", "export", "report"])
def test_no_run(tool: str, tmp_path: Path) -> None:
    done = run_here(tool, ["run=nowhere"], tmp_path)
    refused(done, "nowhere is no run folder", "fewshot search", "run=DIR")
    refused(run_here(tool, [], tmp_path), "run=DIR", "recipe=NAME")
    assert not any(tmp_path.iterdir())


def test_the_order_of_the_tools(copy: Path) -> None:
    (copy / "retrain.json").unlink()
    done = run_tool("export", ["run=run"], copy.parent)
    refused(done, "run holds no retrained network", "run fewshot retrain run=run first")
    (copy / "found.json").unlink()
    before = contents(copy)
    done = run_tool("retrain", ["run=run"], copy.parent)
    refused(done, "run holds no finished search", "fewshot search recipe=digits run=run")
    assert contents(copy) == before


def test_words_of_the_tools(copy: Path) -> None:
    before = contents(copy)
    folder = copy.parent
    refused(
        run_tool("export", ["run=run", "label=best"], folder), "'best'", "found, random, largest"
    )
    refused(run_tool("export", ["run=run", "lable=found"], folder), "did you mean 'label'")
    words = ["run=run", "architecture=|conv~0|"]
    refused(run_tool("retrain", words, folder), "not a cell", "|conv~0|", "allowed: like |none~0|")
    operation = "|nor_conv_9x9~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    words = ["run=run", f"architecture={operation}"]
    refused(run_tool("retrain", words, folder), "'nor_conv_9x9'", "did you mean 'nor_conv")
    (folder / "file").write_text("")
    words = ["run=run", "out=file/export"]
    refused(run_tool("export", words, folder), "cannot write file/export")
    assert contents(copy) == before


# -- damage --------------------------------------------------------------------------------


def remove(path: Path) -> None:
    path.unlink()


REGION = "checkpoints/edge_1_0=none+skip_connect"


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, remove])
@pytest.mark.parametrize("place", ["checkpoints/root", REGION, "retrain"])
def test_a_damaged_checkpoint(
    damage: Callable[[Path], None], place: str, copy: Path, finished: Path
) -> None:
    stage = next((copy / "retrain").iterdir()) if place == "retrain" else copy / place
    tool, words = ("search", words_of(TINY, run="run"))
    if place == "retrain":
        tool, words = "retrain", ["run=run"]
    damage(stage / "weights.safetensors")
    before = contents(copy)
    name = str(stage.relative_to(copy.parent))
    remedy = f"delete {name} to train this stage again"
    refused(run_tool(tool, words, copy.parent), f"{name}/weights.safetensors is ", remedy)
    assert contents(copy) == before
    if damage is flip_a_bit:
        follow_the_remedy(stage, tool, words, copy, finished)


def follow_the_remedy(stage: Path, tool: str, words: list[str], copy: Path, finished: Path) -> None:
    for path in stage.iterdir():
        path.unlink()
    stage.rmdir()
    succeed(tool, words, copy.parent)
    same = finished / stage.relative_to(copy) / "weights.safetensors"
    assert (stage / "weights.safetensors").read_bytes() == same.read_bytes()
    assert (copy / "trials.csv").read_bytes() == (finished / "trials.csv").read_bytes()


@pytest.mark.parametrize("text", ["{", "[]", '{"surprise": 1}'])
def test_a_damaged_state(text: str, copy: Path) -> None:
    (copy / REGION / "state.json").write_text(text)
    before = contents(copy)
    done = run_tool("search", words_of(TINY, run="run"), copy.parent)
    refused(done, f"{REGION}/state.json", f"delete run/{REGION}")
    assert contents(copy) == before


def test_a_checkpoint_that_brings_code(copy: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (copy.parent / "executed",)

    # All the checksums fit: somebody made this run to be opened by others.
    stage = copy / "checkpoints" / "root"
    torch.save({"model": Code()}, stage / "step-00000002.pt")
    digest = hashlib.sha256((stage / "step-00000002.pt").read_bytes()).hexdigest()
    state = json.loads((stage / "state.json").read_text())
    state |= {"done": False, "step": 2, "file": "step-00000002.pt", "sha256": digest}
    (stage / "state.json").write_text(json.dumps(state))
    before = contents(copy)
    done = run_tool("search", words_of(TINY, run="run"), copy.parent)
    refused(done, "checkpoints/root/step-00000002.pt cannot be read", "delete run/checkpoints/root")
    assert not (copy.parent / "executed").exists()
    assert contents(copy) == before


def overwrite(path: Path) -> None:
    path.write_bytes(b"no study" * 400)


def break_a_block(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1024:2048] = bytes(1024)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [overwrite, break_a_block])
def test_a_damaged_study(damage: Callable[[Path], None], copy: Path, finished: Path) -> None:
    damage(copy / "study.log")
    before = contents(copy)
    words = words_of(TINY, run="run")
    done = run_tool("search", words, copy.parent)
    refused(done, "study.log cannot be opened", "delete run/study.log to search again")
    assert contents(copy) == before
    if damage is overwrite:
        (copy / "study.log").unlink()
        succeed("search", words, copy.parent)
        assert (copy / "trials.csv").read_bytes() == (finished / "trials.csv").read_bytes()


def test_a_study_that_was_cut_short_is_completed(copy: Path, finished: Path) -> None:
    """Half a journal is one that a kill has left, and the search goes on from there."""
    truncate(copy / "study.log")
    succeed("search", words_of(TINY, run="run"), copy.parent)
    assert (copy / "trials.csv").read_bytes() == (finished / "trials.csv").read_bytes()


@pytest.mark.parametrize("text", ["{", "[]", '{"choices": {"edge_1_0": "none"}}', "\0"])
def test_a_damaged_find(text: str, copy: Path) -> None:
    (copy / "found.json").write_text(text)
    before = contents(copy)
    done = run_tool("retrain", ["run=run"], copy.parent)
    refused(done, "run/found.json", "fewshot search recipe=digits run=run")
    assert contents(copy) == before


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_damaged_results(text: str, copy: Path) -> None:
    (copy / "retrain.json").write_text(text)
    before = contents(copy)
    done = run_tool("export", ["run=run"], copy.parent)
    refused(done, "run/retrain.json", "run fewshot retrain run=run again")
    assert contents(copy) == before


# -- tables --------------------------------------------------------------------------------

Row = list[object]


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def write_rows(path: Path, rows: list[Any]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def no_column(rows: list[Any]) -> None:
    rows[0][1] = "acuracy"


def unknown_architecture(rows: list[Any]) -> None:
    rows[3][0] = rows[3][0].replace("~0|", "_conv~0|", 1)


def duplicate(rows: list[Any]) -> None:
    rows.append([rows[1][0], 50])


def not_a_number(rows: list[Any]) -> None:
    rows[2][1] = math.nan


TABLES: dict[str, tuple[Callable[[list[Any]], None], tuple[str, ...]]] = {
    "column": (no_column, ("truth.csv", "no column 'accuracy'", "acuracy")),
    "architecture": (unknown_architecture, ("row 3", "unknown operation", "allowed:")),
    "duplicate": (duplicate, ("truth.csv", "an architecture twice", "lines 2 and 52")),
    "nan": (not_a_number, ("line 3", "truth.csv", "'accuracy'", "finite number")),
}


@pytest.mark.parametrize("case", TABLES)
def test_truth(case: str, truth: Path, copy: Path) -> None:
    change, parts = TABLES[case]
    rows = rows_of(truth)
    change(rows)
    write_rows(copy.parent / "truth.csv", rows)
    before = contents(copy)
    words = ["truth=truth.csv", "column=accuracy"]
    refused(run_tool("rank", ["run=run", *words], copy.parent), *parts)
    refused(run_here("rank", [f"scores={truth}", "recipe=digits", *words], copy.parent), *parts)
    assert contents(copy) == before


def test_scores(truth: Path, tmp_path: Path) -> None:
    rows = rows_of(truth)
    write_rows(tmp_path / "scores.csv", [["architecture", "score"], *rows[1:-2]])
    words = ["recipe=digits", f"truth={truth}", "column=accuracy", "scores=scores.csv"]
    refused(
        run_here("rank", words, tmp_path),
        "scores.csv lacks 2 of the 50 architectures",
        f"no score for {rows[-2][0]}",
        "to fix:",
    )
    refused(run_here("rank", [*words, "score_column=tau"], tmp_path), "scores.csv", "'tau'")
    (tmp_path / "scores.csv").unlink()
    refused(run_here("rank", words, tmp_path), "scores.csv does not exist", "to fix:")


def test_no_truth(copy: Path) -> None:
    before = contents(copy)
    words = ["run=run", "truth=none.csv", "column=accuracy"]
    refused(run_tool("rank", words, copy.parent), "none.csv does not exist", "check the path")
    refused(run_tool("rank", ["run=run"], copy.parent), "truth= is missing", "column= is missing")
    assert contents(copy) == before
