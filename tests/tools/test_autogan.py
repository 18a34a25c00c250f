"""A search of generators from nothing to an export, and what becomes of it when it is killed."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from .outcome import weights
from .process import TIMEOUT, TOOLS, Running, run_tool, succeed, words_of
from .tiny import GAN

CHECKPOINT = 4  # steps, of the tiny recipe
LEAVES = ["cell2_upsample=bilinear", "cell2_upsample=deconv", "cell2_upsample=nearest"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("autogan")
    succeed("search", words_of(GAN, run="run"), folder)
    succeed("retrain", ["run=run"], folder)
    succeed("export", ["run=run"], folder)
    succeed("report", ["run=run"], folder)
    return folder / "run"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_search(finished: Path) -> None:
    trials = table(finished / "trials.csv")
    assert len(trials) == 8
    for row in trials:
        assert row["region"] in LEAVES
        assert float(row["score"]) == -float(row["fid"])
        assert float(row["is"]) >= 1
        assert float(row["reward"]) == pytest.approx(float(row["is"]) - 0.1 * float(row["fid"]))
    names = sorted(p.name for p in (finished / "checkpoints").iterdir())
    assert names == [*LEAVES, "origin.json", "root"]
    assert (finished / "metric" / "classifier-8px" / "weights.safetensors").exists()


def test_supernets_are_seen_at_every_checkpoint(finished: Path) -> None:
    for region in ("root", *LEAVES):
        folder = finished / "checkpoints" / region
        steps = read(folder / "state.json")["steps"]
        every = {*range(CHECKPOINT, steps, CHECKPOINT), steps}
        grids = {path.name for path in (folder / "samples").iterdir()}
        assert grids == {f"step-{step:08d}.png" for step in every}


def test_retrain(finished: Path) -> None:
    found = read(finished / "retrain.json")
    assert found["metric"] == "fid"
    assert [row["label"] for row in found["results"]] == ["found", "one-shot", "random"]
    for row in found["results"]:
        assert {"fid", "is", "is_std"} <= set(row["test"])
        folder = finished / "retrain" / f"{row['id']}-0"
        grids = sorted(p.name for p in (folder / "samples").iterdir())
        assert grids == [f"step-{step:08d}.png" for step in (4, 8, 12)]
        curve = read(folder / "state.json")["notes"]["distances"]
        assert [point[0] for point in curve] == [4, 8, 12]


def test_the_one_shot_choice_is_the_best_by_the_parents_scores(finished: Path) -> None:
    scores = {r["architecture"]: float(r["score"]) for r in table(finished / "one-shot.csv")}
    assert set(scores) == {row["architecture"] for row in table(finished / "trials.csv")}
    (chosen,) = (r for r in read(finished / "retrain.json")["results"] if r["label"] == "one-shot")
    assert scores[chosen["genotype"]] == max(scores.values())


def test_report(finished: Path) -> None:
    text = (finished / "report.html").read_text()
    assert "FID (classifier, 80 images)" in text
    assert "negative validation FID" in text
    assert "FID (classifier, 60 images) with its sign turned" in text
    assert "test IS (classifier, 80 images)" in text
    assert "accuracy" not in text
    for name in ("supernets", "samples", "progress", "distance", "results", "search", "training"):
        with Image.open(finished / "pictures" / f"{name}.png") as image:
            assert min(image.size) > 200


def test_export_is_used_without_this_project(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "export", tmp_path / "export")
    code = (
        "import sys; sys.path[:0] = ['.']; import torch, generator\n"
        "images = generator.to_bytes(generator.load()(torch.randn(3, 6)))\n"
        "loaded = [m for m in sys.modules if m.split('.')[0] in ('fewshot_core', 'tasks')]\n"
        "print(tuple(images.shape), images.dtype, loaded)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code],
        cwd=tmp_path / "export",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "(3, 1, 8, 8) torch.uint8 []\n", done.stderr
    names = {path.name for path in (tmp_path / "export").iterdir()}
    assert names == {
        ".fewshot-nas.json", "README.md", "architecture.json", "config.json", "generator.py",
        "generator.safetensors", "model.onnx", "recipe.yaml", "samples.png",
    }  # fmt: skip
    card = (finished / "export" / "README.md").read_text()
    assert "FID (classifier, 80 images)" in card
    assert "with nothing that is published" in card


def test_the_exported_generator_is_the_average(finished: Path) -> None:
    from safetensors.torch import load_file

    found = read(finished / "retrain.json")["results"][0]
    kept = load_file(finished / "retrain" / f"{found['id']}-0" / "weights.safetensors")
    exported = load_file(finished / "export" / "generator.safetensors")
    assert set(exported) == {n.removeprefix("average.") for n in kept if n.startswith("average.")}
    for name, tensor in exported.items():
        assert torch.equal(tensor, kept[f"average.{name}"])


def test_rank(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    trials = table(finished / "trials.csv")
    lines = [f'"{row["architecture"]}",{place}' for place, row in enumerate(trials)]
    (tmp_path / "truth.csv").write_text("\n".join(["architecture,FID", *lines]) + "\n")
    succeed("rank", ["run=run", "truth=truth.csv", "column=FID"], tmp_path)
    predictors = read(tmp_path / "run" / "ranking.json")["predictors"]
    assert {f"{name}, by {kind}" for name in ("one-shot", "few-shot, 3 regions")
            for kind in ("is", "fid", "reward")} <= set(predictors)  # fmt: skip


def kill_when(tool: str, words: list[str], folder: Path, pattern: str) -> bool:
    """Kill a tool once a file is there; false where it was too late."""
    running = Running(tool, words, folder)
    while running.alive() and not list((folder / "run").glob(pattern)):
        time.sleep(0.01)
    running.kill()
    return running.wait().code != 0


def test_killed_runs_end_as_if_they_had_not_been_killed(finished: Path, tmp_path: Path) -> None:
    words = words_of(GAN, run="run")
    kills = [
        kill_when("search", words, tmp_path, "checkpoints/root/step-*.pt"),
        kill_when("search", words, tmp_path, "metric/classifier-8px/state.json"),
    ]
    succeed("search", words, tmp_path)
    kills.append(kill_when("retrain", ["run=run"], tmp_path, "retrain/*/step-*.pt"))
    succeed("retrain", ["run=run"], tmp_path)
    assert any(kills)
    run = tmp_path / "run"
    for part in ("checkpoints", "retrain", "metric"):
        assert weights(run, part) == weights(finished, part)
    assert (run / "trials.csv").read_text() == (finished / "trials.csv").read_text()
    mine, theirs = (read(r / "retrain.json")["results"] for r in (run, finished))
    assert [row["test"] for row in mine] == [row["test"] for row in theirs]


def test_bad_settings_leave_nothing_behind(tmp_path: Path) -> None:
    for more, text in (
        ({"metric.weights": "no.pth", "metric.extractor": "inceptoin"}, "inceptoin is none of"),
        ({"supernet.optimizer": "sgd"}, "sgd has no betas"),
        ({"data.image_size": "none"}, "data.image_size is missing"),
        ({"evaluator.score": "accuracy"}, "accuracy is none of is, fid, reward"),
        ({"metric.extracter": "x"}, "did you mean"),
    ):
        done = run_tool("search", words_of(GAN | more, run="run"), tmp_path)
        assert done.code == 2, done.err
        assert text in done.err
        assert not (tmp_path / "run").exists()


def test_sections_of_this_task_are_unknown_to_others(tmp_path: Path) -> None:
    done = run_tool("search", ["recipe=digits", "metric.images=3"], tmp_path)
    assert (done.code, "unknown setting 'metric.images'" in done.err) == (2, True)


@pytest.mark.slow
def test_two_processes_train_and_score(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("two processes would share the GPUs here; this is about two on the CPU")
    launch = [str(Path(sys.executable).with_name("accelerate")), "launch", "--multi_gpu"]
    launch += ["--num_processes", "2", "--main_process_port", "0", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    for tool, words in (("search", words_of(GAN, run="run")), ("retrain", ["run=run"])):
        done = subprocess.run(
            [*launch, str(TOOLS / f"{tool}.py"), *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert len(table(tmp_path / "run" / "trials.csv")) == 8
    results = read(tmp_path / "run" / "retrain.json")["results"]
    assert all(row["test"]["fid"] > 0 for row in results)
