"""Bad input ends with code 2 and one line that says what is wrong and what to do."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.data.forms import images, png, samples, write_tar

from .conftest import as_before
from .damage import flip_a_bit, truncate
from .process import Done, run_tool, succeed, words_of
from .tiny import TINY

NO_SPLIT = {key: value for key, value in TINY.items() if not key.startswith("split")}
SECONDS = 40
"""Far more than needed, and far less than a search that only fails at its end."""


def refused(done: Done, *parts: str) -> None:
    """Exit code 2, one line on standard error, and in it all the parts."""
    assert done.code == 2, f"{done.code}\n{done.out}\n{done.err}"
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.out
    for part in parts:
        assert part in lines[0], f"{part!r} is not in: {lines[0]}"
    assert done.seconds < SECONDS


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the lock, which is empty and only says that somebody was there."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# -- settings ------------------------------------------------------------------------------

SETTINGS: dict[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "recipe": ({"recipe": "digit"}, ("unknown recipe 'digit'", "did you mean 'digits'")),
    "key": ({"supernet.epoch": 3}, ("supernet.epoch", "did you mean 'supernet.epochs'")),
    "type": ({"search.trials": "many"}, ("search.trials", "many")),
    "several": (
        {"search.trials": "many", "nonsense": 1, "data.test": 2},
        ("search.trials", "nonsense", "data.test=2"),
    ),
    "trials": ({"search.trials": 0}, ("search.trials=0 must be at least 1",)),
    "split.by": ({"split": "halves"}, ("split.by=halves", "groups")),
    "split.decision": ({"split.decision": "edge_9_9"}, ("edge_9_9", "edge_1_0")),
    "split.groups": (
        {"split.groups": "[[none,conv_9x9],[skip_connect,nor_conv_1x1,nor_conv_3x3,avg_pool_3x3]]"},
        ("edge_1_0", "conv_9x9", "nor_conv_3x3"),
    ),
    "split.groups incomplete": (
        {"split.groups": "[[none],[skip_connect]]"},
        ("edge_1_0", "every option once", "avg_pool_3x3"),
    ),
    "paths.feature": (
        {"supernet.paths": "balanced", "supernet.paths.feature": "nonlinaer"},
        ("nonlinaer", "did you mean 'nonlinear'"),
    ),
    "regions.paths.feature": (
        {"regions.paths": "balanced", "regions.paths.feature": "depth"},
        ("no feature 'depth'", "nonlinear"),
    ),
    "network.space": ({"network.space": "nasbench301"}, ("nasbench301", "nasbench201")),
    "network.channels": ({"network.channels": 0}, ("network.channels=0", "at least 1")),
    "data.source": ({"data": "digts"}, ("data.source=digts", "did you mean 'digits'")),
    "data.source torch": ({"data": "torch/cifar11"}, ("torch/cifar11", "torch/cifar10")),
    "data.limit": ({"data.limit": 5}, ("data.limit", "found: 5", "20 or more")),
    "strategy": ({"strategy": "hyprband"}, ("hyprband", "did you mean 'hyperband'")),
    "optimizer": ({"regions.optimizer": "sdg"}, ("sdg", "did you mean 'sgd'")),
    "constraint.params": (
        {"constraint.params": 10},
        ("constraint.params=10 cannot be met", "the cheapest", "raise constraint.params"),
    ),
    "constraint.flops": (
        {"constraint.flops": 1000},
        ("constraint.flops=1,000 cannot be met", "raise constraint.flops"),
    ),
    "evaluator": ({"evaluator": "guess"}, ("evaluator.name=guess", "inherited")),
    "evaluator.table": (
        {"evaluator": "table", "evaluator.table": "none.csv"},
        ("none.csv does not exist", "to mend it"),
    ),
    "storage": ({"search.storage": "nosuchdb://x"}, ("nosuchdb://x", "search.storage")),
    "preferences": (
        {"strategy": "darts", "preferences.order": 3, "preferences.share": 1, "preferences.lr": 0},
        ("preferences.order=3 must be 1 or 2", "preferences.share=1", "preferences.lr=0"),
    ),
    "preferences.partial": (
        {"strategy": "pcdarts", "preferences.partial": 3},
        ("4 channels cannot be divided by preferences.partial=3", "multiple of 3"),
    ),
    "preferences and evaluator": (
        {"strategy": "enas", "evaluator": "naswot"},
        ("strategy.name=enas needs evaluator.name=inherited, not naswot",),
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings(case: str, tmp_path: Path) -> None:
    changes, parts = SETTINGS[case]
    refused(run_tool("search", words_of(TINY | changes, run="run"), tmp_path), *parts)
    assert not any(tmp_path.iterdir())


def test_a_setting_in_vain(tmp_path: Path) -> None:
    words = ["recipe=digits", "data.root=/does/not/exist", "run=run"]
    line = "data.root=/does/not/exist has no effect with data.source=digits"
    refused(run_tool("search", words, tmp_path), line, "images, wds, hfds or torch/NAME")
    assert not any(tmp_path.iterdir())


def test_feature_of_bands(tmp_path: Path) -> None:
    words = words_of(
        NO_SPLIT | {"split": "bands", "split.feature": "skip", "split.cuts": "[2]"}, run="run"
    )
    refused(run_tool("search", words, tmp_path), "no feature 'skip'", "did you mean 'skips'")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("case", ["network.space"])
def test_the_real_command_line(case: str, tmp_path: Path) -> None:
    # Started from nothing, libraries have more to say on standard error.
    changes, parts = SETTINGS[case]
    words = words_of(TINY | changes, run="run")
    refused(run_tool("search", words, tmp_path, real=True), *parts)


def test_a_strategy_whose_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that cannot be imported stands for one that is not there."""
    hidden = tmp_path / "hidden"
    (hidden / "smac").mkdir(parents=True)
    (hidden / "smac" / "__init__.py").write_text("raise ImportError(\"No module named 'smac'\")")
    paths = [str(hidden), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    done = run_tool("search", words_of(TINY, strategy="smac", run="run"), tmp_path, real=True)
    refused(done, "strategy=smac needs the package smac", "No module named 'smac'", "pip install")
    assert not (tmp_path / "run").exists()


def test_a_bad_run_is_refused_before_the_recipe_is_tried(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    words = words_of(TINY, run="run")
    refused(
        run_tool("search", words, tmp_path, real=True),
        "run is not a run folder",
        "thesis.tex",
        "choose an empty or new run=DIR",
    )
    assert contents(tmp_path) == {"run/thesis.tex": b"years of work"}


# -- images --------------------------------------------------------------------------------


def no_images(root: Path) -> None:
    """Nothing there."""


def class_without_images(root: Path) -> None:
    some_images(root)
    (root / "c").mkdir()


def corrupt_image(root: Path) -> None:
    some_images(root)
    path = root / "b" / "3.png"
    path.write_bytes(path.read_bytes()[:40])


def some_images(root: Path) -> None:
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for index in range(12):
            Image.new("L", (8, 8), 20 * index).save(root / name / f"{index}.png")


IMAGES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "missing": (no_images, ("data.root", "images does not exist", "one folder of images per")),
    "empty class": (class_without_images, ("images/c has no image", "remove the folder")),
    "corrupt": (corrupt_image, ("images/b/3.png",)),
}


@pytest.mark.parametrize("case", IMAGES)
def test_images(case: str, tmp_path: Path) -> None:
    make, parts = IMAGES[case]
    make(tmp_path / "images")
    settings = {key: value for key, value in TINY.items() if key != "data.limit"}
    words = words_of(settings | {"data.root": "images"}, run="run", data="images")
    refused(run_tool("search", words, tmp_path), *parts)
    assert not (tmp_path / "run").exists()


SOURCES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a key without shards": (("data=images", "data.label_key=cls"), ("data.source=wds or hfds",)),
    "a shard that is missing": (
        ("data=wds", "data.root=images/part-{0000..0001}.tar"),
        ("images/part-0001.tar does not exist",),
    ),
    "a sample without label": (
        ("data=wds", "data.root=images"),
        ("images/part-0000.tar: the sample 00012 has no label", "data.label_key= names"),
    ),
    "a set that is missing": (("data=hfds", "data.root=./birds"), ("birds", "data.root")),
}


@pytest.mark.parametrize("case", SOURCES)
def test_sources(case: str, tmp_path: Path) -> None:
    members = [*samples(images(4)), ("00012.png", png(0))]
    write_tar(tmp_path / "images" / "part-0000.tar", members)
    words, parts = SOURCES[case]
    settings = {key: value for key, value in TINY.items() if key != "data.limit"}
    refused(run_tool("search", [*words_of(settings, run="run"), *words], tmp_path), *parts)
    assert not (tmp_path / "run").exists()


# -- the run folder ------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    # Root may write everywhere, but not below a file.
    (tmp_path / "file").write_text("kept")
    words = words_of(TINY, run="file/run")
    refused(run_tool("search", words, tmp_path), "file/run", "choose another run=DIR")
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
    done = run_tool(tool, ["run=nowhere"], tmp_path)
    refused(done, "nowhere is no run folder", "tools/search.py", "run=DIR")
    refused(run_tool(tool, [], tmp_path), "run=DIR", "recipe=NAME")
    assert not any(tmp_path.iterdir())


def test_the_order_of_the_tools(copy: Path) -> None:
    (copy / "retrain.json").unlink()
    done = run_tool("export", ["run=run"], copy.parent)
    refused(done, "run holds no retrained network", "run tools/retrain.py run=run first")
    (copy / "found.json").unlink()
    before = contents(copy)
    done = run_tool("retrain", ["run=run"], copy.parent)
    refused(done, "run holds no finished search", "tools/search.py recipe=digits run=run")
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


@pytest.mark.parametrize("damage", [truncate, overwrite])
def test_a_damaged_study_of_an_earlier_version(
    damage: Callable[[Path], None], copy: Path, finished: Path
) -> None:
    as_before(copy)
    damage(copy / "study.db")
    before = contents(copy)
    done = run_tool("search", words_of(TINY, run="run"), copy.parent)
    refused(done, "study.db cannot be opened", "delete run/study.db to search again")
    assert contents(copy) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"choices": {"edge_1_0": "none"}}', "\0"])
def test_a_damaged_find(text: str, copy: Path) -> None:
    (copy / "found.json").write_text(text)
    before = contents(copy)
    done = run_tool("retrain", ["run=run"], copy.parent)
    refused(done, "run/found.json", "tools/search.py recipe=digits run=run")
    assert contents(copy) == before


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_damaged_results(text: str, copy: Path) -> None:
    (copy / "retrain.json").write_text(text)
    before = contents(copy)
    done = run_tool("export", ["run=run"], copy.parent)
    refused(done, "run/retrain.json", "run tools/retrain.py run=run again")
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
    refused(run_tool("rank", [f"scores={truth}", "recipe=digits", *words], copy.parent), *parts)
    assert contents(copy) == before


def test_scores(truth: Path, tmp_path: Path) -> None:
    rows = rows_of(truth)
    write_rows(tmp_path / "scores.csv", [["architecture", "score"], *rows[1:-2]])
    words = ["recipe=digits", f"truth={truth}", "column=accuracy", "scores=scores.csv"]
    refused(
        run_tool("rank", words, tmp_path),
        "scores.csv lacks 2 of the 50 architectures",
        f"no score for {rows[-2][0]}",
        "to mend it",
    )
    refused(run_tool("rank", [*words, "score_column=tau"], tmp_path), "scores.csv", "'tau'")
    (tmp_path / "scores.csv").unlink()
    refused(run_tool("rank", words, tmp_path), "scores.csv does not exist", "to mend it")


def test_no_truth(copy: Path) -> None:
    before = contents(copy)
    words = ["run=run", "truth=none.csv", "column=accuracy"]
    refused(run_tool("rank", words, copy.parent), "none.csv does not exist", "check the path")
    refused(run_tool("rank", ["run=run"], copy.parent), "truth= is missing", "column= is missing")
    assert contents(copy) == before


def test_a_table_that_lacks_what_the_search_asks_for(truth: Path, tmp_path: Path) -> None:
    changes = {"evaluator": "table", "evaluator.table": truth, "evaluator.column": "accuracy"}
    words = words_of(TINY | changes | {"audit.networks": 0}, run="run")
    refused(run_tool("search", words, tmp_path), f"{truth} has no row for")
