"""The commands of the README on a GPU, each task; skipped where there is none.

Everything runs in processes of its own: this one, as all other tests, keeps to the CPU.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ..conftest import GPUS
from ..tools.process import Running, words_of
from ..tools.tiny import GAN, MOBILE, TINY
from .stages import in_parent, states

TASKS = {"cells": TINY, "mobile": MOBILE, "generators": GAN}

LITTLE_MEMORY = """
import torch
total = torch.cuda.get_device_properties(0).total_memory
torch.cuda.set_per_process_memory_fraction(2**26 / total)
"""
"""What Python runs first, so that the process may use 64 MiB of the GPU."""


@pytest.fixture(scope="module", autouse=True)
def _gpu() -> None:
    if shutil.which("nvidia-smi") is None or not GPUS:
        pytest.skip("no GPU of NVIDIA here, or CUDA_VISIBLE_DEVICES hides it")


def environment(**more: str) -> dict[str, str]:
    variables = {**os.environ, **more}
    variables["CUDA_VISIBLE_DEVICES"] = GPUS
    if GPUS == "all":
        del variables["CUDA_VISIBLE_DEVICES"]
    return variables


def started(tool: str, words: list[str], cwd: Path, **more: str) -> Running:
    return Running(tool, words, cwd, real=True, variables=environment(**more))


def succeed(tool: str, words: list[str], cwd: Path, **more: str) -> str:
    done = started(tool, words, cwd, **more).wait()
    assert done.code == 0, f"{tool} {' '.join(words)}\n{done.out}\n{done.err}"
    return done.out


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("task", TASKS)
def test_search_retraining_and_export(tmp_path: Path, task: str) -> None:
    succeed("search", words_of(TASKS[task], run="run"), tmp_path)
    folder = tmp_path / "run"
    assert read(folder / "environment.json")["accelerator"] != "cpu"
    succeed("retrain", ["run=run"], tmp_path)
    assert read(folder / "retrain.json")["results"]
    succeed("report", ["run=run"], tmp_path)
    succeed("export", ["run=run"], tmp_path)
    assert list((folder / "export").glob("*.onnx"))  # onnxruntime found it equal to torch


@pytest.mark.parametrize("task", TASKS)
def test_a_training_begins_as_on_the_cpu(tmp_path: Path, task: str) -> None:
    words = words_of(TASKS[task], **{"search.trials": 4, "split": "none", "audit.networks": 0})
    losses = {}
    for device, cpu in (("cpu", "true"), ("gpu", "false")):
        succeed("search", [*words, f"run={device}"], tmp_path, ACCELERATE_USE_CPU=cpu)
        losses[device] = states(tmp_path / device, "checkpoints")["root"]["history"][0][1]
        kept = read(tmp_path / device / "environment.json")["accelerator"]
        assert (kept == "cpu") is (device == "cpu")
    assert losses["gpu"] == pytest.approx(losses["cpu"], rel=1e-2)  # convolutions are in TF32


def test_cells_at_once() -> None:
    script = Path(__file__).with_name("path_batch.py")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--noconftest",
            str(script),
        ],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "skipped" not in done.stdout, done.stdout[-4000:]


@pytest.mark.parametrize("together", [1, 8], ids=["single paths", "at once"])
def test_a_run_that_was_stopped_is_continued(tmp_path: Path, together: int) -> None:
    more = {"supernet.epochs": 30, "supernet.batch_size": 16, "supernet.paths": "uniform"}
    more |= {"supernet.paths.together": together} if together > 1 else {}
    words = words_of(TINY | more, run="run")
    process = started("search", words, tmp_path)
    while process.alive() and not in_parent(tmp_path / "run"):
        time.sleep(0.01)
    process.terminate()
    done = process.wait()
    assert done.code == 143, done.err
    assert not states(tmp_path / "run", "checkpoints")["root"]["done"]
    out = succeed("search", words, tmp_path)
    assert "supernet root: continuing from step" in out
    assert ("8 architectures in a step, in one program of the device" in out) is (together > 1)
    assert len((tmp_path / "run" / "trials.csv").read_text().splitlines()) == 1 + 8


def test_bfloat16_in_pieces_of_a_batch(tmp_path: Path) -> None:
    more = {"precision": "bf16", "channels_last": "true", "data.workers": 2}
    pieces = {f"{key}.micro_batch": 16 for key in ("supernet", "regions", "retrain")}
    succeed("search", words_of(MOBILE | more | pieces, run="run"), tmp_path)
    succeed("retrain", ["run=run"], tmp_path)
    assert read(tmp_path / "run" / "retrain.json")["results"]


def test_a_full_gpu_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(LITTLE_MEMORY)
    words = words_of(TINY | {"network.channels": 128, "supernet.batch_size": 512}, run="run")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = started("search", words, tmp_path, PYTHONPATH=paths).wait()
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert (done.code, len(lines)) == (2, 1), done.err
    assert "too little memory" in lines[0]
    assert "supernet.micro_batch=256" in lines[0]
    assert "Traceback" not in done.err
