"""How many processes a command has, and what becomes of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.runs.launch import LaunchError
from fewshot_core.runs.launcher import (
    choose_processes,
    launcher_words,
    read_configuration,
    require_devices,
    take_processes,
)
from tests.tools.process import words_of
from tests.tools.tiny import TINY

LAUNCHED = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.mark.parametrize(
    ("words", "left", "count"),
    [
        (["recipe=digits"], ["recipe=digits"], None),
        (["processes=4", "recipe=digits"], ["recipe=digits"], 4),
        (["processes=4", "processes=2"], [], 2),
        (["processes=regions", "processes=2"], ["processes=regions"], 2),
        (["processes=data"], ["processes=data"], None),
        (["processes=two"], ["processes=two"], None),  # which the recipe refuses
    ],
)
def test_a_number_is_the_launchers(words: list[str], left: list[str], count: int | None) -> None:
    assert take_processes(words) == (left, count)


@pytest.mark.parametrize("word", ["processes=0", "processes=-2"])
def test_less_than_one_is_refused(word: str) -> None:
    with pytest.raises(RecipeError, match="starts nothing"):
        take_processes([word])


def configured(folder: Path, text: str) -> dict[str, str]:
    path = folder / "accelerate" / "default_config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return {"HF_HOME": str(folder)}


CONFIGURATION = """\
compute_environment: LOCAL_MACHINE
distributed_type: {kind}
downcast_bf16: 'no'
machine_rank: 0
mixed_precision: 'no'
num_machines: 1
num_processes: 3
use_cpu: false
"""


@pytest.mark.parametrize(
    ("kind", "count"), [("MULTI_GPU", 3), ("MULTI_CPU", 3), ("'NO'", 1), ("DEEPSPEED", 1)]
)
def test_the_configuration_of_accelerate_counts(kind: str, count: int, tmp_path: Path) -> None:
    environ = configured(tmp_path, CONFIGURATION.format(kind=kind))
    assert choose_processes(None, True, "search", environ) == count
    assert choose_processes(2, True, "search", environ) == 2
    assert choose_processes(None, False, "export", environ) == 1
    # A launcher has asked it already.
    assert choose_processes(None, True, "search", environ | LAUNCHED) == 1


def test_without_a_wish_there_is_one(tmp_path: Path) -> None:
    assert choose_processes(None, True, "search", {"HF_HOME": str(tmp_path)}) == 1
    assert choose_processes(5, True, "search", {"HF_HOME": str(tmp_path)}) == 5


@pytest.mark.parametrize(
    ("text", "found"), [("a: [", "default_config.yaml"), ("num_processes: many", "many")]
)
def test_a_damaged_configuration_is_one_line(text: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="accelerate config") as error:
        choose_processes(None, True, "search", configured(tmp_path, text))
    assert found in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("count", "many", "environ", "match"),
    [
        (2, True, LAUNCHED, "asked of a launch of 4"),
        (2, False, {}, "fewshot rank uses one process"),
    ],
)
def test_what_cannot_be_had_is_refused(
    count: int, many: bool, environ: dict[str, str], match: str
) -> None:
    with pytest.raises(FewshotError, match=match):
        choose_processes(count, many, "rank", environ)
    assert choose_processes(4, True, "search", LAUNCHED) == 1
    assert choose_processes(1, False, "rank", {}) == 1


def test_the_environment_names_another_configuration(tmp_path: Path) -> None:
    usual = configured(tmp_path, CONFIGURATION.format(kind="MULTI_GPU"))
    other = tmp_path / "other.yaml"
    other.write_text("distributed_type: MULTI_CPU\nnum_processes: 5\nuse_cpu: true\n")
    environ = {**usual, "ACCELERATE_CONFIG_FILE": str(other)}
    assert choose_processes(None, True, "search", environ) == 5
    with pytest.raises(LaunchError, match="ACCELERATE_CONFIG_FILE names no file"):
        choose_processes(None, True, "search", {"ACCELERATE_CONFIG_FILE": str(tmp_path / "no")})


def words_for(folder: Path, text: str, count: int | None, told: str | None = None) -> list[str]:
    return launcher_words(read_configuration(configured(folder, text)), count, told)


def test_several_machines_meet_where_they_have_agreed_to(tmp_path: Path) -> None:
    text = CONFIGURATION.format(kind="MULTI_GPU").replace("num_machines: 1", "num_machines: 3")
    words = words_for(tmp_path, text, None)
    assert not {"--main_process_port", "--num_machines", "--num_processes"} & set(words)
    # A number is asked of this machine, whatever the configuration says of others.
    words = words_for(tmp_path / "again", text, 4)
    given = dict(zip(words[1::2], words[2::2], strict=True))
    assert given.items() >= {"--num_machines": "1", "--num_processes": "4"}.items()
    assert given["--main_process_port"] == "0"


def test_the_precision_of_the_environment_wins(tmp_path: Path) -> None:
    text = CONFIGURATION.format(kind="MULTI_GPU")
    assert "--mixed_precision" not in words_for(tmp_path, text, 2)
    told = words_for(tmp_path / "again", text, 2, "bf16")
    assert told[told.index("--mixed_precision") + 1] == "bf16"
    alone = launcher_words(None, 2, None)
    assert alone[alone.index("--mixed_precision") + 1] == "no"


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("LOCAL_MACHINE", "AMAZON_SAGEMAKER", "is for processes elsewhere"),
        ("mixed_precision: 'no'", "mixed_precision: fp8", "a precision that cannot be used"),
    ],
)
def test_a_configuration_of_something_else(old: str, new: str, match: str, tmp_path: Path) -> None:
    text = CONFIGURATION.format(kind="MULTI_GPU").replace(old, new)
    with pytest.raises(LaunchError, match=match):
        words_for(tmp_path, text, 2)


def test_processes_on_gpus_need_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    require_devices(2)
    with pytest.raises(LaunchError, match=r"4 processes need 4 GPUs .* found: 2"):
        require_devices(4)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    require_devices(4)
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    require_devices(4)


# --- processes

SHORT = {**TINY, "audit.networks": 0, "search.trials": 4}
LONG = {**SHORT, "supernet.epochs": 60}
"""It trains for some seconds, in which it can be stopped twice."""


def start(folder: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    """The command of a user without a launcher; Ctrl-C reaches it as from a terminal."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("fewshot")), "search", *words],
        cwd=folder,
        env={**os.environ, "HF_HOME": str(folder / "hf"), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_training(running: subprocess.Popen[str]) -> None:
    """Until both processes have met, and some steps of the first supernet are done or read."""
    assert running.stdout is not None
    if not any(line.startswith("source digits") for line in running.stdout):
        raise AssertionError(running.communicate()[1])
    time.sleep(1)


def processes_below(pid: int) -> list[int]:
    """The processes that this one has started, and those below."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    return [one for child in map(int, found) for one in (child, *processes_below(child))]


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.slow
def test_two_processes_search_as_one_command(tmp_path: Path) -> None:
    """They stop together, go on, and what they cannot do is one line without a traceback.

    At last a configuration asks for them, without a number and without what Accelerate would warn
    of, and the terminal closes.
    """
    # The setting and the launcher's number have one word; without traffic this is quick.
    settings = words_of(LONG, run="run", processes="regions")
    words = [*settings, "processes=2"]
    running = start(tmp_path, *words)
    wait_for_training(running)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=100)
    assert running.returncode == 143
    assert err == "stopped by SIGTERM: the same command resumes where it stopped\n"

    running = start(tmp_path, *words)
    wait_for_training(running)
    children = processes_below(running.pid)
    assert len(children) >= 2
    os.killpg(running.pid, signal.SIGINT)  # as a terminal sends Ctrl-C
    out, err = running.communicate(timeout=100)
    assert (running.returncode, err) == (
        130,
        "interrupted: the same command resumes where it stopped\n",
    )
    assert gone(children)

    text = "distributed_type: MULTI_CPU\nnum_processes: 2\nuse_cpu: true\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    plain = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup: the command inherits it
    try:
        running = start(tmp_path, *settings, ACCELERATE_CONFIG_FILE=str(tmp_path / "mine.yaml"))
    finally:
        signal.signal(signal.SIGHUP, plain)
    wait_for_training(running)
    os.killpg(running.pid, signal.SIGHUP)
    out, err = running.communicate(timeout=200)
    assert (running.returncode, err) == (0, "")
    assert "The following values were not passed" not in out
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["processes"] == 2
    assert (tmp_path / "run" / "found.json").is_file()

    running = start(tmp_path, *words, "supernet.lr=0.3")
    out, err = running.communicate(timeout=100)
    assert running.returncode == 2
    assert out == ""
    assert err.startswith("error: run is the run of another recipe")
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 2.5])
def test_a_signal_is_answered_from_the_first_moment(seconds: float, tmp_path: Path) -> None:
    running = start(tmp_path, *words_of(SHORT, run="run", processes=2))
    time.sleep(seconds)
    children = processes_below(running.pid)
    running.send_signal(signal.SIGTERM)
    err = running.communicate(timeout=100)[1]
    assert "Traceback" not in err
    if seconds > 0.1:  # before, the interpreter itself may be the one that ends
        assert (running.returncode, err.count("\n")) == (143, 1), err
    assert gone(children)
