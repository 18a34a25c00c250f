"""The GPU benchmark, tiny and on the CPU: its rows, its images, its plan of the time."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.budget import Budget, Pace
from benchmarks.gpu.data import hold_images, pack, random_images, unpack
from benchmarks.gpu.meter import Marks
from benchmarks.gpu.probe import _covered
from benchmarks.gpu.rows import Rows, read_earlier
from benchmarks.gpu.speed import cases
from benchmarks.gpu.study import ARMS, GpuStudy
from benchmarks.studies.record import ROOT
from benchmarks.studies.runs import load_words


def toy(*words: str) -> str:
    command = [sys.executable, "-m", "benchmarks.gpu", "--toy", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_toy_measures_every_part_and_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy("--out", str(tmp_path), "--seconds", "300")
    path = tmp_path / "gpu.json"
    rows: dict[str, Any] = json.loads(path.read_text())["rows"]
    wanted = {case.key for case in cases(toy=True)} | {"ceilings", "scoring | cells"}
    assert set(rows) == wanted | {f"study | {arm.name} | seed 0" for arm in ARMS}
    assert not [key for key, row in rows.items() if "error" in row]
    for case in cases(toy=True):
        row = rows[case.key]
        assert row["images_per_second"] > 0
        assert {"data", "forward", "backward", "optimiser"} <= set(row["ms_by_part"]["host"])
    seen = [rows[f"study | {arm.name} | seed 0"]["images"] for arm in ARMS]
    assert seen == [1000, 1000]
    assert json.loads(path.read_text())["command"].startswith("python -m benchmarks.gpu --toy")
    words = ["--toy", "--out", str(tmp_path), "--continue-from", str(path)]
    monkeypatch.setattr(sys, "argv", ["gpu", *words])
    assert main() == 0
    assert json.loads(path.read_text())["rows"] == rows


@pytest.mark.parametrize("toy", [False, True])
def test_every_case_is_a_recipe(toy: bool) -> None:
    for case in cases(toy):
        load_words(case.words)


def test_images_are_packed_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with tarfile.open(tmp_path / "some.tar", "w") as tar:
        for label in ("a", "b"):
            for number in range(30):
                stream = io.BytesIO()
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(stream, "JPEG")
                member = tarfile.TarInfo(f"{label}/{number:02}.jpg")
                member.size = stream.tell()
                stream.seek(0)
                tar.addfile(member, stream)
    pack(tmp_path / "some.tar", tmp_path / "some.npz", 40)
    data = unpack(tmp_path / "some.npz")
    assert data.classes == ("a", "b")
    assert len(data.train) + len(data.validation) + len(data.test()) == 40
    assert data.validation.labels.bincount().tolist() == [2, 2]
    assert data.shape.input_size == (3, 8, 8)


def test_at_most_five_thousand_images_are_held_out() -> None:
    labels = torch.arange(60_000) % 10
    data = hold_images(torch.zeros(60_000, 3, 1, 1, dtype=torch.uint8), labels, tuple("0123456789"))
    assert len(data.validation) == 5_000


def test_a_row_that_fails_says_why_and_is_measured_again(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise ValueError("no\nsuch thing")

    path = tmp_path / "gpu.json"
    rows = Rows(path, Budget(1e6), {})
    assert rows.run("bad", 0, fail)
    assert rows.run("good", 0, lambda: {"value": 1})
    assert rows.run("late", 1e9, lambda: {"value": 1})
    kept = json.loads(path.read_text())["rows"]
    assert kept["bad"]["error"] == "ValueError: no such thing"
    assert kept["bad"]["at"][0].endswith('in fail: raise ValueError("no\\nsuch thing")')
    assert set(kept) == {"bad", "good"}
    assert set(read_earlier(path, with_errors=False)) == {"good"}
    assert set(read_earlier(path, with_errors=True)) == {"bad", "good"}


@pytest.mark.parametrize("left", [60.0, 200.0, 400.0])
def test_both_arms_fit_in_the_time_that_is_left(left: float) -> None:
    pace = Pace(20_000, 3, 0.002, 6466, 10)
    cells = pace.cells(left)
    images = pace.images(left, ARMS, cells)
    needed = sum(pace.seconds(arm, images, cells) for arm in ARMS)
    assert images == 0 or 0.85 * left < needed < left
    assert images > 0 or left < 100


@pytest.mark.parametrize("toy", [False, True])
def test_the_arms_see_equally_many_images(toy: bool) -> None:
    study = GpuStudy(random_images(600, 4, 10), None, 0.1, 1000, toy)
    for arm in ARMS:
        recipe = load_words(study.words_of(arm, 1, 960_000)).recipe
        passes = recipe.supernet.epochs + arm.regions * recipe.regions.epochs * bool(arm.regions)
        assert passes * len(study.data.train) == pytest.approx(960_000, rel=1e-4)
        assert recipe.supernet.paths.together == (5 if toy else 20)
        assert recipe.supernet.lr == 0.1
        if arm.regions:
            assert recipe.regions.paths.together == recipe.supernet.paths.together
            assert recipe.regions.lr == 0.05  # they inherit
        assert recipe.seed == 1


def test_times_that_overlap_count_once() -> None:
    assert _covered([(0, 2), (1, 3), (5, 6), (5.5, 5.7)]) == 4


def test_a_step_that_is_one_graph_is_not_split() -> None:
    marks = Marks(torch.device("cpu"))
    marks.marks = [("data", True, 0.0, None), ("data", False, 0.1, None), ("end", False, 1.0, None)]
    assert marks.split(1) == {"host": {"data": 100.0, "graph": 900.0}}
