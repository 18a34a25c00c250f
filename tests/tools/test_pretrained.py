"""``supernet.weights``: a search that starts from a file with once-for-all's names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from fewshot_core.data import ImageShape
from fewshot_core.runs.files import sha256
from fewshot_core.spaces.region import Region
from fewshot_tasks.imagenet.pretrained import ofa_weights
from fewshot_tasks.imagenet.settings import MobileSettings, make_space
from fewshot_tasks.imagenet.supernet import MobileSupernet

from .process import run_here, words_of
from .tiny import MOBILE, TINY

SCORED = {**MOBILE, "split": "none", "supernet.epochs": 0, "search.trials": 4}
"""Nothing is trained before networks are scored."""


def tensors(classes: int = 10) -> dict[str, Tensor]:
    """What a supernet like that of the search holds, in once-for-all's names."""
    settings = MobileSettings(
        width=0.25,
        depths=[1, 2],
        kernels=[3, 5],
        expansions=[2, 3, 4],
        units=[1, 2],
        strides=[2, 2],
        stem_stride=1,
        head=16,
    )
    torch.manual_seed(5)
    space = make_space(settings, None)
    return ofa_weights(MobileSupernet(Region.root(space), ImageShape(1, 8, classes)))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "pretrained"
    torch.save({"state_dict": with_large_kernels(tensors())}, path)
    return path


def with_large_kernels(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With kernels of 7 around those of 5, as the released files have them."""
    grown = dict(found)
    for name, value in found.items():
        if value.ndim == 4 and value.shape[-1] == 5:
            grown[name] = torch.nn.functional.pad(value, (1, 1, 1, 1))
            grown[name.removesuffix("conv.weight") + "7to5_matrix"] = torch.eye(25)
    return grown


def test_a_search_scores_the_weights_as_they_are(weights: Path, tmp_path: Path) -> None:
    done = run_here(
        "search", words_of(SCORED, run="run", **{"supernet.weights": weights}), tmp_path
    )
    assert done.code == 0, done.err
    assert f"SHA-256 {sha256(weights)}" in " ".join(done.out.split())
    (region,) = (tmp_path / "run" / "checkpoints").glob("*/")
    state = json.loads((region / "state.json").read_text())
    assert (state["steps"], state["images"]) == (0, 0)
    report = json.loads((region / "weights.json").read_text())
    assert report["sha256"] == sha256(weights)
    assert report["copied"]["frame.classifier.weight"] == "classifier.linear.weight"
    assert report["derived"]["units.0.0.conv_dw.weight"].endswith("depth_conv.conv.conv.weight")
    (file,) = region.glob("*.safetensors")
    kept, given = load_file(file), tensors()
    assert torch.equal(kept["frame.conv_stem.weight"], given["first_conv.conv.weight"])
    largest = "blocks.1.conv.depth_conv.conv.conv.weight"
    assert torch.equal(kept["units.0.0.conv_dw.weight"], given[largest])
    inputs = json.loads((tmp_path / "run" / "inputs.json").read_text())
    assert inputs["supernet.weights"]["sha256"] == sha256(weights)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"supernet.epochs": 0}, "without supernet.weights"),
        ({"supernet.weights": "ofa_mbv3_d234"}, "did you mean 'ofa_mbv3_d234_e346_k357_w1"),
        ({"supernet.weights": "file:///nowhere/at/all"}, "could not be downloaded"),
    ],
)
def test_what_cannot_be_used_is_a_line(
    words: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    settings = {**MOBILE, "split": "none", **words}
    done = run_here("search", words_of(settings, run="run"), tmp_path)
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert not (tmp_path / "run").exists()


def test_weights_of_another_width_are_refused_before_there_is_a_run(
    weights: Path, tmp_path: Path
) -> None:
    settings = {**SCORED, "supernet.weights": weights, "network.width": 0.5}
    settings["constraint.flops"] = "1M"  # which wider networks can meet
    done = run_here("search", words_of(settings, run="run"), tmp_path)
    assert done.code == 2
    assert "set network.space and network.width" in " ".join(done.err.split())
    assert not (tmp_path / "run").exists()


def test_another_task_takes_no_weights(weights: Path, tmp_path: Path) -> None:
    done = run_here("search", words_of({**TINY, "supernet.weights": weights}, run="run"), tmp_path)
    assert done.code == 2
    assert "supernet.weights cannot be used with task=cifar10" in " ".join(done.err.split())


def test_regions_inherit_the_weights(weights: Path, tmp_path: Path) -> None:
    settings = {**MOBILE, "supernet.epochs": 0, "regions.epochs": 0.1, "search.trials": 4}
    settings["supernet.weights"] = weights
    done = run_here("search", words_of(settings, run="run"), tmp_path)
    assert done.code == 0, done.err
    folders = list((tmp_path / "run" / "checkpoints").glob("*/"))
    assert len(folders) == 3
    reports = [folder for folder in folders if (folder / "weights.json").exists()]
    assert len(reports) == 1  # the others are copied from it
    for folder in set(folders) - set(reports):
        inherited = json.loads((folder / "state.json").read_text())["notes"]["inherited"]
        assert not inherited["fresh"]


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02}q\x00."])
def test_a_damaged_file_is_a_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    done = run_here("convert", [f"weights={path}", f"to={tmp_path / 'out'}"], tmp_path)
    assert done.code == 2
    assert "holds no weights" in done.err
    assert not (tmp_path / "out").exists()


def test_a_pickle_of_something_else_is_not_executed(tmp_path: Path) -> None:
    path, trace = tmp_path / "bad", tmp_path / "executed"
    torch.save({"state_dict": _Touch(trace)}, path)
    done = run_here("convert", [f"weights={path}", f"to={tmp_path / 'out'}"], tmp_path)
    assert done.code == 2
    assert "without running code" in " ".join(done.err.split())
    assert not trace.exists()


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_convert_keeps_the_names_and_says_what_they_are_of(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    done = run_here("convert", [f"weights={weights}", f"to={out}"], tmp_path)
    assert done.code == 0, done.err
    wanted = torch.load(weights, weights_only=True)["state_dict"]
    found = load_file(out)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    with safe_open(out, "pt") as file:
        assert file.metadata()["source_sha256"] == sha256(weights)
    again = run_here("convert", [f"weights={weights}", f"to={out}"], tmp_path)
    assert again.code == 2
    assert "there already" in again.err
