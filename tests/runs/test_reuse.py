"""Supernets of another run: linked or copied whole, and refused where they are others."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from fewshot_core.errors import RunFolderError
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.files import link_or_copy
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.origin import write_origin
from fewshot_core.runs.places import REUSED
from fewshot_core.runs.reuse import (
    read_reused,
    require_trained,
    share_checkpoints,
    take_over,
    trainer_of,
)
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Decision
from fewshot_tasks.cifar10.space import nasbench201

MINE = {"seed": 0, "images": "abc"}


def regions() -> list[Region]:
    root = Region.root(nasbench201())
    decision: Decision = root.space.decisions[0]
    halves = [decision.options[:2], decision.options[2:]]
    return [root, *(root.restrict(decision.name, half) for half in halves)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A run with three supernets, one of which diverged."""
    folder = RunFolder(tmp_path / "a")
    write_origin(folder, MINE)
    for number, region in enumerate(regions()):
        checkpoint = folder.checkpoint(region)
        checkpoint.finish(StageState(images=10), {"w": torch.full((2,), float(number))})
    folder.checkpoint(regions()[2]).give_up("loss is nan")
    return folder.path


def test_supernets_live_on_without_their_source(source: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "b", source=source)
    require_trained(folder, regions(), MINE)
    reused = take_over(folder, regions(), "digits")
    assert (reused.supernets, reused.images, reused.recipe) == (2, 30, "digits")
    shutil.rmtree(source)
    root, half, lost = (folder.checkpoint(region) for region in regions())
    assert root.load_finished()["w"].tolist() == [0.0, 0.0]
    assert half.load_finished()["w"].tolist() == [1.0, 1.0]
    assert lost.state().diverged == "loss is nan"
    assert read_reused(folder.path) == reused
    assert "`a` (30 images" in reused.sentence
    assert str(tmp_path) not in reused.sentence


def test_neither_run_changes_the_other(source: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "b", source=source)
    take_over(folder, regions(), "digits")
    weights = folder.checkpoint(regions()[0]).folder / "weights.safetensors"
    theirs = source / weights.relative_to(folder.path)
    assert weights.stat().st_ino == theirs.stat().st_ino  # no second copy on the disk
    before = theirs.read_bytes()
    folder.checkpoint(regions()[0]).finish(StageState(), {"w": torch.zeros(5)})
    folder.checkpoint(regions()[0]).annotate({"mine": True})
    assert theirs.read_bytes() == before
    assert "mine" not in (theirs.parent / "state.json").read_text()


def test_what_was_begun_goes_on(source: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "b", source=source)
    take_over(folder, regions()[:1], "digits")  # a kill came here
    take_over(folder, regions(), "digits")
    assert folder.checkpoint(regions()[1]).state().done


def test_who_has_trained_them_is_not_forgotten(source: Path, tmp_path: Path) -> None:
    take_over(RunFolder(tmp_path / "b", source=source), regions(), "digits")
    last = take_over(RunFolder(tmp_path / "c", source=tmp_path / "b"), regions(), "digits")
    assert (Path(last.source).name, Path(last.trained).name) == ("b", "a")
    assert "`b`, which had them from `a`" in last.sentence


def test_a_file_system_without_links(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", fail)
    take_over(RunFolder(tmp_path / "b", source=source), regions(), "digits")
    copy = RunFolder(tmp_path / "b").checkpoint(regions()[0])
    assert copy.load_finished()["w"].tolist() == [0.0, 0.0]
    mask = os.umask(0)
    os.umask(mask)
    assert copy.folder.joinpath("weights.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_link_leads_to_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("weights")
    (tmp_path / "way").symlink_to("file")
    link_or_copy(tmp_path / "way", tmp_path / "deep" / "mine")
    (tmp_path / "file").unlink()
    assert (tmp_path / "deep" / "mine").read_text() == "weights"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["mine"]


def test_other_supernets_are_refused(source: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "b", source=source)
    with pytest.raises(RunFolderError, match=r"trained otherwise .* images: 'abc' -> 'xyz'"):
        require_trained(folder, regions(), MINE | {"images": "xyz"})
    assert not folder.path.exists()


def test_unfinished_supernets_are_refused(source: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "b", source=source)
    state = RunFolder(source).checkpoint(regions()[1]).folder / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"done": False}))
    with pytest.raises(RunFolderError, match="not trained to its end"):
        require_trained(folder, regions(), MINE)
    with pytest.raises(RunFolderError, match="has no supernets yet"):
        require_trained(RunFolder(tmp_path / "b", source=tmp_path), regions(), MINE)


def test_a_damaged_note(tmp_path: Path) -> None:
    assert read_reused(tmp_path) is None
    (tmp_path / REUSED).write_text('{"source": "a"}')
    with pytest.raises(RunFolderError, match="is damaged"):
        read_reused(tmp_path)


def test_a_run_of_a_sweep_begins_with_the_checkpoints_beside_it(
    source: Path, tmp_path: Path
) -> None:
    assert share_checkpoints(source, tmp_path / "b")
    assert not share_checkpoints(source, tmp_path / "b")  # it has begun
    assert share_checkpoints(tmp_path / "b", tmp_path / "c")
    assert trainer_of(source) is None
    for name, trainer in (("b", "a"), ("c", "b")):
        found = trainer_of(tmp_path / name)
        assert found is not None
        assert found.resolve() == tmp_path / trainer
    (tmp_path / "moved").mkdir()
    for name in ("a", "b"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    moved = trainer_of(tmp_path / "moved" / "b")
    assert moved is not None
    assert moved.resolve() == tmp_path / "moved" / "a"
    root = RunFolder(tmp_path / "moved" / "b").checkpoint(regions()[0])
    assert root.load_finished()["w"].tolist() == [0.0, 0.0]


def test_who_has_trained_what_a_search_took_over(source: Path, tmp_path: Path) -> None:
    take_over(RunFolder(tmp_path / "b", source=source), regions(), "digits")
    take_over(RunFolder(tmp_path / "c", source=tmp_path / "b"), regions(), "digits")
    assert trainer_of(tmp_path / "b") == trainer_of(tmp_path / "c") == source
