"""A search of generators from nothing to an export."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

from tests.shared import once

from .process import launch, run_here, run_tool, succeed, words_of
from .tiny import GAN

CHECKPOINT = 4  # steps, of the tiny recipe
LEAVES = ["cell2_upsample=bilinear", "cell2_upsample=deconv", "cell2_upsample=nearest"]


def finished_run(folder: Path) -> None:
    """``run`` in the folder: a run after all tools but rank."""
    succeed("search", words_of(GAN, run="run"), folder)
    for tool in ("retrain", "export"):
        succeed(tool, ["run=run"], folder)
    succeed("report", ["run=run"], folder, pictures=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "finished-autogan", finished_run) / "run"


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
        assert grids == ["real.png", *(f"step-{step:08d}.png" for step in (4, 8, 12))]
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
    slider = text.partition("<h2>While it was trained</h2>")[2].partition("</section>")[0]
    assert 'type="range"' in slider
    assert re.search(r"step 12: FID [\d.]+, IS [\d.]+ \(classifier, 40 images", slider)
    for name in ("supernets", "samples", "progress", "distance", "results", "search", "training"):
        with Image.open(finished / "pictures" / f"{name}.png") as image:
            assert min(image.size) > 200


def test_export_is_used_without_this_project(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "export", tmp_path / "export")
    code = (
        "import sys; sys.path[:0] = ['.']; import torch, generator\n"
        "images = generator.to_bytes(generator.load()(torch.randn(3, 6)))\n"
        "ours = ('fewshot_core', 'fewshot_tasks')\n"
        "loaded = [m for m in sys.modules if m.split('.')[0] in ours]\n"
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
    data = ModelCard(card).data
    assert data.pipeline_tag == "unconditional-image-generation"
    assert {one.metric_name for one in data.eval_results or []} >= {"FID (classifier, 80 images)"}


def test_no_int8_of_generators(finished: Path, tmp_path: Path) -> None:
    words = [f"run={finished}", f"out={tmp_path / 'out'}", "int8=true"]
    done = run_tool("export", words, tmp_path)
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert "int8=true is for classifiers" in done.err
    assert not (tmp_path / "out").exists()


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


def test_bad_settings_leave_nothing_behind(tmp_path: Path) -> None:
    for more, text in (
        ({"metric.weights": "no.pth", "metric.extractor": "inceptoin"}, "inceptoin is none of"),
        ({"supernet.optimizer": "sgd"}, "sgd has no betas"),
        ({"data.image_size": "none"}, "data.image_size is missing"),
        ({"evaluator.score": "accuracy"}, "accuracy is none of fid, is, reward"),
        ({"metric.extracter": "x"}, "did you mean"),
    ):
        done = run_here("search", words_of(GAN | more, run="run"), tmp_path)
        assert done.code == 2, done.err
        assert text in done.err
        assert not (tmp_path / "run").exists()


def test_sections_of_this_task_are_unknown_to_others(tmp_path: Path) -> None:
    done = run_here("search", ["recipe=digits", "metric.images=3"], tmp_path)
    assert (done.code, "unknown setting 'metric.images'" in done.err) == (2, True)


def test_two_processes_retrain_together(finished: Path, tmp_path: Path) -> None:
    """Each on a part of the batch; `tests/pipeline/test_processes.py` searches so."""
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "retrain")
    (tmp_path / "run" / "retrain.json").unlink()
    done = [one.wait() for one in launch(2, "retrain", ["run=run"], tmp_path)]
    assert [one.code for one in done] == [0, 0], done[0].err
    results = read(tmp_path / "run" / "retrain.json")["results"]
    assert [row["label"] for row in results] == ["found", "one-shot", "random"]
    assert all(row["test"]["fid"] > 0 for row in results)


def test_a_generator_with_the_weights_of_its_supernet(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    row = table(finished / "trials.csv")[-1]
    number = row["number"]
    words = ["run=run", "weights=inherited", f"trial={number}", "out=out", "license=mit"]
    done = succeed("export", words, tmp_path)
    assert f"exported trial {number} of the search, with the supernet's weights: out" in done.out
    card = (tmp_path / "out" / "README.md").read_text()
    for name, metric in (("fid", "FID"), ("is", "IS")):
        text = f"| validation {metric} (classifier, 60 images) | {float(row[name]):.4g} |"
        assert text in card
    assert f"the supernet of region `{row['region']}`" in card
    assert "on 64 noise vectors, for this network alone" in card
    assert "| test result | not measured |" in card
    assert "80 images" not in card  # those of a test
    assert ModelCard(card).data.pipeline_tag == "unconditional-image-generation"
    assert not ModelCard(card).data.eval_results
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {path.name for path in (finished / "export").iterdir()}
    assert (tmp_path / "run" / "retrain.json").read_bytes() == (
        finished / "retrain.json"
    ).read_bytes()


def test_fine_tuning_begins_with_generator_and_discriminator(
    finished: Path, tmp_path: Path
) -> None:
    """Steps too small to change anything leave what the supernet has."""
    from safetensors.torch import load_file

    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "retrain")
    (tmp_path / "run" / "retrain.json").unlink()
    still = ["retrain.start=inherited", "retrain.lr=1e-30", "retrain.compare=[]"]
    succeed("retrain", ["run=run", *still, "retrain.epochs=0.1"], tmp_path)
    (result,) = read(tmp_path / "run" / "retrain.json")["results"]
    assert result["start"] == "inherited"
    succeed("export", ["run=run", "weights=inherited", "out=inherited"], tmp_path)
    words = ["run=run", f"label={result['label']}", "out=tuned"]
    succeed("export", words, tmp_path)
    one, other = (
        load_file(tmp_path / name / "generator.safetensors") for name in ("tuned", "inherited")
    )
    assert set(one) == set(other)
    for name, tensor in one.items():
        if "running" not in name and "tracked" not in name:  # statistics follow the steps
            torch.testing.assert_close(tensor, other[name], rtol=0, atol=1e-20)
    (weights,) = (tmp_path / "run" / "retrain").glob("*/weights.safetensors")
    folder = tmp_path / "run" / "checkpoints" / found_region(tmp_path / "run")
    theirs = load_file(folder / "weights.safetensors")
    kernels = 0
    for name, tensor in load_file(weights).items():
        if name.startswith("discriminator") and name.endswith("original"):
            inherited = theirs[name][:, : tensor.shape[1]]  # without the deviation of a batch
            torch.testing.assert_close(tensor, inherited, rtol=0, atol=1e-20)
            kernels += 1
    assert kernels > 4
    card = (tmp_path / "tuned" / "README.md").read_text()
    assert "then fine-tuned from the weights of the supernet" in card
    refused = run_tool("retrain", ["run=run", *still, "retrain.freeze_norm=true"], tmp_path)
    assert (refused.code, refused.err.count("\n")) == (2, 1), refused
    assert "retrain.freeze_norm" in refused.err


def found_region(run: Path) -> str:
    found = read(run / "found.json")["genotype"]
    return next(r["region"] for r in table(run / "trials.csv") if r["architecture"] == found)
