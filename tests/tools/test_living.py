"""Runs live on: other searches on their supernets, more trials, further trainings, any network."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from timm.models import save_for_hf

from fewshot_tasks.cifar10 import network

from .outcome import outcome, weights
from .process import run_tool, succeed

assert network  # it registers the model
FASTER = ["audit.networks=0"]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def stamps(run: Path) -> dict[str, int]:
    """When the weights of a run were written."""
    return {str(p.relative_to(run)): p.stat().st_mtime_ns for p in run.rglob("weights.*")}


def labels(run: Path) -> list[str]:
    return [row["label"] for row in read(run / "retrain.json")["results"]]


def test_another_search_on_the_same_supernets(copy: Path) -> None:
    above = copy.parent
    costs = sorted(int(row["connected_flops"]) for row in table(copy / "trials.csv"))
    limit = costs[len(costs) // 2] - 1
    before = weights(copy, "checkpoints")
    words = ["from=run", "run=new", f"constraint.flops={limit}", "strategy=random", *FASTER]
    done = succeed("search", [*words, "search.trials=6"], above)
    new = above / "new"
    assert weights(new, "checkpoints") == before
    assert done.out.count("trained in another run") == len(before)
    assert "inherited" in done.out
    assert not any(line.startswith("supernet") and "loss" in line for line in done.out.split("\n"))
    assert all(int(row["connected_flops"]) <= limit for row in table(new / "trials.csv"))
    assert read(new / "found.json")["supernets"]["source"] == str(copy)
    assert f"limit: FLOPs {limit:,}, of which" in done.out
    assert done.out.rstrip().endswith("next: fewshot retrain run=new")
    assert "those of the run run" in (new / "report.html").read_text()
    shutil.rmtree(copy)  # what it needs is its own
    moved = new.rename(above / "moved away")
    trials = (moved / "trials.csv").read_text()
    succeed("search", [f"run={moved.name}"], above)
    assert (moved / "trials.csv").read_text() == trials
    succeed("retrain", [f"run={moved.name}", "retrain.compare=[]"], above)
    assert labels(moved) == ["found"]


def test_what_needs_other_supernets_leaves_no_folder(copy: Path) -> None:
    for words, part in (
        (["seed=1"], "seed=1 needs other supernets"),
        (["constraint.flops=1"], "constraint.flops=1 cannot be met"),
    ):
        done = run_tool("search", ["from=run", "run=new", *words], copy.parent)
        assert (done.code, done.err.count("\n")) == (2, 1), done
        assert part in done.err
        assert not (copy.parent / "new").exists()


def test_more_trials_are_those_of_a_longer_search(copy: Path) -> None:
    succeed("search", ["from=run", "run=long", "search.trials=12"], copy.parent)
    before = stamps(copy)
    succeed("search", ["run=run", "search.trials=12"], copy.parent)
    assert stamps(copy).items() >= before.items()  # nothing is trained twice
    went_on, at_once = outcome(copy), outcome(copy.parent / "long")
    at_once["found"].pop("supernets")
    for part in ("study", "trials", "front", "found"):
        assert went_on[part] == at_once[part]
    found = read(copy / "found.json")["genotype"]
    for row in read(copy / "retrain.json")["results"]:
        assert row["label"] != "found" or row["genotype"] == found
    done = run_tool("search", ["run=run", "search.trials=8"], copy.parent)
    assert done.code == 2
    assert "search.trials: 12 -> 8" in done.err


def test_further_trainings_stand_beside_what_there_is(copy: Path) -> None:
    above, found = copy.parent, read(copy / "found.json")
    first, before = labels(copy), stamps(copy)
    other = next(
        row for row in table(copy / "trials.csv") if row["architecture"] != found["genotype"]
    )["number"]
    succeed("retrain", ["run=run", f"trial={other}"], above)
    assert labels(copy) == [*first, f"trial {other}"]
    after = stamps(copy)
    assert after.items() >= before.items()
    assert len(after) <= len(before) + 1
    succeed("retrain", ["run=run", f"trial={found['trial']}"], above)
    assert stamps(copy) == after  # it is trained already, as the found one
    succeed("retrain", ["run=run", "retrain.epochs=1", "retrain.compare=[]"], above)
    assert labels(copy)[-1] == "found, retrain.epochs=1"
    assert stamps(copy).items() >= after.items()
    assert len(stamps(copy)) == len(after) + 1
    assert yaml.safe_load((copy / "recipe.yaml").read_text())["retrain"]["epochs"] == 0.5
    page = (copy / "report.html").read_text()
    assert f"trial {other} of the search" in page
    assert "retrain.epochs=1" in page
    succeed("export", ["run=run", "label=found, retrain.epochs=1", "out=longer"], above)
    succeed("export", ["run=run", "out=usual"], above)
    one, two = (above / name / "model.safetensors" for name in ("longer", "usual"))
    assert one.read_bytes() != two.read_bytes()
    assert (
        "Its training differs from the recipe: retrain.epochs=1."
        in (above / "longer" / "README.md").read_text()
    )


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["trial=99"], "has no trial 99 | allowed: trial=0 to trial=7"),
        (["front=99"], "has no point 99 | allowed: front=1"),
        (["trial=1", "front=1"], "trial=1 front=1: which of them?"),
        (["search.trials=9"], "fewshot search run=DIR search.trials=9"),
    ],
)
def test_what_cannot_be_retrained(copy: Path, words: list[str], part: str) -> None:
    before = (copy / "retrain.json").read_bytes()
    done = run_tool("retrain", ["run=run", *words], copy.parent)
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert part in done.err
    assert (copy / "retrain.json").read_bytes() == before


def test_a_network_with_the_weights_of_its_supernet(copy: Path) -> None:
    row = max(table(copy / "trials.csv"), key=lambda row: int(row["connected_params"]))
    out, before = copy.parent / "out", stamps(copy)
    words = ["run=run", "weights=inherited", f"trial={row['number']}", "out=out"]
    done = succeed("export", words, copy.parent)
    assert "with the supernet's weights: out" in done.out
    assert stamps(copy) == before
    card = (out / "README.md").read_text()
    assert f"| validation loss | {float(row['loss']):.4g} |" in card
    assert f"| validation accuracy | {float(row['accuracy']):.4g} |" in card
    assert "| test result | not measured |" in card
    assert "test accuracy" not in card
    assert f"It is trial {row['number']} of a search" in card
    model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    mask = os.umask(0)
    os.umask(mask)
    assert {p.stat().st_mode & 0o777 for p in out.iterdir()} == {0o666 & ~mask}
    for wrong, part in (
        (["weights=inherited", "label=found"], "label=found names a retrained network"),
        (["weights=mine"], "weights=mine is none of retrained, inherited"),
        ([f"trial={row['number']}", "label=found"], "which of them?"),
    ):
        refused = run_tool("export", ["run=run", *wrong], copy.parent)
        assert (refused.code, refused.err.count("\n")) == (2, 1), refused
        assert part in refused.err


def test_fine_tuning_begins_with_the_weights_of_the_supernet(copy: Path) -> None:
    """A step too small to change anything leaves what an export of inherited weights has."""
    above = copy.parent
    still = ["retrain.lr=1e-30", "retrain.weight_decay=0", "retrain.freeze_norm=true"]
    words = ["retrain.start=inherited", *still, "retrain.compare=[random]"]
    done = succeed("retrain", ["run=run", *words], above)
    assert "or fine-tuned from the weights of the supernet" in done.out
    tuned = [row for row in read(copy / "retrain.json")["results"] if row["start"] == "inherited"]
    assert [row["label"].partition(",")[0] for row in tuned] == ["found", "random"]
    label = tuned[0]["label"]
    succeed("export", ["run=run", f"label={label}", "out=tuned"], above)
    succeed("export", ["run=run", "weights=inherited", "out=inherited"], above)
    one, other = (
        timm.create_model(f"local-dir:{above / name}", pretrained=True).state_dict()
        for name in ("tuned", "inherited")
    )
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-6)
    card = (above / "tuned" / "README.md").read_text()
    assert "then fine-tuned from the weights of the supernet" in card
    assert "fine-tuned from the weights" in (copy / "report.html").read_text()


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the hub has it: a stock model with weights, for colour images of ten classes."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("stock") / "resnet"
    save_for_hf(timm.create_model("test_resnet", num_classes=10), folder, safe_serialization=True)
    return folder


def test_stock_models_are_trained_beside_the_found_network(copy: Path, stock: Path) -> None:
    above = copy.parent
    rivals = f"retrain.compare=[timm:local-dir:{stock},scratch:test_resnet]"
    done = succeed("retrain", ["run=run", rivals], above)
    assert "stock model test_resnet, from scratch" in done.out
    assert "model in the folder resnet" in done.out
    rows = {row["label"]: row for row in read(copy / "retrain.json")["results"]}
    tuned, scratch = rows[f"timm:local-dir:{stock}"], rows["scratch:test_resnet"]
    assert (tuned["start"], scratch["start"]) == ("pretrained", "scratch")
    assert tuned["params"] == scratch["params"]
    model = timm.create_model("test_resnet", num_classes=10, in_chans=1)
    assert scratch["params"] == sum(p.numel() for p in model.parameters())
    before = stamps(copy)
    published = stock / "model.safetensors"
    published.rename(above / "weights")  # of no use once the model is trained
    try:
        succeed("export", ["run=run", f"label=timm:local-dir:{stock}", "out=tuned"], above)
    finally:
        (above / "weights").rename(published)
    exported = timm.create_model(f"local-dir:{above / 'tuned'}", pretrained=True)
    assert exported.conv1[0].weight.shape[1] == 1
    said = "fine-tuned from the weights in the folder resnet"
    assert said in (above / "tuned" / "README.md").read_text()
    assert not (above / "tuned" / "architecture.json").exists()
    card = (above / "tuned" / "README.md").read_text()
    assert not list((above / "tuned").glob("*.py"))  # timm has the model
    assert "runpy" not in card
    assert "registering" not in card
    assert "with the weights in the folder resnet; where they have" in " ".join(card.split())
    assert "published weights" not in card
    assert stamps(copy) == before
    succeed("report", ["run=run"], above)


def test_a_stock_model_that_cannot_be_had(copy: Path) -> None:
    for word, part in (
        ("timm:no_such_model", "cannot be had from timm with its weights"),
        ("timm:local-dir:weights", "needs its whole path"),
        ("scratch:vit_tiny_patch16_224", "does not take the images of this run"),
        ("resnet18", "timm:NAME"),
    ):
        done = run_tool("retrain", ["run=run", f"retrain.compare=[{word}]"], copy.parent)
        assert (done.code, done.err.count("\n")) == (2, 1), done
        assert part in done.err
