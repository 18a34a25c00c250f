from __future__ import annotations

import gc
import json
import os
import pickle
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fewshot_core.errors import RunFolderError
from fewshot_core.runs import checkpoint as checkpoint_module
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.files import read_json, sha256, write_atomic, write_json, write_text


def weights(value: float) -> dict[str, Tensor]:
    return {"layer.weight": torch.full((3, 4), value), "layer.steps": torch.tensor(7)}


def payload(value: float) -> dict[str, Any]:
    state = {"state": {0: {"momentum": torch.full((3,), value)}}, "groups": [{"lr": 0.1}]}
    return {"model": weights(value), "objective": {"optimizer": state}}


@pytest.fixture
def stage(tmp_path: Path) -> StageCheckpoint:
    return StageCheckpoint(tmp_path / "stage")


def saved(stage: StageCheckpoint, step: int = 10, value: float = 1.0) -> StageState:
    state = StageState(step=step, steps=30, history=[[0, 2.5]], images=640)
    stage.save(state, payload(value))
    return state


def finished(stage: StageCheckpoint) -> StageState:
    state = StageState(step=30, steps=30)
    stage.finish(state, weights(3.0))
    return state


def refusal(stage: StageCheckpoint) -> str:
    """The one line with which the checkpoint is refused."""
    with pytest.raises(RunFolderError) as caught:
        stage.load(stage.state())
    line = str(caught.value)
    assert "\n" not in line
    return line


# --- writing and reading


def test_a_stage_that_never_ran_is_fresh(stage: StageCheckpoint) -> None:
    assert stage.state() == StageState()
    assert not stage.folder.exists()


def test_what_is_saved_is_loaded(stage: StageCheckpoint) -> None:
    state = saved(stage)
    assert stage.state() == state
    loaded = stage.load(stage.state())
    assert torch.equal(loaded["model"]["layer.weight"], weights(1.0)["layer.weight"])
    assert loaded["objective"]["optimizer"]["groups"] == [{"lr": 0.1}]


def test_two_are_kept(stage: StageCheckpoint) -> None:
    for step in (10, 20, 30):
        saved(stage, step=step)
    assert sorted(p.name for p in stage.folder.iterdir()) == [
        "state.json",
        *(f"step-000000{step}.{kind}" for step in (20, 30) for kind in ("json", "pt")),
    ]


def test_finishing_leaves_the_weights_alone(stage: StageCheckpoint) -> None:
    saved(stage)
    finished(stage)
    assert sorted(p.name for p in stage.folder.iterdir()) == ["state.json", "weights.safetensors"]
    loaded = stage.load_finished()
    assert torch.equal(loaded["layer.weight"], weights(3.0)["layer.weight"])
    assert loaded["layer.steps"].dtype == torch.int64


def test_transposed_weights_can_be_finished(stage: StageCheckpoint) -> None:
    """safetensors takes contiguous tensors only; channels_last weights are not."""
    tensor = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    stage.finish(StageState(), {"w": tensor})
    assert torch.equal(stage.load_finished()["w"], tensor)


def test_an_unfinished_training_has_no_finished_weights(stage: StageCheckpoint) -> None:
    saved(stage)
    with pytest.raises(RunFolderError, match=r"no finished training.*fewshot search"):
        stage.load_finished()


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    stage = StageCheckpoint(tmp_path / "stage", writes=False)
    saved(stage)
    finished(stage)
    stage.annotate({"a": 1})
    assert not stage.folder.exists()


def test_notes_add_up(stage: StageCheckpoint) -> None:
    finished(stage)
    stage.annotate({"a": 1})
    stage.annotate({"b": [2]})
    assert stage.state().notes == {"a": 1, "b": [2]}
    assert stage.state().done
    stage.load_finished()


# --- killed


@pytest.mark.parametrize("last", ["save", "finish"])
def test_a_kill_between_file_and_index_keeps_the_one_before(
    last: str, stage: StageCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved(stage, step=10, value=1.0)

    def die(path: Path, value: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_module, "write_json", die)
    with pytest.raises(KeyboardInterrupt):
        saved(stage, step=20, value=2.0) if last == "save" else finished(stage)
    monkeypatch.undo()
    assert len(list(stage.folder.iterdir())) == 4  # the new file is there, but not in force
    assert stage.state() == before
    assert float(stage.load(stage.state())["model"]["layer.weight"][0, 0]) == 1.0
    saved(stage, step=20, value=2.0)
    finished(stage)
    assert sorted(p.name for p in stage.folder.iterdir()) == ["state.json", "weights.safetensors"]


def test_a_kill_between_index_and_clearing_is_harmless(
    stage: StageCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(stage, step=10)
    saved(stage, step=15)

    unlink = Path.unlink

    def die(self: Path, missing_ok: bool = False) -> None:
        if self.name.startswith("step-"):
            raise KeyboardInterrupt
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", die)
    with pytest.raises(KeyboardInterrupt):
        saved(stage, step=20, value=2.0)
    monkeypatch.undo()
    assert stage.state().step == 20
    assert float(stage.load(stage.state())["model"]["layer.weight"][0, 0]) == 2.0
    saved(stage, step=30)
    names = ["step-00000020.pt", "step-00000030.pt"]
    assert sorted(p.name for p in stage.folder.glob("*.pt")) == names


def test_a_kill_while_writing_keeps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "before")

    def half(beside: Path) -> None:
        beside.write_text("aft")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, half)
    assert path.read_text() == "before"
    write_text(path, "after")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# --- damaged


@pytest.mark.parametrize("kind", ["running", "finished"])
@pytest.mark.parametrize("damage", ["bit", "truncated", "empty", "missing", "longer"])
def test_a_damaged_file_is_refused_in_one_line(
    kind: str, damage: str, stage: StageCheckpoint
) -> None:
    state = saved(stage) if kind == "running" else finished(stage)
    path = stage.folder / state.file
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    elif damage == "truncated":
        del content[-1]
    elif damage == "empty":
        content.clear()
    elif damage == "longer":
        content += b"\0"
    path.unlink()
    if damage != "missing":
        path.write_bytes(content)
    line = refusal(stage)
    assert ("missing" if damage == "missing" else "damaged") in line
    assert f"delete {stage.folder}" in line


def damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    if kind == "bit":
        content[len(content) // 2] ^= 1
    elif kind == "truncated":
        del content[len(content) // 2 :]
    path.unlink()
    if kind != "missing":
        path.write_bytes(content)


@pytest.mark.parametrize("kind", ["bit", "truncated", "missing"])
def test_the_newest_whole_one_is_found(kind: str, stage: StageCheckpoint) -> None:
    saved(stage, step=10, value=1.0)
    saved(stage, step=20, value=2.0)
    lines: list[str] = []
    assert stage.newest(lines.append)[0].step == 20
    assert not lines
    damage(stage.folder / "step-00000020.pt", kind)
    state, found = stage.newest(lines.append)
    assert state.step == 10
    assert found is not None
    assert float(found["model"]["layer.weight"][0, 0]) == 1.0
    assert len(lines) == 1
    assert "step-00000020.pt is" in lines[0]
    assert "going on from the one before" in lines[0]
    damage(stage.folder / "step-00000010.pt", kind)
    assert stage.newest(lines.append) == (StageState(), None)
    assert "starts again" in lines[-1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": "9"}', '{"file": "../x"}'])
def test_a_damaged_index_is_replaced_by_those_of_the_states(
    text: str, stage: StageCheckpoint
) -> None:
    saved(stage, step=10)
    saved(stage, step=20)
    (stage.folder / "state.json").write_text(text)
    lines: list[str] = []
    assert stage.newest(lines.append)[0].step == 20
    assert "state.json" in lines[0]
    (stage.folder / "step-00000020.json").write_text(text)
    assert stage.newest()[0].step == 10


def test_what_is_later_than_the_newest_whole_one_is_dropped(stage: StageCheckpoint) -> None:
    """A damaged later state must not push whole ones out."""
    for step in (23, 27):
        saved(stage, step=step)
        damage(stage.folder / f"step-000000{step}.pt", "bit")
    saved(stage, step=4)
    assert [p.name for p in stage.folder.glob("*.pt")] == ["step-00000004.pt"]
    assert stage.newest()[0].step == 4


def test_a_stage_that_is_given_up_keeps_its_last_state(stage: StageCheckpoint) -> None:
    saved(stage, step=10)
    stage.give_up("loss is nan at step 13")
    state, found = stage.newest()
    assert (state.step, state.diverged) == (10, "loss is nan at step 13")
    assert found is not None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', '{"steps": 1, "unknown": 2}', "\ufeff{}", "{}" * 2]
)
def test_a_damaged_index_is_refused_in_one_line(text: str, stage: StageCheckpoint) -> None:
    saved(stage)
    (stage.folder / "state.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"state\.json") as caught:
        stage.state()
    assert "\n" not in str(caught.value)


def test_an_index_of_no_text_is_refused(stage: StageCheckpoint) -> None:
    saved(stage)
    (stage.folder / "state.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunFolderError):
        stage.state()


# --- hostile: the checksum fits, because whoever made the file wrote the index too


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def plant(stage: StageCheckpoint, name: str, done: bool) -> Path:
    stage.folder.mkdir(parents=True, exist_ok=True)
    path = stage.folder / name
    if not path.exists():
        path.write_bytes(b"")
    index = {"file": name, "sha256": sha256(path), "done": done, "step": 10, "steps": 30}
    write_json(stage.folder / "state.json", index)
    return path


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_a_malicious_pickle_is_refused_and_not_run(
    form: str, stage: StageCheckpoint, tmp_path: Path
) -> None:
    target = tmp_path / "owned"
    stage.folder.mkdir(parents=True)
    path = stage.folder / "step-00000010.pt"
    if form == "bare":
        path.write_bytes(pickle.dumps(Bomb(target), protocol=2))
    else:
        zipped = form == "zip"
        torch.save({"model": Bomb(target)}, path, _use_new_zipfile_serialization=zipped)
    plant(stage, path.name, done=False)
    assert "cannot be read" in refusal(stage)
    assert not target.exists()


def test_the_bomb_would_have_gone_off(tmp_path: Path) -> None:
    """The test above proves something only if its bomb is one."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "owned")))
    assert (tmp_path / "owned").is_dir()


@pytest.mark.parametrize("name", ["step-00000010.pt", "weights.safetensors", "weights.bin"])
@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", b"\x80\x02.", b"\xff" * 64])
def test_a_file_of_another_kind_is_refused(
    name: str, content: bytes, stage: StageCheckpoint
) -> None:
    stage.folder.mkdir(parents=True)
    (stage.folder / name).write_bytes(content)
    plant(stage, name, done=name.startswith("weights"))
    assert "cannot be read" in refusal(stage)


# --- a disk that is full


@contextmanager
def tiny_disk() -> Iterator[None]:
    """Files of this process may not grow beyond 200 bytes: writing fails as on a full disk.

    Around as little as possible, since pytest's own output may go to a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["save", "finish", "annotate"])
def test_a_full_disk_is_an_error_in_one_line(kind: str, stage: StageCheckpoint) -> None:
    def act() -> None:
        if kind == "save":
            stage.save(StageState(step=10), payload(1.0))
        elif kind == "finish":
            stage.finish(StageState(), {"w": torch.ones(1000)})
        else:
            stage.annotate({"text": "x" * 1000})

    with pytest.raises(RunFolderError, match=r"cannot write .*stage") as caught, tiny_disk():
        act()
    assert "\n" not in str(caught.value)
    assert "choose run=DIR" in str(caught.value)
    assert list(stage.folder.iterdir()) == []  # no half of a file either


def test_a_place_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write"):
        saved(StageCheckpoint(tmp_path / "file" / "stage"))


def test_reading_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is missing"):
        read_json(tmp_path / "none.json")


def test_json_is_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"größe": [1, 2.5, None]})
    assert "größe" in (tmp_path / "file.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "file.json").read_bytes()) == {"größe": [1, 2.5, None]}


def test_reading_weights_again_and_again_costs_no_memory(tmp_path: Path) -> None:
    """Not even a small object for each tensor: searches load supernets for days."""
    checkpoint = StageCheckpoint(tmp_path)
    weights = {f"layer{i}": torch.zeros(2) for i in range(100)}
    checkpoint.finish(StageState(), weights)

    def blocks() -> int:
        for _ in range(10):
            checkpoint.load_finished()
        gc.collect()
        return sys.getallocatedblocks()

    blocks()
    before = blocks()
    assert blocks() - before < 100  # a thousand tensors were read
