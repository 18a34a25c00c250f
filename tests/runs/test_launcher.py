"""How many processes a command has, and what becomes of them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.runs.launch import LaunchError
from fewshot_core.runs.launcher import choose_processes, take_processes
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


# --- processes


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("fewshot")), "search", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_search_as_one_command(tmp_path: Path) -> None:
    """They stop together, go on, and what they cannot do is one line without a traceback."""
    words = words_of(TINY, run="run", processes=2)
    running = start(tmp_path, *words)
    assert running.stdout is not None
    for line in running.stdout:
        if re.match(r"supernet root: \d+/", line):
            break
    time.sleep(0.5)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=100)
    assert running.returncode == 143
    assert err == "stopped by SIGTERM: the same command resumes where it stopped\n"

    running = start(tmp_path, *words)
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
