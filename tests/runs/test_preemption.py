from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from fewshot_core.runs.preemption import TERMINATED, Preempted, StopRequest, ending_on_request


def term() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_signal_is_noted_and_the_next_safe_point_ends() -> None:
    stop = StopRequest()
    with stop.listening(grace=60):
        stop.check()
        term()
        assert stop.requested
        with pytest.raises(Preempted):
            stop.check()
    stop.release()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_outside_it_ends_at_once(number: signal.Signals) -> None:
    with pytest.raises(Preempted, match=number.name) as caught, ending_on_request():
        signal.raise_signal(number)
    assert caught.value.number == number
    assert signal.getsignal(number) == signal.SIG_DFL


def test_a_closed_terminal_is_a_request_like_another() -> None:
    stop = StopRequest()
    with stop.listening(grace=60):
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(Preempted, match="SIGHUP"):
            stop.check()
    stop.release()


def test_what_is_ignored_is_not_listened_to() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_on_request(), StopRequest().listening(grace=60):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_only_the_process_that_decides_stops_of_itself() -> None:
    stop = StopRequest(decides=False)
    with stop.listening(grace=60):
        term()
        assert stop.received
        stop.check()
    stop.release()


def test_a_program_that_goes_on_can_live_on() -> None:
    work = """
    pass
if sys.argv[2] == "release":
    stop.release()
time.sleep(1)"""
    code = BUSY.replace("with StopRequest()", "stop = StopRequest()\nwith stop").format(work="pass")
    code += work.replace("\n    pass", "", 1)
    for word, expected in (("release", 0), ("", TERMINATED)):
        command = [sys.executable, "-c", code, "0.3", word]
        assert subprocess.run(command, timeout=30, check=False).returncode == expected


def test_listening_leaves_no_thread_and_no_file() -> None:
    def count() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    before = count()  # of an earlier test something may be about to end
    for _ in range(5):
        with StopRequest().listening(grace=60):
            pass
    for _ in range(100):
        if all(now <= then for now, then in zip(count(), before, strict=True)):
            return
        time.sleep(0.01)
    pytest.fail(f"threads and files: {before} before, {count()} after")


def test_in_another_thread_nothing_is_changed() -> None:
    def work() -> None:
        with ending_on_request(), StopRequest().listening(grace=1):
            seen.append(signal.getsignal(signal.SIGTERM))

    seen: list[object] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


BUSY = """
import os, signal, sys, time
from fewshot_core.runs.preemption import StopRequest
with StopRequest().listening(grace=float(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGTERM)
    {work}
"""


@pytest.mark.parametrize(
    "work", ["time.sleep(60)", "sum(1 for _ in iter(int, 1))"], ids=["waits", "computes"]
)
def test_without_a_safe_point_the_process_ends_in_time(work: str) -> None:
    began = time.monotonic()
    command = [sys.executable, "-c", BUSY.format(work=work), "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == TERMINATED == 143
    assert "grace_seconds" in done.stderr
    assert time.monotonic() - began < 10


def test_a_forked_worker_ends_at_once() -> None:
    work = """
    if (child := os.fork()) == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"""
    command = [sys.executable, "-c", BUSY.format(work=work.strip("\n ")), "60"]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert done.returncode == TERMINATED
