"""The tools on the mobile task, and what an export is worth without this project."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .process import TIMEOUT, run_tool, succeed, words_of
from .tiny import MOBILE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run after search, retrain and export."""
    folder = tmp_path_factory.mktemp("mobile")
    succeed("search", words_of(MOBILE, run="run"), folder)
    succeed("retrain", ["run=run"], folder)
    succeed("export", ["run=run"], folder)
    return folder / "run"


def test_every_trial_respects_the_limit(run: Path) -> None:
    with (run / "trials.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    assert len(trials) == 8
    assert all(float(trial["connected_flops"]) <= 60_000 for trial in trials)
    assert {trial["region"] for trial in trials} <= {
        "unit1_block1_kernel=3",
        "unit1_block1_kernel=5",
    }
    found = json.loads((run / "found.json").read_text())
    assert found["costs"]["connected_flops"] <= 60_000
    assert "#" not in found["genotype"]
    retrained = json.loads((run / "retrain.json").read_text())["results"]
    assert {result["label"] for result in retrained} == {"found", "random", "largest"}
    assert all(result["flops"] <= 60_000 for result in retrained)


def test_the_front_is_what_nothing_cheaper_beats(run: Path) -> None:
    with (run / "trials.csv").open(newline="") as file:
        trials = [
            (float(row["connected_flops"]), float(row["score"])) for row in csv.DictReader(file)
        ]
    front = json.loads((run / "pareto.json").read_text())["front"]
    points = [(member["costs"]["connected_flops"], member["score"]) for member in front]
    assert points == sorted(points)
    for cost, score in trials:
        at_most = [s for c, s in points if c <= cost]
        assert at_most
        assert max(at_most) >= score


LOAD = """
import json, runpy, sys

class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("fewshot_core", "tasks"):
            raise ImportError(name)

sys.meta_path.insert(0, Closed())
import numpy, onnxruntime, timm, torch
config = json.load(open("config.json"))
runpy.run_path(config["architecture"] + ".py")
model = timm.create_model("local-dir:.", pretrained=True).eval()
size = timm.data.resolve_model_data_config(model)["input_size"]
images = torch.randn(3, *size)
with torch.no_grad():
    logits = model(images).numpy()
(others,) = onnxruntime.InferenceSession("model.onnx").run(None, {"images": images.numpy()})
difference = float(abs(logits - numpy.asarray(others)).max())
print(json.dumps([list(size), list(logits.shape), difference, type(model).__name__]))
"""


def test_the_card_says_what_the_network_costs(run: Path) -> None:
    card = (run / "export" / "README.md").read_text()
    found = json.loads((run / "retrain.json").read_text())["results"][0]
    for figure in ("flops", "fvcore_flops", "params"):
        assert f"{found[figure]:,}" in card
    latency = re.search(r"onnxruntime on the CPU that exported it \| ([0-9.]+) ms", card)
    assert latency
    assert float(latency[1]) > 0
    assert f"    {found['genotype']}" in card


def test_timm_alone_loads_the_export(run: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", LOAD],
        cwd=run / "export",
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    size, shape, difference, kind = json.loads(done.stdout.splitlines()[-1])
    assert (size, shape, kind) == ([1, 8, 8], [3, 10], "MobileNetV3")
    assert difference < 1e-5


def test_a_genotype_can_be_trained_by_hand(run: Path) -> None:
    found = json.loads((run / "found.json").read_text())["genotype"]
    stages = json.dumps([stage.split() for stage in found.split("|")])
    done = run_tool("retrain", ["run=run", f"architecture={stages[:-2]}"], run.parent)
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"constraint.flops": 100}, "constraint.flops=100 cannot be met"),
        ({"evaluator.recalibrate": 0}, "evaluator.recalibrate"),
        ({"supernet.paths": "cost", "supernet.paths.low": "1G"}, "widen paths.low"),
        ({"supernet.paths.count": 1}, "supernet.paths.count"),
        ({"strategy": "darts"}, "trains single paths"),
    ],
)
def test_bad_input_is_one_line(words: dict, problem: str, tmp_path: Path) -> None:
    done = run_tool("search", words_of(MOBILE | words, run="run"), tmp_path)
    assert done.code == 2
    assert problem in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_latency_is_measured_once_and_kept(tmp_path: Path) -> None:
    words = words_of(
        MOBILE | {"constraint.latency": 50, "supernet.epochs": 0.5, "split": "none"}, run="run"
    )
    succeed("search", words, tmp_path)
    kept = (tmp_path / "run" / "latency.json").read_bytes()
    found = json.loads((tmp_path / "run" / "found.json").read_text())
    assert 0 < found["costs"]["connected_latency"] <= 50
    assert json.loads(kept)["compared"]["networks"] == 5
    succeed("search", words, tmp_path)
    assert (tmp_path / "run" / "latency.json").read_bytes() == kept


def test_a_predictor_says_how_good_it_is(tmp_path: Path) -> None:
    more = {
        "evaluator": "predictor",
        "evaluator.samples": 40,
        "search.trials": 60,
        "supernet.epochs": 0.5,
        "split": "none",
    }
    done = succeed("search", words_of(MOBILE | more, run="run"), tmp_path)
    figures = json.loads((tmp_path / "run" / "predictor.json").read_text())
    assert "held out, tau" in done.out
    with (tmp_path / "run" / "predictor-scores.csv").open(newline="") as file:
        scored = len(list(csv.DictReader(file)))
    # Few networks of so small a space are within the limit.
    assert 20 <= scored <= 40
    assert figures["samples"] + figures["held_out"] == scored
    assert figures["held_out"] == round(0.2 * scored)
