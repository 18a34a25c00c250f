"""A run as programs see it: what the commands do and leave, as values."""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from matplotlib.figure import Figure

import fewshot
from fewshot_core.data.images import as_picture
from fewshot_core.pipeline.opening import look_at
from fewshot_core.report.canvas import INK
from fewshot_core.runs.files import read_json
from fewshot_core.runs.preemption import StopRequest
from tests.tools.process import BLANK
from tests.tools.tiny import TINY

SETTINGS = {key: value for key, value in TINY.items() if key != "recipe"}
SAME = ("found.json", "pareto.json", "trials.csv", "audit.csv", "recipe.yaml", "regions.json")
"""Files of a search without a time or a place in them."""


@pytest.fixture(autouse=True)
def _own_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process leave a state of theirs, which stays as it is."""
    for state in (PartialState, AcceleratorState, GradientState):
        monkeypatch.setattr(state, "_shared_state", {})


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn and not rendered, which takes most of the time of a report."""

    def leave_blank(figure: Figure, file: Any, **more: Any) -> None:
        if isinstance(file, os.PathLike):
            Path(file).write_bytes(b"")
        else:
            file.write(BLANK)

    monkeypatch.setattr(Figure, "savefig", leave_blank)


class Stopper:
    """Sends a signal to this process at the first safe point with enough trials."""

    def __init__(self, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number: int | None = None
        self.trials = 0
        plain = StopRequest.check

        def check(request: StopRequest) -> None:
            # A line for the study, and one for each trial.
            lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
            if self.number is not None and lines > self.trials:
                number, self.number = self.number, None
                signal.raise_signal(number)
            plain(request)

        monkeypatch.setattr(StopRequest, "check", check)


@pytest.mark.usefixtures("blank")
def test_a_search_that_is_stopped_twice_ends_as_that_of_the_command(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    heard: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    earlier = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    stopper = Stopper(Path("run/study.log"), monkeypatch)
    try:
        stopper.number, stopper.trials = signal.SIGINT, 3
        with pytest.raises(KeyboardInterrupt):
            fewshot.search("digits", "run", settings=SETTINGS)
        run = fewshot.open("run")
        assert not run.finished
        so_far = run.list_trials()
        assert 0 < len(so_far) < 8
        assert "search under way" in repr(run)
        assert f"{len(so_far)} of 8" in run._repr_html_()
        with pytest.raises(fewshot.FewshotError, match=r"holds no finished search .*search\(run="):
            _ = run.best

        stopper.number, stopper.trials = signal.SIGTERM, 5
        with pytest.raises(fewshot.Preempted):
            fewshot.search("digits", "run", settings=SETTINGS)
        assert heard == [signal.SIGTERM]
        assert {number: signal.getsignal(number) for number in before} == before
    finally:
        signal.signal(signal.SIGTERM, earlier)
    assert len(run.list_trials()) > len(so_far)

    capsys.readouterr()
    ended: list[fewshot.Run] = []
    thread = threading.Thread(target=lambda: ended.append(fewshot.search(run="run")))
    thread.start()
    thread.join()
    assert [one.folder for one in ended] == [Path("run")]
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith(("run folder", "report", "best"))]
    assert [line.split()[0] for line in lines] == ["run", "best", "report:"]
    assert run.list_trials()[: len(so_far)] == so_far
    for name in SAME:
        assert Path("run", name).read_bytes() == (finished / name).read_bytes(), name
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    assert PartialState._shared_state == {}


# --- what was found


def test_trials_are_those_of_the_table(finished: Path) -> None:
    pandas = pytest.importorskip("pandas")
    table = fewshot.open(finished).trials
    rows = fewshot.open(finished).list_trials()
    of_file = pandas.read_csv(finished / "trials.csv").rename(columns={"architecture": "genotype"})
    pandas.testing.assert_frame_equal(table, of_file, check_dtype=False)
    assert [row.to_dict() for row in rows] == table.to_dict("records")
    assert set(rows[0].metrics) == {"accuracy", "loss"}


def test_without_pandas_trials_are_a_list(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    run = fewshot.open(finished)
    assert run.trials == run.list_trials()
    assert len(run.trials) == 8


def test_the_best_and_the_front(finished: Path) -> None:
    run = fewshot.open(str(finished))
    rows, best = run.list_trials(), run.best
    row = rows[best.trial]
    assert (row.genotype, row.score, row.metrics) == (best.genotype, best.score, best.metrics)
    assert best.costs["connected_flops"] == row.connected_flops
    assert look_at(finished).root.space.parse(best.genotype) == best.architecture
    scores = [point.score for point in run.front]
    assert scores == sorted(scores)
    assert scores[-1] == max(row.score for row in rows)
    for point in run.front:
        assert rows[point.trial].metrics == point.metrics
    assert run.recipe.supernet.epochs == 1


def test_results_of_a_retraining(finished: Path) -> None:
    results = fewshot.open(finished).retrained
    kept = read_json(finished / "retrain.json")["results"]
    assert [one.test for one in results] == [one["test"] for one in kept]
    assert results.labels == ["found", "random", "largest"]
    assert results.values == [kept[0]["test"]["accuracy"]]
    assert results.mean == kept[0]["test"]["accuracy"]
    assert math.isnan(results.spread)
    assert list(results.comparisons) == ["random", "largest"]
    assert results.metric.unit == "%"
    assert results.trainings[0].to_dict()["test_accuracy"] == results.mean
    with pytest.raises(KeyError, match="there are found, random, largest"):
        results.summary("given")


def test_the_model_computes_what_was_tested(finished: Path) -> None:
    """The pictures go the way of a user's own: through PIL, not through the run's batches."""
    run = fewshot.open(finished)
    test = look_at(finished).images.data().test()
    pictures = [as_picture(image) for image in test.pixels(torch.arange(len(test)))]
    for training in run.retrained:
        model = run.model(training.label, training.seed)
        assert not model.training
        with torch.no_grad():
            logits = model(run.inputs.prepare(pictures))
        assert logits.shape == (len(test), len(run.inputs.classes))
        right = (logits.argmax(1) == test.labels).float().mean().item()
        assert 100 * right == pytest.approx(training.test["accuracy"], abs=1e-3)


def test_pictures_of_every_kind_are_prepared_alike(finished: Path, tmp_path: Path) -> None:
    inputs = fewshot.open(finished).inputs
    picture = as_picture(torch.arange(64, dtype=torch.uint8).reshape(1, 8, 8) * 4)
    picture.save(tmp_path / "one.png")
    import numpy as np

    kinds = [picture, np.asarray(picture), tmp_path / "one.png", str(tmp_path / "one.png")]
    prepared = inputs.prepare(kinds)
    assert prepared.shape == (4, inputs.channels, inputs.size, inputs.size)
    assert torch.equal(prepared, prepared[:1].expand_as(prepared))
    for wrong, found in ((np.zeros((8, 8)), "8 bits"), (3, "int"), ("no.png", "No such file")):
        with pytest.raises(fewshot.FewshotError, match=found):
            inputs.prepare([wrong])  # type: ignore[list-item]


# --- what can be done with it


@pytest.mark.usefixtures("blank")
def test_retrain_another_network_export_and_report(copy: Path) -> None:
    run = fewshot.open(copy)
    point = run.front[0]
    results = run.retrain(point)
    assert results.labels == ["given", "found", "random", "largest"]
    assert results.trainings[0].genotype == point.genotype
    assert run.retrained.labels[0] == "found"  # what was trained before stays
    assert run.retrain(point.architecture) == run.retrain(point.genotype) == results
    assert run.report() == copy / "report.html"

    with pytest.raises(fewshot.FewshotError, match="is the run folder itself"):
        run.export(copy)
    assert run.export(copy.parent / "mine") == copy.parent / "mine"  # the lock was given back
    weights = (copy.parent / "mine" / "model.safetensors").stat().st_size
    assert weights > 4 * point.costs["connected_params"]


def test_rank(copy: Path, truth: Path) -> None:
    rows = fewshot.open(copy).rank(truth, "accuracy")
    assert {"one-shot, by loss", "few-shot, 2 regions, by loss", "parameters"} <= {*rows}
    assert rows["parameters"].count == 50
    kept = read_json(copy / "ranking.json")["predictors"]
    assert {name: figures.to_json() for name, figures in rows.items()} == kept


def test_figures_by_what_they_show(finished: Path) -> None:
    run = fewshot.open(finished)
    for name, label in (("front", "FLOPs"), ("cost", "FLOPs"), ("trials", "trial")):
        assert run.figure(name).axes[0].get_xlabel().startswith(label)
    with pytest.raises(fewshot.FewshotError) as raised:
        run.figure("fornt")
    assert "allowed: results, trials, front, audit, regions" in str(raised.value)
    assert "did you mean 'front'" in str(raised.value)


def test_a_notebook_shows_it(finished: Path) -> None:
    run = fewshot.open(finished)
    shown = run._repr_html_()
    assert run.best.genotype.split("|")[1] in shown
    assert f"{run.retrained.mean:.2f}" in shown
    assert "<svg" in shown
    # Nothing from outside, no colour that is lost on black or white, no style for the whole page.
    assert not re.search(r"(src|href)=\"(?!#)|<style|<script|@import|url\((?!#)", shown)
    assert INK not in shown
    assert "background:#" not in shown
    assert shown.count("<div") == shown.count("</div>") == 1
    ids = re.findall(r'\sid="([^"]+)"', shown)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', shown))
    assert used <= set(ids)
    assert run.best.genotype in repr(run)


def test_looking_changes_nothing_and_needs_no_lock(copy: Path) -> None:
    import fcntl

    run = fewshot.open(copy)
    before = {path: path.stat().st_mtime_ns for path in sorted(copy.rglob("*"))}
    with (copy / ".lock").open() as lock:  # another process is at work
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert len(run.list_trials()) == 8
        assert run.best in run.front
        assert run.retrained.labels
        assert run.figure("front")
        run.model()
        with pytest.raises(fewshot.FewshotError, match="in use"):
            run.report()
    assert {path: path.stat().st_mtime_ns for path in sorted(copy.rglob("*"))} == before


# --- what is wrong


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"recipe": "digit"}, "unknown recipe 'digit'"),
        ({"recipe": "digits", "strategy": "teppe"}, "strategy"),
        ({"recipe": "digits", "supernet": {"epoch": 5}}, "supernet.epoch"),
        ({"recipe": "digits", "seed": "0,1,2"}, "are a sweep, which is many runs"),
        ({"recipe": "digits", "seed": object()}, "seed has a value of a kind"),
        ({}, "recipe= is missing"),
        ({"run": "nothing"}, "recipe= is missing"),
    ],
)
def test_bad_settings_leave_nothing(
    settings: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fewshot.FewshotError, match=re.escape(line)):
        fewshot.search(**settings)
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_run(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(fewshot.FewshotError, match="is no run folder"):
        fewshot.open(tmp_path)
    shutil.copy(finished / "recipe.yaml", tmp_path)
    run = fewshot.open(tmp_path)
    assert run.list_trials() == []
    assert len(run.trials) == 0
    with pytest.raises(fewshot.FewshotError, match="does not know its images"):
        _ = run.inputs
    with pytest.raises(fewshot.FewshotError, match="holds no retrained network"):
        run.model()
    with pytest.raises(fewshot.FewshotError, match="allowed: none yet"):
        run.figure("front")
    with pytest.raises(fewshot.FewshotError, match="holds no finished search"):
        _ = run.front
    (tmp_path / "recipe.yaml").unlink()
    assert "no run there" in repr(run)
    assert "is no run folder" in run._repr_html_()


def test_a_damaged_file_is_one_line(copy: Path) -> None:
    run = fewshot.open(copy)
    for name, content, look in (
        ("found.json", "[1]", lambda: run.best),
        ("trials.csv", "number\nx\n", lambda: run.list_trials()),
        ("retrain.json", '{"metric": "accuracy", "results": [{}]}', lambda: run.retrained),
    ):
        (copy / name).write_text(content)
        with pytest.raises(fewshot.FewshotError, match=f"{name} is damaged"):
            look()
    assert "is damaged" in run._repr_html_()
