from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accelerate.tracking
import numpy as np
import pytest
from accelerate.tracking import GeneralTracker
from PIL import Image

from fewshot_core.errors import FewshotError, RunFolderError
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.tracker_names import PACKAGES, MissingTrackerError, require_trackers
from fewshot_core.runs.console import Console
from fewshot_core.runs.tracking import Tracking


class Double(GeneralTracker):
    """A tracker that keeps what it is sent; each launch makes another one."""

    name = "double"
    requires_logging_directory = False
    main_process_only = False
    made: list[Double] = []  # noqa: RUF012
    broken = ""

    def __init__(self, run_name: str, **more: Any) -> None:
        self.run_name, self.more = run_name, more
        self.sent: list[tuple[Any, ...]] = []
        self.made.append(self)

    def start(self) -> None:
        if self.broken == "start":
            raise ConnectionError("no such server")

    @property
    def tracker(self) -> Double:
        return self

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.sent.append(("settings", values))

    def log(self, values: dict[str, Any], step: int | None = None, **more: Any) -> None:
        if self.broken == "log":
            raise ConnectionError("gone")
        self.sent.append(("log", values, step))

    def log_images(self, values: dict[str, Any], step: int | None = None, **more: Any) -> None:
        self.sent.append(("images", values, step))

    def finish(self) -> None:
        self.sent.append(("finish",))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> type[Double]:
    """Takes the place of two trackers, one of each kind."""
    kind = type("Fresh", (Double,), {"made": [], "broken": ""})
    for name in ("wandb", "clearml"):
        monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, name, kind)
    return kind


def logged(tracker: Double) -> list[tuple[Any, ...]]:
    return [one[1:] for one in tracker.sent if one[0] == "log"]


def test_curves_go_on_where_they_were(tmp_path: Path, double: type[Double]) -> None:
    first = Tracking(tmp_path, ["clearml"], {"seed": 3, "list": [1]})
    first.log("supernet root=a", 0, {"loss": 1.0})
    first.log("supernet root=a", 5, {"loss": 0.5})
    first.log("search", 0, {"score": 9.0})
    # Killed here: the next launch repeats steps since its last checkpoint.
    second = Tracking(tmp_path, ["clearml"], {"seed": 3})
    for step, loss in ((0, 1.0), (5, 0.5), (10, 0.25)):
        second.log("supernet root=a", step, {"loss": loss})
    second.close()
    assert first.__class__ is Tracking
    one, other = double.made
    assert one.sent[0] == ("settings", {"seed": 3, "list": "[1]"})
    assert logged(one) == [
        ({"supernet root_a/loss": 1.0}, 0),
        ({"supernet root_a/loss": 0.5}, 5),
        ({"search/score": 9.0}, 0),
    ]
    assert other.sent == [("log", {"supernet root_a/loss": 0.25}, 10), ("finish",)]


def test_a_tracker_that_counts_gets_ascending_steps_and_one_name(
    tmp_path: Path, double: type[Double]
) -> None:
    for _ in range(2):
        tracking = Tracking(tmp_path, ["wandb"], {})
        for curve in ("a", "b"):
            for step in (0, 1):
                tracking.log(curve, step, {"loss": 1.0})
        tracking.close()
    one, other = double.made
    assert [step for _, step in logged(one)] == [0, 1, 2, 3]
    assert [values["b/step"] for values, _ in logged(one)[2:]] == [0, 1]
    assert logged(other) == []
    assert one.more["id"] == other.more["id"]
    assert one.more["resume"] == "allow"
    assert one.run_name == "fewshot-nas"


def test_a_picture_is_sent_when_it_is_another(tmp_path: Path, double: type[Double]) -> None:
    path = tmp_path / "search.png"
    tracking = Tracking(tmp_path, ["wandb"], {})
    for grey in (0, 0, 200):
        Image.fromarray(np.full((2, 3), grey, dtype=np.uint8)).save(path)
        tracking.show(path)
    shown = [one for one in double.made[0].sent if one[0] == "images"]
    assert [one[1]["pictures/search"][0].max() for one in shown] == [0, 200]
    assert shown[0][1]["pictures/search"][0].shape == (2, 3, 3)


def test_a_tracker_that_fails_is_given_up_and_the_run_goes_on(
    tmp_path: Path, double: type[Double]
) -> None:
    said: list[str] = []
    tracking = Tracking(tmp_path, ["wandb"], {}, said.append)
    double.broken = "log"
    tracking.log("a", 0, {"loss": 1.0})
    tracking.log("a", 1, {"loss": 1.0})
    tracking.close()
    assert said == ["wandb is sent nothing more: ConnectionError: gone"]


def test_a_tracker_that_does_not_start_is_one_line(tmp_path: Path, double: type[Double]) -> None:
    double.broken = "start"
    with pytest.raises(MissingTrackerError, match=r"track=wandb cannot be started .* no such"):
        Tracking(tmp_path, ["wandb"], {})


@pytest.mark.parametrize("text", ["{", "[]", '{"curves": {"a": "x"}}', '{"odd": 1}'])
def test_a_damaged_note_is_one_line(tmp_path: Path, double: type[Double], text: str) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sent.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"sent\.json"):
        Tracking(tmp_path, ["wandb"], {})


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingTrackerError, match="pip install mlflow"):
        require_trackers(["mlflow"])
    require_trackers([])


def test_the_names_are_those_of_accelerate() -> None:
    known = set(accelerate.tracking.LOGGER_TYPE_TO_CLASS)
    assert known <= set(PACKAGES)


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("track=tensorboard", ["tensorboard"]),
        ("track=tensorboard,wandb", ["tensorboard", "wandb"]),
        ("track=[tensorboard,wandb]", ["tensorboard", "wandb"]),
        ("track=none", []),
        ("track=[]", []),
    ],
)
def test_words(word: str, names: list[str]) -> None:
    assert load_recipe(["recipe=digits", word]).recipe.track == names


def test_an_unknown_tracker_is_one_line() -> None:
    with pytest.raises(FewshotError, match="did you mean 'tensorboard'"):
        load_recipe(["recipe=digits", "track=tensorbord"])


def test_off_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fewshot_core.runs.tracking", None)
    Console().track("a", 0, {"loss": 1.0})  # importing it would fail


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by tag, as TensorBoard's own reader has them."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = module.EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    reader.Reload()
    return {
        tag: [(one.step, one.value) for one in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


@pytest.fixture
def ready() -> Callable[[], None]:
    from accelerate import PartialState

    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    PartialState(cpu=True)  # trackers of Accelerate ask it who they are
    return lambda: None


def test_tensorboard_for_real(tmp_path: Path, ready: Callable[[], None]) -> None:
    picture = tmp_path / "cost.png"
    Image.fromarray(np.zeros((4, 6, 3), dtype=np.uint8)).save(picture)
    for last in (3, 6):
        tracking = Tracking(tmp_path, ["tensorboard"], {"seed": 1})
        for step in range(last):
            tracking.log("supernet root", step, {"loss": 1 / (step + 1)})
        tracking.show(picture)
        tracking.close()
    found = read_scalars(tmp_path / "logs" / "tensorboard")
    assert found["supernet root/loss"] == [(s, pytest.approx(1 / (s + 1))) for s in range(6)]
    sent = json.loads((tmp_path / "logs" / "sent.json").read_text())
    assert sent["curves"] == {"supernet root": 5}
    assert list(sent["pictures"]) == ["cost"]
