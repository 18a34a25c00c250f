"""The tools on the mobile task, and what an export is worth without this project."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

import fewshot_tasks.imagenet.network  # noqa: F401  registers the models
from tests.shared import once

from .process import TIMEOUT, run_here, run_tool, succeed, words_of
from .tiny import MOBILE


def finished_run(folder: Path) -> None:
    """``run`` in the folder: a run after search, retrain and export."""
    rivals = {"retrain.compare": "[random,largest,most-flops]"}
    succeed("search", words_of({**MOBILE, **rivals}, run="run"), folder)
    for tool in ("retrain", "export"):
        succeed(tool, ["run=run"], folder, pictures=True)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run after search, retrain and export."""
    return once(tmp_path_factory, "finished-mobile", finished_run) / "run"


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
    assert {result["label"] for result in retrained} == {"found", "random", "largest", "most-flops"}
    [most] = [result["flops"] for result in retrained if result["label"] == "most-flops"]
    assert most == max(result["flops"] for result in retrained)
    assert most >= max(float(trial["connected_flops"]) for trial in trials)
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
        if name.split(".")[0] in ("fewshot_core", "fewshot_tasks"):
            raise ImportError(name)

sys.meta_path.insert(0, Closed())
import numpy, onnxruntime, timm, torch
images = numpy.load(sys.argv[1])
config = json.load(open("config.json"))
runpy.run_path(config["architecture"] + ".py")
model = timm.create_model("local-dir:.", pretrained=True).eval()
size = timm.data.resolve_model_data_config(model)["input_size"]
with torch.no_grad():
    logits = model(torch.from_numpy(images)).numpy()
(others,) = onnxruntime.InferenceSession("model.onnx").run(None, {"images": images})
numpy.savez(sys.argv[2], timm=logits, onnx=others)
print(json.dumps([list(size), type(model).__name__, torch.__file__, timm.__version__]))
"""


def differences(run: Path, python: str, place: Path) -> tuple[list[object], dict[str, float]]:
    """What another interpreter says of an export, and how far its logits are from this one's.

    This one's are of the network that was retrained, from the weights of its training.
    """
    result = json.loads((run / "retrain.json").read_text())["results"][0]
    weights = run / "retrain" / f"{result['id']}-{result['seed']}" / "weights.safetensors"
    config = json.loads((run / "export" / "config.json").read_text())
    network = timm.create_model(config["architecture"], num_classes=10, **config["model_args"])
    network.load_state_dict(load_file(weights))
    images = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        own = network.eval()(images).numpy()
    assert own.std() > 1e-2  # else equality would say nothing
    np.save(place / "images.npy", images.numpy())
    # Elsewhere, so that nothing of the run can be in use.
    shutil.copytree(run / "export", place / "handed_over")
    done = subprocess.run(
        [python, "-I", "-W", "ignore", "-c", LOAD, "../images.npy", "../logits.npz"],
        cwd=place / "handed_over",
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    logits = np.load(place / "logits.npz")
    assert logits["timm"].shape == logits["onnx"].shape == own.shape
    said: list[object] = json.loads(done.stdout.splitlines()[-1])
    return said, {way: float(abs(logits[way] - own).max()) for way in ("timm", "onnx")}


def test_the_card_says_what_the_network_costs(run: Path) -> None:
    card = (run / "export" / "README.md").read_text()
    found = json.loads((run / "retrain.json").read_text())["results"][0]
    for figure in ("flops", "fvcore_flops", "params"):
        assert f"{found[figure]:,}" in card
    latency = re.search(r"onnxruntime on the CPU that exported it \| ([0-9.]+) ms", card)
    assert latency
    assert float(latency[1]) > 0
    assert f"    {found['genotype']}" in card


def test_timm_alone_loads_the_export(run: Path, tmp_path: Path) -> None:
    """Without this project, which is closed to imports; the next test is without all its needs."""
    said, apart = differences(run, sys.executable, tmp_path)
    assert said[:2] == [[1, 8, 8], "MobileNetV3"]
    assert max(apart.values()) < 1e-5


def test_an_environment_of_timm_torch_and_onnxruntime_loads_the_export(
    run: Path, tmp_path: Path
) -> None:
    """``FEWSHOT_FRESH_VENV`` names its folder, where it is made if need be; it is left there."""
    named = os.environ.get("FEWSHOT_FRESH_VENV")
    if not named:
        pytest.skip("installs torch once more; FEWSHOT_FRESH_VENV=FOLDER runs it")
    folder = Path(named)
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        constraints = Path(__file__).resolve().parents[2] / "constraints.txt"
        words = ["-m", "pip", "install", "-q", "-c", constraints, "torch", "timm", "onnxruntime"]
        subprocess.run([python, *words], check=True, timeout=1800)
    said, apart = differences(run, str(python), tmp_path)
    assert said[:2] == [[1, 8, 8], "MobileNetV3"]
    assert Path(str(said[2])).is_relative_to(folder)  # its own torch
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True)
    assert "fewshot-nas" not in listed.stdout
    print(f"timm {said[3]}, largest difference of the logits: {apart}")
    assert max(apart.values()) < 1e-5


def test_what_timms_train_script_does_works_on_the_export(run: Path, tmp_path: Path) -> None:
    """`train.py` is in no package of timm; these are its calls that see the exported folder.

    With the weights of the folder and without.
    """
    for part, label, number in itertools.product(("train", "validation"), range(10), range(2)):
        path = tmp_path / "images" / part / f"{label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 25 * label).save(path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAIN, run / "export"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(run / "export")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trained = [json.loads(line) for line in done.stdout.splitlines()[-2:]]
    assert all(before != after for before, after in trained)
    assert trained[0][0] != trained[1][0]


TRAIN = """
import importlib, json, sys
import torch
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.loss import LabelSmoothingCrossEntropy
from timm.models import create_model
from timm.optim import create_optimizer_v2

folder = sys.argv[1]
importlib.import_module("searched_mobilenetv3")  # --device-modules
for pretrained in (True, False):
    torch.manual_seed(0)
    model = create_model(
        f"local-dir:{folder}", pretrained=pretrained, in_chans=1, num_classes=None, drop_rate=0.0,
        drop_path_rate=None, drop_block_rate=None, global_pool=None, bn_momentum=None, bn_eps=None,
        scriptable=False, checkpoint_path="",
    )
    assert model.num_classes == 10
    config = resolve_data_config({"in_chans": 1}, model=model)
    assert tuple(config["input_size"]) == (1, 8, 8), config
    sizes = {"input_size": config["input_size"], "batch_size": 10, "use_prefetcher": False}
    look = {name: config[name] for name in ("mean", "std", "interpolation")}
    parts = {}
    for split, training in (("train", True), ("validation", False)):
        images = create_dataset(
            "", root="images", split=split, is_training=training, input_img_mode="L"
        )
        parts[split] = create_loader(images, is_training=training, num_workers=0, **sizes, **look)
    optimizer = create_optimizer_v2(model, opt="rmsproptf", lr=0.001, weight_decay=1e-5)
    first = [float(p.detach().sum()) for p in model.parameters()]
    for images, labels in parts["train"]:
        loss = LabelSmoothingCrossEntropy()(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for images, labels in parts["validation"]:
            assert model(images).shape == (len(labels), 10)
    print(json.dumps([first, [float(p.detach().sum()) for p in model.parameters()]]))
"""


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
    done = run_here("search", words_of(MOBILE | words, run="run"), tmp_path)
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
    # What is ranked are the scores of its supernets, which are those that the file has.
    words = ["run=run", "truth=run/predictor-scores.csv", "column=score"]
    succeed("rank", words, tmp_path)
    ranking = json.loads((tmp_path / "run" / "ranking.json").read_text())["predictors"]
    assert ranking["one-shot, by loss"]["tau"] == pytest.approx(1.0)


def test_joined_scores_are_within_the_limit_and_resume_to_the_same(tmp_path: Path) -> None:
    more = {
        "evaluator": "ensemble",
        "evaluator.size": "flops",
        "evaluator.samples": 20,
        "search.trials": 12,
        "supernet.epochs": 0.5,
        "split": "none",
    }
    words = words_of(MOBILE | more, run="run")
    done = succeed("search", words, tmp_path)
    run = tmp_path / "run"
    assert "the mean rank (0.5 is the middle) among up to 20 random networks" in done.out
    kept = {
        part: run / "ensemble-scores" / f"{part}.csv" for part in ("supernet", "naswot", "counting")
    }
    tables = {part: list(csv.DictReader(path.open(newline=""))) for part, path in kept.items()}
    assert len({tuple(row["architecture"] for row in rows) for rows in tables.values()}) == 1
    limit = json.loads((run / "found.json").read_text())["costs"]["connected_flops"]
    assert all(float(row["score"]) <= 1.2 * limit for row in tables["counting"])
    trials = (run / "trials.csv").read_bytes()
    # Killed while the second part was scored.
    for name in ("ensemble-scores/counting.csv", "trials.csv", "study.log", "found.json"):
        (run / name).unlink()
    lines = kept["naswot"].read_bytes().splitlines(keepends=True)
    kept["naswot"].write_bytes(b"".join(lines[:9]) + lines[9][:4])
    succeed("search", words, tmp_path)
    assert (run / "trials.csv").read_bytes() == trials
    # Of the runs that a search of supernets has, the ranking shows what it searched by, too.
    succeed("rank", ["run=run", "truth=run/ensemble-scores/counting.csv", "column=score"], tmp_path)
    ranking = json.loads((run / "ranking.json").read_text())["predictors"]
    own = ranking["ensemble, the scores of the search"]["tau"]
    assert own > ranking["one-shot, by loss"]["tau"], "size is a part of it, and the truth here"


def test_a_proxy_that_cannot_score_the_networks_is_refused_before(tmp_path: Path) -> None:
    words = words_of(MOBILE | {"evaluator": "ensemble", "evaluator.proxy": "inherited"}, run="run")
    failed = run_here("search", words, tmp_path)
    assert failed.code == 2
    assert "evaluator.proxy=inherited is none of naswot, synflow" in failed.err
    assert not (tmp_path / "run").exists()
