"""No more supernets are in memory than with one region, and a device that is full says so."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import torch

from fewshot_core.pipeline.faults import OutOfMemoryError, sparing_collections
from fewshot_core.pipeline.search import search
from fewshot_core.supernet import Supernet
from fewshot_core.training.classification import ClassificationObjective, ClassificationTask
from tests.tools.process import words_of
from tests.tools.tiny import TINY

SETTINGS = TINY | {"audit.networks": 0, "strategy": "random", "search.trials": 12}


def peak(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The largest number of parameters in the supernets that are alive when one is made."""
    alive: weakref.WeakSet[Supernet] = weakref.WeakSet()
    most = 0
    plain = Supernet.__init__

    def noted(self: Supernet, region: object) -> None:
        nonlocal most
        gc.collect()
        most = max(most, sum(p.numel() for net in alive for p in net.parameters()))
        plain(self, region)  # type: ignore[arg-type]
        alive.add(self)

    with monkeypatch.context() as patch:
        patch.setattr(Supernet, "__init__", noted)
        search(words)
    return most


def test_the_peak_does_not_grow_with_the_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = {}
    for count in (2, 6):
        changes = {"split": "random", "split.count": count, "split.groups": "[]"}
        words = words_of(SETTINGS | changes, run=tmp_path / str(count))
        peaks[count] = peak([word for word in words if "decision" not in word], monkeypatch)
    assert 0 < peaks[2] == peaks[6]


@pytest.mark.parametrize(
    ("words", "owner", "name", "advice"),
    [
        (
            [],
            ClassificationObjective,
            "step",
            "precision=auto supernet.micro_batch=24 regions.micro_batch=32 ",
        ),
        (["supernet.micro_batch=8"], ClassificationObjective, "step", "supernet.micro_batch=4 "),
        # Before anything is trained, when a network is tried.
        ([], ClassificationTask, "loss", "to fix: precision=auto supernet.micro_batch=24 "),
    ],
)
def test_a_full_device_is_one_line_and_the_run_can_go_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    owner: type,
    name: str,
    advice: str,
) -> None:
    words = words_of(SETTINGS | {"supernet.batch_size": 48}, run=str(tmp_path)) + words

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nAnd so on.")

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(OutOfMemoryError) as caught:
            search(words)
    said = str(caught.value)
    assert "too little memory" in said
    assert "Tried to allocate 2 GiB." in said
    assert "\n" not in said
    assert advice in said
    search(words)  # the lock is gone, and what there is continues


def test_what_was_there_is_passed_over_by_collections_of_a_run_alone() -> None:
    before = gc.get_freeze_count()  # of these tests themselves, which are left as they are
    with sparing_collections():
        assert gc.get_freeze_count() == before or not before
    assert gc.get_freeze_count() == before
    gc.unfreeze()
    try:
        with sparing_collections():
            assert gc.get_freeze_count() > 10_000
        assert gc.get_freeze_count() == 0
    finally:
        if before:
            gc.freeze()
