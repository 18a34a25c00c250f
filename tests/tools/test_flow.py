"""The tools one after the other, and what they leave behind."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from fewshot_core.plugins import names_with, plugins
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.cifar10.space import nasbench201
from tests.shared import once

from .process import TIMEOUT, TOOLS, run_here, succeed, words_of
from .tiny import TINY

ALL_TOOLS = ("search", "retrain", "export", "rank", "report")
NO_AUDIT = TINY | {"audit.networks": 0}
LAUNCH = [str(Path(sys.executable).with_name("accelerate")), "launch"]
PLAIN = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def said(tool: str, words: list[str], folder: Path) -> str:
    """What a tool prints that ends well."""
    done = run_here(tool, words, folder)
    assert done.code == 0, done.err
    return done.out


@pytest.fixture(scope="session")
def flow(finished: Path, truth: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A copy of the finished run after report, export and rank, and what these printed."""

    def make(folder: Path) -> None:
        shutil.copytree(finished, folder / "run")
        words = {
            "report": ["run=run"],
            "export": ["run=run"],
            "rank": ["run=run", f"truth={truth}", "column=accuracy"],
        }
        for tool, more in words.items():
            done = succeed(tool, more, folder, pictures=True)
            (folder / f"{tool}.txt").write_text(done.out)

    folder = once(tmp_path_factory, "flow", make)
    printed = {path.stem: path.read_text() for path in folder.glob("*.txt")}
    return {"run": folder / "run", **printed}


# -- search and retrain --------------------------------------------------------------------


def test_search(finished: Path) -> None:
    trials = table(finished / "trials.csv")
    assert [int(row["number"]) for row in trials] == list(range(8))
    found = read(finished / "found.json")
    best = max(trials, key=lambda row: (float(row["score"]), -int(row["number"])))
    assert (found["genotype"], found["score"]) == (best["architecture"], float(best["score"]))
    regions = read(finished / "regions.json")
    leaves = [child["region"]["id"] for child in regions["children"]]
    assert len(leaves) == 2
    assert {row["region"] for row in trials} <= set(leaves)
    space = nasbench201()
    for row in trials:
        # Equal networks share a score, so the region is that of the one which stands for them.
        scored = space.canonical(space.parse(row["architecture"]))
        options = row["region"].removeprefix("edge_1_0=").split("+")
        assert space.choices(scored)["edge_1_0"] in options
    for name in ("recipe.yaml", "overrides.txt", "environment.json", "costs.json", "data.json"):
        assert (finished / name).stat().st_size > 0
    assert (finished / "report.html").stat().st_size > 0


def test_audit(finished: Path) -> None:
    rows, summary = table(finished / "audit.csv"), read(finished / "audit.json")
    assert len({row["architecture"] for row in rows}) == summary["networks"] == 4
    trials = table(finished / "trials.csv")
    drawn = {row["architecture"]: row for row in table(finished / "audit-scores.csv")}
    for row in rows:
        source = trials[int(row["trial"])] if row["trial"] else drawn[row["architecture"]]
        assert (source["architecture"], source["score"]) == (row["architecture"], row["score"])
    found = read(finished / "found.json")["costs"]["connected_flops"]
    assert {float(row["connected_flops"]) for row in rows} == {found}
    assert summary["cost"]["found"] == summary["cost"]["lowest"] == found
    trained = {path.parent.name for path in finished.glob("standalone/*/weights.safetensors")}
    space = nasbench201()
    assert trained == {f"{space.parse(row['architecture']).id}-0.5" for row in rows}
    assert -1 <= summary["interval"][0] <= summary["interval"][1] <= 1
    assert summary["trust"] == "open"
    assert "4 trained networks are too few" in summary["verdict"]
    assert "4 trained networks are too few" in (finished / "report.html").read_text()


def test_retrain(finished: Path) -> None:
    results = read(finished / "retrain.json")["results"]
    assert [row["label"] for row in results] == ["found", "random", "largest"]
    assert results[0]["genotype"] == read(finished / "found.json")["genotype"]
    assert results[2]["params"] == max(row["params"] for row in results)
    for row in results:
        weights = load_file(finished / "retrain" / f"{row['id']}-0" / "weights.safetensors")
        trained = sum(t.numel() for n, t in weights.items() if not _is_statistic(n))
        assert trained >= row["params"]  # what is not on a path to the output is not counted
        said = read(finished / "retrain" / f"{row['id']}-0" / "predictions.json")
        assert row["test"]["accuracy"] == 100 * sum(said["right"]) / sum(said["images"])
        assert sum(n for *_, n in said["confusions"]) == sum(said["images"]) - sum(said["right"])
        given = [image["given"] for image in said["worst"]]
        assert given == sorted(given)
    assert "Class by class" in (finished / "report.html").read_text()


def _is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def test_retrain_of_a_given_architecture(copy: Path) -> None:
    genotype = "|nor_conv_1x1~0|+|skip_connect~0|none~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    succeed("retrain", ["run=run", f"architecture={genotype}"], copy.parent)
    results = read(copy / "retrain.json")["results"]
    assert [row["label"] for row in results] == ["found", "random", "largest", "given"]
    assert results[-1]["genotype"] == genotype
    done = succeed("export", ["run=run", "label=given", "out=out"], copy.parent)
    assert "given by hand" in done.out
    assert read(copy.parent / "out" / "architecture.json")["genotype"] == genotype


# -- report and rank -----------------------------------------------------------------------


def test_report(flow: dict[str, Any]) -> None:
    found = read(flow["run"] / "found.json")["genotype"]
    assert found.split("+")[0] in (flow["run"] / "report.html").read_text()
    assert flow["report"].strip()


def test_rank(flow: dict[str, Any], truth: Path) -> None:
    ranking = read(flow["run"] / "ranking.json")
    assert ranking["column"] == "accuracy"
    names = list(ranking["predictors"])
    assert "one-shot, by accuracy" in names
    assert "few-shot, 2 regions, by loss" in names
    assert any(name.startswith("random") for name in names)
    for name in ("one-shot", "few-shot"):
        scored = [row["architecture"] for row in table(flow["run"] / "scores" / f"{name}.csv")]
        assert 0 < len(scored) <= 50
        assert len(set(scored)) == len(scored)
    assert "one-shot" in (flow["run"] / "ranking.md").read_text()


def test_rank_resumes(flow: dict[str, Any], truth: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(flow["run"], run)
    log = run / "scores" / "few-shot.csv"
    whole = log.read_bytes()
    lines = whole.splitlines(keepends=True)
    # As a kill leaves it: some rows, and half of one.
    log.write_bytes(b"".join(lines[:10]) + lines[10][:15])
    succeed("rank", ["run=run", f"truth={truth}", "column=accuracy"], tmp_path)
    assert log.read_bytes() == whole
    assert read(run / "ranking.json") == read(flow["run"] / "ranking.json")


def test_rank_of_a_file(truth: Path, tmp_path: Path) -> None:
    rows = table(truth)
    with (tmp_path / "turned.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "tau"])
        writer.writerows([row["architecture"], -float(row["accuracy"])] for row in rows)
    words = ["recipe=digits", f"truth={truth}", "column=accuracy"]
    perfect = said("rank", [*words, f"scores={truth}", "score_column=accuracy"], tmp_path)
    turned = said("rank", [*words, "scores=turned.csv", "score_column=tau"], tmp_path)
    assert "1.00" in _line(perfect, "truth")
    assert "-1.00" in _line(turned, "turned")
    less = [*words, "scores=turned.csv", "score_column=tau", "score_better=lower"]
    assert "-1.00" not in _line(said("rank", less, tmp_path), "turned")
    both = said("rank", [*words, "better=lower", *less[3:]], tmp_path)
    assert "-1.00" in _line(both, "turned")
    assert "accuracy: less is better" in both
    wrong = run_here("rank", [*less, "better=small"], tmp_path)
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["turned.csv"]


def test_rank_of_a_file_of_representatives(tmp_path: Path) -> None:
    """What a run keeps in scores/: one line for each distinct network."""
    space = nasbench201()
    rng = random.Random(1)
    cells = list(dict.fromkeys(space.sample(rng) for _ in range(60)))
    distinct = list(dict.fromkeys(space.canonical(cell) for cell in cells))
    assert set(distinct) - set(cells)

    def write(name: str, architectures: list[Architecture]) -> None:
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["architecture", "value"])
            for a in architectures:
                writer.writerow([space.genotype(a), int(space.canonical(a).id, 16) % 1000])

    write("truth.csv", cells)
    write("kept.csv", distinct)
    words = ["recipe=digits", "truth=truth.csv", "column=value", "score_column=value"]
    done = said("rank", [*words, "scores=kept.csv"], tmp_path)
    assert "1.00" in _line(done, "kept")
    assert "rank ensemble: kept" in done
    write("kept.csv", distinct[:-1])
    lacking = run_here("rank", [*words, "scores=kept.csv"], tmp_path)
    assert lacking.code == 2
    assert "lacks" in lacking.err


def _line(text: str, word: str) -> str:
    return next(line for line in text.splitlines() if word in line)


# -- export --------------------------------------------------------------------------------

USE = """
import json, pickle, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fewshot_core", "fewshot_tasks"):
            raise ImportError(name + " is not to be had here")

sys.meta_path.insert(0, Blocked())
import numpy, runpy, timm, torch

def unpickle(*args, **kwargs):
    raise AssertionError("something was unpickled")

class Unpickler(pickle.Unpickler):
    __init__ = unpickle

folder, images, logits = sys.argv[1:]
pictures = torch.from_numpy(numpy.load(images))
pickle.load = pickle.loads = pickle._load = pickle._loads = torch.load = unpickle
pickle.Unpickler = pickle._Unpickler = Unpickler
if folder == ".":
    runpy.run_path("nasbench201_cell.py")
model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
with torch.no_grad():
    result = model(pictures)
config = timm.data.resolve_model_data_config(model)
assert not [name for name in sys.modules if name.startswith(("fewshot_core", "fewshot_tasks"))]
numpy.save(logits, result.numpy())
print(json.dumps({"input_size": config["input_size"], "mean": config["mean"]}))
"""


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def logits_of(run: Path, images: torch.Tensor) -> np.ndarray[Any, Any]:
    """What the run's own network says, from the weights of its retraining."""
    from fewshot_tasks.cifar10.network import CellNetwork, parse_cell

    result = read(run / "retrain.json")["results"][0]
    network = CellNetwork(
        parse_cell(result["genotype"]), channels=4, cells_per_stage=1, num_classes=10, in_chans=1
    )
    network.load_state_dict(
        load_file(run / "retrain" / f"{result['id']}-{result['seed']}" / "weights.safetensors")
    )
    logits = network.eval()(images).numpy()
    assert logits.std() > 1e-2  # else equality would say nothing
    return logits


def test_export_is_plain_timm(flow: dict[str, Any], images: torch.Tensor, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images.numpy())
    # Elsewhere, so that nothing of the run can be in use.
    shutil.copytree(flow["run"] / "export", tmp_path / "handed_over")
    done = subprocess.run(
        [sys.executable, "-I", "-c", USE, ".", "../images.npy", "../logits.npy"],
        cwd=tmp_path / "handed_over",
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    logits = np.load(tmp_path / "logits.npy")
    np.testing.assert_allclose(logits, logits_of(flow["run"], images), atol=1e-5, rtol=0)
    config = json.loads(done.stdout.splitlines()[-1])
    assert config["input_size"] == [1, 8, 8]
    assert 0 < config["mean"][0] < 1


@pytest.mark.parametrize("batch", [1, 5])
def test_export_to_onnx(flow: dict[str, Any], images: torch.Tensor, batch: int) -> None:
    import onnxruntime

    path = flow["run"] / "export" / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images[:batch].numpy()})
    expected = logits_of(flow["run"], images)[:batch]
    np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=0)


def test_export_holds_what_it_says(flow: dict[str, Any]) -> None:
    folder, run = flow["run"] / "export", flow["run"]
    names = {path.name for path in folder.iterdir()}
    assert names == {
        ".fewshot-nas.json",
        "README.md",
        "architecture.json",
        "config.json",
        "model.onnx",
        "model.safetensors",
        "nasbench201_cell.py",
        "recipe.yaml",
    }
    for path in folder.iterdir():  # no zip of torch.save and no bare pickle
        assert not path.read_bytes().startswith((b"PK", b"\x80"))
    result = read(run / "retrain.json")["results"][0]
    assert read(folder / "architecture.json")["genotype"] == result["genotype"]
    assert (folder / "recipe.yaml").read_text() == (run / "recipe.yaml").read_text()
    card = (folder / "README.md").read_text()
    assert f"| test accuracy | {result['test']['accuracy']:.2f} |" in card
    assert "runpy.run_path(" in card
    assert not list(run.glob(".*.part"))


def test_export_of_another_label_replaces_the_folder(flow: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(flow["run"], tmp_path / "run")
    succeed("export", ["run=run", "label=largest"], tmp_path)
    results = {row["label"]: row for row in read(tmp_path / "run" / "retrain.json")["results"]}
    architecture = read(tmp_path / "run" / "export" / "architecture.json")
    assert architecture["genotype"] == results["largest"]["genotype"]


# -- kinds of search -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def every_cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose value is known to every search: the more convolutions, the better."""
    space, path = nasbench201(), tmp_path_factory.mktemp("table") / "all.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch", "value"])
        writer.writerows(
            [space.genotype(a), space.features()["nonlinear"](a)] for a in space.enumerate()
        )
    return path


def in_a_table(path: Path) -> dict[str, object]:
    """The settings of a search in a table."""
    return {"evaluator": "table", "evaluator.table": path, "evaluator.column": "value"}


def test_search_in_a_table(every_cell: Path, tmp_path: Path) -> None:
    changes = in_a_table(every_cell)
    words = words_of(NO_AUDIT | changes | {"search.trials": 40}, run="run")
    assert "promoted" not in succeed("search", words, tmp_path).out
    for row in table(tmp_path / "run" / "trials.csv"):
        convolutions = row["architecture"].count("nor_conv")
        assert float(row["score"]) == convolutions
    assert read(tmp_path / "run" / "found.json")["score"] >= 4  # evolution climbs: random has 2.4
    assert not (tmp_path / "run" / "checkpoints").exists()
    rank = run_here("rank", ["run=run", f"truth={every_cell}", "column=value"], tmp_path)
    assert rank.code == 2
    assert "only scores of supernets can be ranked | found: evaluator=table" in rank.err
    assert "evaluator=ensemble, inherited, predictor" in rank.err
    # A table knows one budget.
    more = words_of(NO_AUDIT | changes | {"strategy": "hyperband"}, run="hyperband")
    assert "evaluator=table knows one budget" in succeed("search", more, tmp_path).out
    rows = table(tmp_path / "hyperband" / "trials.csv")
    assert [row["budget"] for row in rows] == ["1.0"] * 8


def test_search_by_standalone_trainings(tmp_path: Path) -> None:
    changes = {
        "evaluator": "standalone",
        "evaluator.epochs": 0.5,
        "evaluator.score": "loss",
        "search.trials": 4,
        "strategy": "random",
    }
    succeed("search", words_of(NO_AUDIT | changes, run="run"), tmp_path)
    run = tmp_path / "run"
    trials = table(run / "trials.csv")
    trained = {path.parent.name.partition("-")[0] for path in run.glob("standalone/*/state.json")}
    assert trained == {row["id"] for row in trials}
    assert all(float(row["score"]) == -float(row["loss"]) for row in trials)
    assert not (run / "checkpoints").exists()


@pytest.mark.parametrize(("proxy", "title"), [("synflow", "SynFlow"), ("naswot", "NASWOT")])
def test_search_by_a_proxy(proxy: str, title: str, tmp_path: Path) -> None:
    changes = {"evaluator": proxy, "search.trials": 6, "strategy": "random"}
    succeed("search", words_of(NO_AUDIT | changes, run="run"), tmp_path)
    run = tmp_path / "run"
    trials = table(run / "trials.csv")
    scores = [float(row["score"]) for row in trials]
    assert np.isfinite(scores).all()
    assert len(set(scores)) > 1
    assert read(run / "found.json")["score"] == max(scores)
    assert all(row["accuracy"] == row["loss"] == "" for row in trials)
    assert not (run / "checkpoints").exists()
    assert not (run / "standalone").exists()
    page = (run / "report.html").read_text()
    assert f"{title} of the untrained network" in page
    # No supernet and no validation image had a part in these scores.
    assert "supernet's weights" not in page
    assert "to score architectures" not in page
    assert "validation images and the best so far" not in page


LIMITS = {"constraint.params": 12_000, "constraint.flops": 90_000, "search.trials": 15}


def require_limits(run: Path) -> list[dict[str, str]]:
    """The trials of a run, which have to be within the limits."""
    rows = table(run / "trials.csv")
    assert all(int(row["connected_params"]) <= LIMITS["constraint.params"] for row in rows)
    assert all(int(row["connected_flops"]) <= LIMITS["constraint.flops"] for row in rows)
    found = read(run / "found.json")["costs"]
    assert found["connected_params"] <= LIMITS["constraint.params"]
    return rows


def test_the_limits_are_not_idle(finished: Path) -> None:
    costs = [
        (int(row["connected_params"]), int(row["connected_flops"]))
        for row in table(finished / "trials.csv")
    ]
    assert any(p > LIMITS["constraint.params"] or f > LIMITS["constraint.flops"] for p, f in costs)


DIFFERENTIABLE = names_with("strategy", "differentiable")


@pytest.mark.parametrize("strategy", ["rea", "bohb", *DIFFERENTIABLE])
def test_constraints_hold_in_every_trial(strategy: str, tmp_path: Path) -> None:
    """Also where regions are scored with parts of the budget, and where they name networks."""
    more = {"strategy": strategy, "preferences.samples": 4}
    succeed("search", words_of(NO_AUDIT | LIMITS | more, run="run"), tmp_path)
    rows = require_limits(tmp_path / "run")
    leaves = len(read(tmp_path / "run" / "regions.json")["children"])
    budgets = {float(row["budget"]) for row in rows}
    assert budgets == ({1 / 9, 1 / 3, 1.0} if strategy == "bohb" else {1.0})
    if strategy in DIFFERENTIABLE:  # scores what it names, up to so many in each region
        assert 1 <= len(rows) <= (4 if strategy in ("enas", "setn") else 1) * leaves
    else:
        assert len(rows) == 15 if budgets == {1.0} else len(rows) > 15


@pytest.mark.parametrize("strategy", sorted({*plugins("strategy")} - {*DIFFERENTIABLE}))
def test_every_strategy_runs_from_its_recipe(
    strategy: str, every_cell: Path, tmp_path: Path
) -> None:
    """Within limits, by a table."""
    if strategy == "smac":
        pytest.importorskip("smac")
    more = in_a_table(every_cell) | {"strategy": strategy}
    done = run_here("search", words_of(NO_AUDIT | LIMITS | more, run="run"), tmp_path)
    assert done.code == 0, done.err
    rows = require_limits(tmp_path / "run")
    assert len(rows) == 15
    assert {row["budget"] for row in rows} == {"1.0"}


def test_budgets_of_inherited_weights(finished: Path, tmp_path: Path) -> None:
    """A promotion is scored anew on more images, and what is found was scored on all of them."""
    changes = {"strategy": "hyperband", "search.trials": 6, "evaluator.recalibrate": 0}
    succeed("search", words_of(NO_AUDIT | changes, run="run"), tmp_path)
    rows = table(tmp_path / "run" / "trials.csv")
    assert sum(float(row["budget"]) for row in rows) == pytest.approx(6, abs=1)
    whole = [row for row in rows if float(row["budget"]) == 1]
    assert read(tmp_path / "run" / "found.json")["score"] == max(float(r["score"]) for r in whole)
    first = [row for row in rows if float(row["budget"]) < 1 / 3]
    promoted = rows[9:12]
    assert [float(row["budget"]) for row in promoted] == [1 / 3] * 3
    ranked = sorted(first[:9], key=lambda row: -float(row["score"]))
    assert [row["id"] for row in promoted] == [row["id"] for row in ranked[:3]]
    assert any(a["score"] != b["score"] for a, b in zip(promoted, ranked, strict=False))
    assert (
        f"and {len(rows) - len(whole)} with a part of the budget"
        in (tmp_path / "run" / "report.html").read_text()
    )


def test_budgets_of_standalone_trainings(tmp_path: Path) -> None:
    changes = {
        "evaluator": "standalone",
        "evaluator.epochs": 1.8,
        "strategy": "hyperband",
        "strategy.least": 0.3,
        "search.trials": 2,
    }
    succeed("search", words_of(NO_AUDIT | changes, run="run"), tmp_path)
    trained = {path.parent.name for path in (tmp_path / "run").glob("standalone/*/state.json")}
    rows = table(tmp_path / "run" / "trials.csv")
    assert trained == {f"{row['id']}-{1.8 * float(row['budget']):g}" for row in rows}
    assert {float(row["budget"]) for row in rows} == {1 / 3, 1.0}


def test_two_objectives(tmp_path: Path) -> None:
    words = words_of(NO_AUDIT | {"strategy": "nsga2", "search.trials": 16}, run="run")
    succeed("search", words, tmp_path)
    rows = {row["id"]: row for row in table(tmp_path / "run" / "trials.csv")}
    front = read(tmp_path / "run" / "pareto.json")["front"]
    points = [(point["costs"]["connected_flops"], point["score"]) for point in front]
    assert points == sorted(points)
    assert len({score for _, score in points}) == len(points)
    for row in rows.values():
        flops, score = float(row["connected_flops"]), float(row["score"])
        assert any(cost <= flops and best >= score for cost, best in points)
    assert points[-1][1] == read(tmp_path / "run" / "found.json")["score"]
    assert "Score against FLOPs" in (tmp_path / "run" / "report.html").read_text()


# -- flags ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ALL_TOOLS)
def test_flags_of_every_tool(tool: str, finished: Path, tmp_path: Path) -> None:
    folder = finished.parent
    assert "usage: " in said(tool, ["--help"], tmp_path)
    listed = said(tool, ["--list-recipes"], tmp_path)
    assert any(line.startswith("digits  ") for line in listed.splitlines())
    printed = said(tool, ["--print-recipe", "run=run"], folder)
    assert printed == (finished / "recipe.yaml").read_text()
    named = yaml.safe_load(said(tool, ["--print-recipe", "recipe=digits"], tmp_path))
    assert (named["recipe"], named["network"]["channels"]) == ("digits", 8)
    for words, part in (
        (["run=nowhere"], "nowhere is no run folder"),
        (["recipe=digit"], "did you mean 'digits'"),
        ([], "recipe"),
    ):
        done = run_here(tool, ["--print-recipe", *words], tmp_path)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: ")
        assert part in done.err
    assert not any(tmp_path.iterdir())


# -- launchers -----------------------------------------------------------------------------


def launch(flags: list[str], words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [*LAUNCH, *flags, *PLAIN, str(TOOLS / "search.py"), *words]
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_two_processes(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("two processes would share the GPUs here; this is about two on the CPU")
    words = words_of(TINY, run="run")
    flags = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]  # any free port
    done = launch(flags, words, tmp_path)
    trials = table(tmp_path / "run" / "trials.csv")
    assert [int(row["number"]) for row in trials] == list(range(8))
    assert done.stdout.count("run folder: run") == 1  # one of them speaks
    # The audit trains in step with each other: it hangs unless both know the same trials.
    assert (tmp_path / "run" / "audit.json").exists()
    before = (tmp_path / "run" / "study.log").read_bytes()
    # What two have begun, one can go on with, and finds nothing left to do.
    succeed("search", words, tmp_path)
    assert (tmp_path / "run" / "study.log").read_bytes() == before
