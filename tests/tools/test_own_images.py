"""``fewshot search images=DIR flops=N`` on real photographs: what it says, chooses, keeps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tarfile
from pathlib import Path

import pytest
import yaml

from fewshot_core.training.classification import ClassificationObjective
from tests.shared import once

from .outcome import outcome
from .process import Running, launch, run_here, succeed
from .refusals import contents, refused

SHORT = [
    "flops=3M",
    "threads=1",
    "checkpoint_steps=2",
    "data.image_size=32",
    "network.width=0.25",
    "network.head=16",
    "network.depths=[1,2]",
    "supernet.epochs=4",
    "regions.epochs=0.5",
    "evaluator.recalibrate=32",
    "strategy.population=4",
    "strategy.sample=2",
    "search.trials=6",
    "retrain.epochs=0.1",
    "retrain.seeds=1",
]
"""Words that make everything short. All else is chosen for the images."""


@pytest.fixture(scope="session")
def photographs(shared_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 photographs of ImageNet in four class folders. Nobody may change it."""

    def write(folder: Path) -> None:
        with tarfile.open(shared_samples) as tar:
            members = [member for member in tar if member.isfile()][:200]
            for number, member in enumerate(members):
                place = folder / f"class {number // 50}" / f"{number:03}.jpg"
                place.parent.mkdir(exist_ok=True)
                file = tar.extractfile(member)
                assert file is not None
                place.write_bytes(file.read())

    return once(tmp_path_factory, "photographs", write)


@pytest.fixture(scope="session")
def shared_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    shared = Path(os.environ.get("FEWSHOT_SHARED_DATA") or beside)
    samples = shared / "imagenet-samples" / "samples.tar"
    if not samples.exists():
        pytest.skip(f"no {samples}; FEWSHOT_SHARED_DATA names another folder")
    return samples


def test_from_a_folder_to_a_network(photographs: Path, tmp_path: Path) -> None:
    """To the end; killed in the middle, the same command goes on with the same choices."""
    words = [f"images={photographs}", *SHORT]
    done = succeed("search", [*words, "run=whole"], tmp_path)
    said = done.out
    assert "200 in 4 classes" in said
    assert "144 x 144 pixels" in said
    assert f"data.validation={53 / 160:.4f}" in said
    assert "53 images to choose by" in said
    assert "data.image_size" not in said.partition("chosen for")[2].partition("images:")[0]
    assert said.index("200 in 4") < said.index("run folder") < said.index("estimate: ")
    run = tmp_path / "whole"
    kept = yaml.safe_load((run / "recipe.yaml").read_text())
    survey = json.loads((run / "survey.json").read_text())
    assert kept["data"]["validation"] == survey["chosen"]["data.validation"]
    assert kept["evaluator"]["score"] == "loss"
    data = json.loads((run / "data.json").read_text())
    assert (data["train"], data["validation"], data["test"]) == (108, 52, 40)
    assert survey["found"]["formats"] == {"JPEG": 200}
    assert json.loads((run / "found.json").read_text())["costs"]["connected_flops"] <= 3e6

    begun = Running("search", [*words, "run=cut"], tmp_path, prepare=end_after_some_steps)
    assert begun.wait().code == 143
    assert not (tmp_path / "cut" / "found.json").exists()
    again = succeed("search", [*words, "run=cut"], tmp_path)
    assert "looking at the images" not in again.out
    assert outcome(tmp_path / "cut") == outcome(run)
    succeed("retrain", ["run=whole"], tmp_path)
    assert (run / "retrain.json").exists()


def end_after_some_steps() -> None:
    """In a tool's process: as a cluster ends it."""
    step = ClassificationObjective.step

    def ending(self: object, batch: object, paths: object, number: int) -> object:
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, paths, number)  # type: ignore[arg-type]

    ClassificationObjective.step = ending  # type: ignore[assignment,method-assign]


def test_two_processes_agree(photographs: Path, tmp_path: Path) -> None:
    words = [f"images={photographs}", *SHORT, "search.trials=2", "run=run"]
    done = [one.wait() for one in launch(2, "search", words, tmp_path)]
    assert [one.code for one in done] == [0, 0], done
    assert done[0].out.count("200 in 4 classes") == 1
    assert "classes" not in done[1].out
    assert (tmp_path / "run" / "found.json").exists()


def test_bad_files_are_listed_before_anything_else(photographs: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(photographs, images)
    bad = [images / "class 0" / f"bad {number}.jpg" for number in range(9)]
    for path in bad:
        path.write_bytes(b"nothing")
    done = run_here("search", [f"images={images}", "run=run"], tmp_path)
    refused(done, "9 images cannot be used", "the list above", "replace or remove the files")
    shown = done.out.splitlines()
    assert all(any(line.startswith(f"  {path}: none of JPEG") for line in shown) for path in bad)
    assert "run" not in {path.name for path in tmp_path.iterdir()}


def test_a_place_that_is_none(tmp_path: Path) -> None:
    refused(run_here("search", ["images=nowhere", "flops=30M"], tmp_path), "nowhere does not exist")
    refused(run_here("search", ["images=", "flops=30M"], tmp_path), "images= is empty")
    assert contents(tmp_path) == {}
