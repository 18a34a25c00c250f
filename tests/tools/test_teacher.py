"""``supernet.teacher`` and ``regions.teacher``: supernets that learn from a model of timm."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from fewshot_core.training import loop as training
from tests.shared import once

from .outcome import outcome, weights
from .process import launch, run_tool, succeed, words_of
from .refusals import contents, refused
from .teachers import save_teacher
from .tiny import GAN, TINY

SETTINGS = TINY | {"split.when": "always", "audit.networks": 0, "search.trials": 4}


def taught(folder: Path, **more: object) -> list[str]:
    name = f"local-dir:{folder}"
    both = {"supernet.teacher": name, "regions.teacher": name, "supernet.teacher_weight": 2}
    return words_of(SETTINGS | both, run="run", **more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose supernets had a teacher."""

    def make(folder: Path) -> None:
        save_teacher(folder / "teacher", 0)
        succeed("search", taught(folder / "teacher"), folder)

    return once(tmp_path_factory, "taught", make)


def kill_at(step: int) -> None:
    """In a tool's process: an end in the middle of a training."""
    plain, count = training._Run._step, 0

    def counted(self: training._Run, number: int) -> object:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, number)

    training._Run._step = counted  # type: ignore[assignment, method-assign]


def test_a_teacher_changes_what_supernets_learn(finished: Path, tmp_path: Path) -> None:
    plain = [word for word in taught(finished / "teacher") if "teacher" not in word]
    succeed("search", plain, tmp_path)
    ours, theirs = (weights(one / "run", "checkpoints") for one in (finished, tmp_path))
    assert len(ours) == 3
    assert ours.keys() == theirs.keys()
    assert not set(ours.values()) & set(theirs.values())


@pytest.mark.parametrize("step", [2, 5], ids=["supernet", "regions"])
def test_a_killed_search_ends_the_same(step: int, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "teacher", tmp_path / "teacher")
    words = taught(tmp_path / "teacher", checkpoint_steps=1)
    killed = run_tool("search", words, tmp_path, prepare=kill_at, arguments=[step])
    assert killed.code == -signal.SIGKILL
    assert "continuing from step" in succeed("search", words, tmp_path).out
    assert outcome(tmp_path / "run") == outcome(finished / "run")


def test_processes_have_a_teacher_each(finished: Path, tmp_path: Path) -> None:
    words = taught(finished / "teacher", processes="regions")
    for one in launch(2, "search", words, tmp_path):
        done = one.wait()
        assert done.code == 0, done.err
    assert weights(tmp_path / "run", "checkpoints") == weights(finished / "run", "checkpoints")


def test_once_supernets_are_trained_their_teacher_may_be_gone(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    inputs = json.loads((tmp_path / "run" / "inputs.json").read_text())
    assert inputs.keys() == {"supernet.teacher", "regions.teacher"}
    recipe = tmp_path / "run" / "recipe.yaml"
    text, there = (
        recipe.read_text(),
        str(json.loads(json.dumps(inputs))["supernet.teacher"]["what"]),
    )
    recipe.write_text(text.replace(there, "local-dir:/gone"))
    done = succeed("search", ["run=run", "search.trials=6"], tmp_path)
    assert "supernet root: continuing" not in done.out
    assert weights(tmp_path / "run", "checkpoints") == weights(finished / "run", "checkpoints")


def test_supernets_of_another_run_had_its_teacher(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    noted = (tmp_path / "run" / "inputs.json").read_text()
    other = save_teacher(tmp_path / "teacher", 1)
    recipe, there = tmp_path / "run" / "recipe.yaml", json.loads(noted)["supernet.teacher"]["what"]
    origin = tmp_path / "run" / "checkpoints" / "origin.json"
    for path in (recipe, origin):
        path.write_text(path.read_text().replace(there, other))
    succeed("search", ["from=run", "run=new", "search.trials=2"], tmp_path)
    assert (tmp_path / "new" / "inputs.json").read_text() == noted


def test_another_teacher_is_refused_while_supernets_are_trained(tmp_path: Path) -> None:
    save_teacher(tmp_path / "teacher", 0)
    words = taught(tmp_path / "teacher", checkpoint_steps=1)
    assert run_tool("search", words, tmp_path, prepare=kill_at, arguments=[2]).code != 0
    save_teacher(tmp_path / "teacher", 1)
    before = contents(tmp_path / "run")
    refused(run_tool("search", words, tmp_path), "supernet.teacher=", "not what this run began")
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("section", "classes", "parts"),
    [
        ("supernet", 0, ("supernet.teacher=local-dir:", "cannot be loaded by timm")),
        ("regions", 0, ("regions.teacher=local-dir:", "cannot be loaded by timm")),
        ("regions", 3, ("regions.teacher=local-dir:", "tells apart other classes", "allowed: 10")),
    ],
)
def test_a_bad_teacher_is_refused_before_there_is_a_run(
    section: str, classes: int, parts: tuple[str, ...], tmp_path: Path
) -> None:
    if classes:
        save_teacher(tmp_path / "teacher", 0, classes)
    words = words_of(SETTINGS, run="run", **{f"{section}.teacher": "local-dir:teacher"})
    refused(run_tool("search", words, tmp_path), *parts)
    assert not (tmp_path / "run").exists()


def test_generators_have_no_teacher(tmp_path: Path) -> None:
    given = words_of(GAN, run="run")
    done = run_tool("search", [*given, "supernet.teacher=resnet18"], tmp_path)
    refused(done, "supernet.teacher=resnet18 has no effect with task=autogan", "classifiers")
