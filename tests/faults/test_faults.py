"""After any fault the same command finishes, with the trials and weights of the undisturbed run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.shared import once
from tests.tools.damage import flip_a_bit, truncate
from tests.tools.outcome import outcome
from tests.tools.process import Done, Running, launch, run_tool

from .conftest import Reference, disturbed
from .moments import named, watch
from .tasks import TASKS, Tiny

KILLS = (10, 3, 3)
"""Of each task: what follows a kill is the same code for all."""

LONGER = {"supernet.epochs": 3, "audit.networks": 0}
"""Long enough for two checkpoints."""

PLACES = [(TASKS[0], "step of supernet root"), *((task, "step of a region") for task in TASKS)]
"""Where a training of the search is hit: in both kinds of supernets, and in each task."""

Survived = Callable[[str], None]


def one_line(done: Done, *parts: str) -> None:
    """The tool ended with one clear line."""
    assert done.code == 2, done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    for part in parts:
        assert part in done.err, done.err


def name_of(value: object) -> str:
    """How a parameter of a test is called."""
    return value.name if isinstance(value, Tiny) else str(value)


# -- ended from outside ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("each", "index", "kills"),
    [
        pytest.param(task, index, kills, id=f"{task.name}-{index}")
        for task, kills in zip(TASKS, KILLS, strict=True)
        for index in range(kills)
    ],
    indirect=["each"],
)
def test_killed(
    index: int, kills: int, each: Reference, tmp_path: Path, survived: Survived
) -> None:
    """At a random moment of each tenth, or third, of a search and the retraining behind it."""
    search, retrain = each.count("search"), each.count("retrain")
    low, high = (i * (search + retrain) // kills for i in (index, index + 1))
    moment = random.Random(f"{each.task.name} {index}").randint(low + 1, high)
    tool = "search" if moment <= search else "retrain"
    if tool == "retrain":
        moment -= search
        each.searched(tmp_path)
    done = disturbed(tool, each.words(tool), tmp_path, moment, "kill")
    assert done.code == -9, done.err
    each.end(tool, tmp_path)
    survived("kill")


@pytest.mark.parametrize(
    ("each", "part"), [*PLACES, (TASKS[0], "score")], indirect=["each"], ids=name_of
)
def test_terminated(part: str, each: Reference, tmp_path: Path, survived: Survived) -> None:
    moment = named(each.moments("search"), each.part(part))
    log = tmp_path / "first"
    done = disturbed("search", each.words("search"), tmp_path, moment, "term", log)
    assert done.code == 143, done.err
    assert done.err == "stopped by SIGTERM: the same command resumes where it stopped\n"
    again = disturbed("search", each.words("search"), tmp_path, 0, "", log)
    assert again.code == 0
    # Not one training step was done twice.
    both = [line for line in log.read_text().splitlines() if line.startswith("step")]
    whole = each.moments("search").read_text().splitlines()
    assert both == [line for line in whole if line.startswith("step")]
    each.require_same("search", tmp_path)
    survived("SIGTERM")


def test_terminated_in_retraining(each: Reference, tmp_path: Path, survived: Survived) -> None:
    each.searched(tmp_path)
    moment = named(each.moments("retrain"), "step")
    done = disturbed("retrain", ["run=run"], tmp_path, moment, "term")
    assert done.code == 143, done.err
    each.end("retrain", tmp_path)
    survived("SIGTERM")


def stopped(tool: str, words: list[str], folder: Path, at: int) -> Running:
    """A tool that has reached a moment and stays there: it holds its run as long as others try."""
    log = folder / "first"
    running = Running(tool, words, folder, prepare=watch, arguments=(log, at, "stop"))
    while running.alive() and not (log.exists() and log.read_text().count("\n") == at):
        time.sleep(0.01)
    return running


def test_a_second_launch(reference: Reference, tmp_path: Path, survived: Survived) -> None:
    """It is refused, and the first does not notice."""
    words = reference.words("search")
    first = stopped("search", words, tmp_path, named(reference.moments("search"), "step"))
    for tool in ("search", "retrain"):
        second = run_tool(tool, reference.words(tool), tmp_path)
        one_line(second, "run is in use by another process", f"process {first.pid} on ")
    main, other = (one.wait() for one in launch(2, "search", words, tmp_path))
    one_line(main, "run is in use by another process")
    assert (other.code, other.err) == (2, "")
    assert first.alive()
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait().code == 0
    reference.require_same("search", tmp_path)
    survived("second launch")


def test_a_second_retraining(reference: Reference, tmp_path: Path, survived: Survived) -> None:
    reference.searched(tmp_path)
    first = stopped("retrain", ["run=run"], tmp_path, named(reference.moments("retrain"), "step"))
    second = run_tool("retrain", ["run=run"], tmp_path)
    one_line(second, "run is in use by another process", f"process {first.pid} on ")
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait().code == 0
    reference.require_same("retrain", tmp_path)
    survived("second launch")


@pytest.mark.parametrize(("fault", "codes"), [("kill", (-9,)), ("term", (143,))])
def test_one_of_two_processes(
    fault: str, codes: tuple[int, ...], reference: Reference, tmp_path: Path, survived: Survived
) -> None:
    """Each trains its own regions; the launcher ends the other one, here the test does."""
    words = reference.task.words(processes="regions")
    moment = named(reference.moments("search"), "step of supernet root", 0.9)
    running = launch(2, "search", words, tmp_path, prepare=watch, arguments=(None, moment, fault))
    first = running[0].wait()
    running[1].terminate()
    second = running[1].wait()
    assert first.code in codes, first.err
    assert second.code in (143, 2, -9), second.err
    ended = [one.wait() for one in launch(2, "search", words, tmp_path)]
    assert [one.code for one in ended] == [0, 0], ended[0].err
    assert outcome(tmp_path / "run") == outcome(reference.run)
    survived(f"{fault} of one of two processes")


# -- a shared study ------------------------------------------------------------------------


def test_the_only_worker_of_a_shared_study(
    reference: Reference, tmp_path: Path, survived: Survived
) -> None:
    """It takes its trial up again at once, and ends with the trials of a study of its own."""
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    words = reference.task.words(**{"search.storage": storage, "audit.networks": 0})
    moment = named(reference.moments("search"), "score", 0.3)
    assert disturbed("search", words, tmp_path, moment, "kill").code == -9
    assert run_tool("search", words, tmp_path).code == 0
    for name in ("trials.csv", "found.json"):
        assert (tmp_path / "run" / name).read_text() == (reference.run / name).read_text()
    survived("dead worker, alone")


def test_one_of_two_workers_of_a_shared_study(
    reference: Reference, tmp_path: Path, survived: Survived
) -> None:
    """Its trial is handed on, and the other one ends the search."""
    more = {
        "search.storage": f"sqlite:///{tmp_path / 'study.db'}",
        "search.silence": 2,
        "audit.networks": 0,
    }
    words = [word for word in reference.task.words(**more) if word != "run=run"]
    moment = named(reference.moments("search"), "score", 0.3)
    dying = Running(
        "search", [*words, "run=dying"], tmp_path, prepare=watch, arguments=(None, moment, "kill")
    )
    assert dying.wait().code == -9
    other = run_tool("search", [*words, "run=other"], tmp_path)
    assert other.code == 0, other.err
    again = run_tool("search", [*words, "run=dying"], tmp_path)
    assert again.code == 0, again.err
    tables = [(tmp_path / run / "trials.csv").read_text() for run in ("dying", "other")]
    assert tables[0] == tables[1]
    # Both have trained the same supernets, so whoever scored, the score is the same.
    assert len(tables[0].splitlines()) == len((reference.run / "trials.csv").read_text().split())
    survived("dead worker, one of two")


# -- the disk ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["step of supernet e", "score", "step of network"])
def test_files_that_may_not_grow(
    part: str, reference: Reference, tmp_path: Path, survived: Survived
) -> None:
    moment = named(reference.moments("search"), part)
    done = disturbed("search", reference.words("search"), tmp_path, moment, "full")
    one_line(done, "File too large", "free space")
    reference.end("search", tmp_path)
    survived("file size limit")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a tmpfs with these options, or again with others."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if os.path.ismount(place) else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{again}{options}", "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this user cannot mount a tmpfs")
        return place

    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


def elsewhere(reference: Reference, folder: Path) -> list[str]:
    """The words for a run in this folder, started from another one, where the logs are."""
    return [*(w for w in reference.words("search") if w != "run=run"), f"run={folder / 'run'}"]


def test_a_full_disk(
    reference: Reference, small_disk: Callable[[str], Path], survived: Survived
) -> None:
    size = sum(path.stat().st_size for path in (reference.run / "checkpoints").rglob("*.saf*"))
    folder = small_disk(f"size={size // 1024 * 2 // 3}k")
    done = run_tool("search", elsewhere(reference, folder), folder.parent)
    one_line(done, "cannot write", "No space left on device", "free space")
    small_disk("size=100m")
    reference.end("search", folder)
    survived("full disk")


def test_a_read_only_disk(
    reference: Reference, small_disk: Callable[[str], Path], survived: Survived
) -> None:
    folder = small_disk("size=100m")
    moment = named(reference.moments("search"), "step of supernet e")
    assert disturbed("search", reference.words("search"), folder, moment, "kill").code == -9
    small_disk("ro")
    done = run_tool("search", elsewhere(reference, folder), folder.parent)
    one_line(done, "cannot be written to", "Read-only file system")
    small_disk("rw,size=100m")
    reference.end("search", folder)
    survived("read-only disk")


# -- damage --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def two_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``run``, killed after its first training had saved twice, and the whole run in ``whole``."""

    def make(folder: Path) -> None:
        words, log = TASKS[0].words(**LONGER), folder / "moments"
        done = disturbed("search", words, folder, 0, "", log)
        assert done.code == 0, done.err
        (folder / "run").rename(folder / "whole")
        moment = named(log, "step of supernet root", 0.99)
        assert disturbed("search", words, folder, moment, "kill").code == -9

    return once(tmp_path_factory, "two-checkpoints", make)


@pytest.mark.parametrize("target", ["step-*.pt", "state.json"])
@pytest.mark.parametrize("damage", [truncate, flip_a_bit])
def test_a_damaged_checkpoint(
    damage: Callable[[Path], None],
    target: str,
    two_checkpoints: Path,
    tmp_path: Path,
    survived: Survived,
) -> None:
    shutil.copytree(two_checkpoints / "run", tmp_path / "run")
    stage = tmp_path / "run" / "checkpoints" / "root"
    assert len(list(stage.glob("step-*.pt"))) == 2
    damage(sorted(stage.glob(target))[-1])
    done = run_tool("search", TASKS[0].words(**LONGER), tmp_path)
    assert done.code == 0, done.err
    assert "continuing from step" in done.out
    assert outcome(tmp_path / "run") == outcome(two_checkpoints / "whole")
    survived(f"damaged {'checkpoint' if target != 'state.json' else 'index'}")


def test_damaged_weights(reference: Reference, tmp_path: Path, survived: Survived) -> None:
    """Trials were scored with them, so they are not replaced without a word."""
    reference.searched(tmp_path)
    stage = tmp_path / "run" / "checkpoints" / "root"
    flip_a_bit(stage / "weights.safetensors")
    done = run_tool("search", reference.words("search"), tmp_path)
    one_line(done, "is damaged", "delete run/checkpoints/root to train this stage again")
    shutil.rmtree(stage)
    reference.end("search", tmp_path)
    survived("damaged weights")


@pytest.mark.parametrize(("each", "part"), PLACES, indirect=["each"], ids=name_of)
def test_a_fault_of_the_machine(
    part: str, each: Reference, tmp_path: Path, survived: Survived
) -> None:
    """A value that is not finite, once: the training goes back and nothing remains of it."""
    moment = named(each.moments("search"), each.part(part), 0.7)
    done = disturbed("search", each.words("search"), tmp_path, moment, "nan")
    assert done.code == 0, done.err
    assert "is nan at step" in done.out
    assert "once more from step" in done.out
    each.require_same("search", tmp_path)
    survived("NaN")


def test_a_vanished_data_folder(reference: Reference, tmp_path: Path, survived: Survived) -> None:
    images = tmp_path / "images"
    make_images(images)
    more = {"data.source": "images", "data.root": images, "data.limit": 40, "audit.networks": 0}
    words = reference.task.words(**more)
    log = tmp_path / "moments"
    assert disturbed("search", words, tmp_path, 0, "", log).code == 0
    (tmp_path / "run").rename(tmp_path / "whole")
    moment = named(log, "step of supernet e")
    assert disturbed("search", words, tmp_path, moment, "kill").code == -9
    images.rename(tmp_path / "gone")
    before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
    one_line(run_tool("search", words, tmp_path), str(images))
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before
    (tmp_path / "gone").rename(images)
    done = run_tool("search", words, tmp_path)
    assert done.code == 0, done.err
    for name in ("trials.csv", "found.json"):
        whole, again = (tmp_path / run / name for run in ("whole", "run"))
        assert json.loads(json.dumps(whole.read_text())) == again.read_text()
    survived("vanished data folder")


def make_images(folder: Path) -> None:
    """Fifty noisy stripes in two classes."""
    from PIL import Image

    rng = random.Random(0)
    for name, down in (("down", True), ("across", False)):
        (folder / name).mkdir(parents=True)
        for index in range(25):
            image = Image.new("L", (8, 8))
            for x in range(8):
                for y in range(8):
                    stripe = 200 * (((x if down else y) // 2) % 2)
                    image.putpixel((x, y), stripe + rng.randrange(50))
            image.save(folder / name / f"{index}.png")
