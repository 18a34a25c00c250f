"""A process that is waited for gives signs of life, or is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fewshot_core.pipeline.processes import wait_until_ended
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.runs.pulse import LostProcessError, Pulse


def test_a_process_that_beats_is_alive_and_one_that_does_not_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / ".alive"
    folder.mkdir()
    (folder / "2").write_text("a sign of an earlier launch")
    mine, lost = Pulse(folder, 0, silence=0.5), dict[int, str]()
    with Pulse(folder, 1, beat=0.01).beating():
        while len(lost) < 2:
            mine.require(1)
            for rank in {2, 3} - set(lost):
                try:
                    mine.require(rank)
                except LostProcessError as error:
                    lost[rank] = str(error)
            time.sleep(0.01)
    for rank, line in lost.items():
        assert line.startswith(f"process {rank} of this launch has given no sign of life")
        assert "run=DIR" in line
    assert not (folder / "1").exists()  # who leaves takes its sign along


def test_the_last_one_leaves_nothing(tmp_path: Path) -> None:
    with Pulse(tmp_path / ".alive", 0, beat=0.01).beating():
        while not (tmp_path / ".alive" / "0").exists():
            time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []


def test_nobody_waits_for_the_training_of_a_lost_process(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path / ".alive", 0, silence=0.1)
    training = StageCheckpoint(tmp_path / "root")
    with pytest.raises(LostProcessError, match="process 1 of this launch"):
        wait_until_ended(training, StopRequest(), lambda: pulse.require(1))
