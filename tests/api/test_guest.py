"""What a program has of its own is as it was when a run inside of it has ended."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from fewshot_core.api.guest import BusyProcessError, as_guest
from fewshot_core.runs.preemption import Preempted, StopRequest
from fewshot_core.runs.variables import settle_variables


@pytest.fixture
def plain_state() -> Iterator[None]:
    """Accelerate as in a process where nobody has used it."""

    def clear() -> None:
        for state in (PartialState, AcceleratorState, GradientState):
            state._shared_state.clear()

    clear()
    yield
    clear()


@pytest.mark.usefixtures("plain_state")
def test_the_program_keeps_its_accelerator() -> None:
    own = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=3)
    with as_guest():
        inner = Accelerator(cpu=True, mixed_precision="no", gradient_accumulation_steps=1)
        assert inner.mixed_precision == "no"
    assert own.mixed_precision == "bf16"
    assert own.gradient_accumulation_steps == 3
    assert Accelerator(cpu=True).mixed_precision == "bf16"


@pytest.mark.usefixtures("plain_state")
def test_nothing_of_accelerate_is_left() -> None:
    with as_guest():
        Accelerator(cpu=True, mixed_precision="bf16")
    assert Accelerator(cpu=True, mixed_precision="no").mixed_precision == "no"


def test_random_numbers_and_threads_are_as_they_were() -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    with as_guest():
        torch.manual_seed(1)
        torch.set_num_threads(threads + 1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_variables_that_a_run_takes_away_are_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "inductor")
    with as_guest():
        assert settle_variables()
        assert "ACCELERATE_DYNAMO_BACKEND" not in os.environ
    assert os.environ["ACCELERATE_DYNAMO_BACKEND"] == "inductor"


def test_one_run_at_a_time() -> None:
    refused: list[BaseException] = []

    def enter() -> None:
        try:
            with as_guest():
                pass
        except BusyProcessError as error:
            refused.append(error)

    with as_guest():
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        enter()
    assert [str(error).startswith("a run is at work") for error in refused] == [True, True]
    enter()
    assert len(refused) == 2


def test_after_an_error_the_process_is_free() -> None:
    with pytest.raises(ZeroDivisionError), as_guest():
        raise ZeroDivisionError
    with as_guest():
        pass


def test_one_of_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BusyProcessError, match="2 processes"), as_guest():
        pass


def test_a_signal_is_answered_by_the_program_and_it_may_live_on() -> None:
    heard: list[int] = []
    earlier = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    request = StopRequest()

    def work() -> None:
        with as_guest(), request.listening(grace=0.2):
            signal.raise_signal(signal.SIGTERM)
            assert heard == []  # until there is a safe point
            request.check()

    try:
        with pytest.raises(Preempted) as raised:
            work()
        assert heard == [signal.SIGTERM]
        assert raised.value.request is request
        # Otherwise the process would end here, and pytest with it.
        assert not threading.Event().wait(0.5)
    finally:
        signal.signal(signal.SIGTERM, earlier)
