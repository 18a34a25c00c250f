"""Files of a stranger: opening them runs nothing."""

from __future__ import annotations

import json
import os
import pickle
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from fewshot_core.data import load_images
from fewshot_core.errors import DataError, FewshotError, RecipeError, RunFolderError
from fewshot_core.recipe.load import TRUSTED, recipe_from_file
from fewshot_core.recipe.schema import DataSettings
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.files import read_json, sha256
from fewshot_core.search.study import open_study
from fewshot_core.trust.scores import ScoreLog, read_table


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "executed"


def test_the_trap_works(mark: Path) -> None:
    pickle.loads(pickle.dumps(Code(mark)))
    assert mark.exists()


def stage(folder: Path, file: str) -> StageCheckpoint:
    state = {"step": 3, "steps": 9, "file": file, "sha256": sha256(folder / file)}
    (folder / "state.json").write_text(json.dumps(state))
    return StageCheckpoint(folder)


@pytest.mark.parametrize("name", ["step-00000003.pt", "weights.safetensors"])
@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_checkpoints(name: str, write: str, tmp_path: Path, mark: Path) -> None:
    """Even one whose checksum is right."""
    if write == "torch":
        torch.save({"model": Code(mark)}, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(pickle.dumps({"model": Code(mark)}))
    one = stage(tmp_path, name)
    with pytest.raises(RunFolderError, match="cannot be read"):
        one.newest()
    with pytest.raises(RunFolderError):
        one.load(one.state())
    assert not mark.exists()


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd", "a/b.pt"])
def test_a_checkpoint_elsewhere(file: str, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"step": 1, "file": file, "sha256": ""}))
    with pytest.raises(RunFolderError, match="lies elsewhere"):
        StageCheckpoint(tmp_path).state()


READERS: dict[str, Callable[[Path], object]] = {
    "study.log": lambda path: open_study(path, "search"),
    "study.db": lambda path: open_study(path, "search"),
    "found.json": read_json,
    "scores.csv": lambda path: read_table(path, "accuracy"),
    "audit-scores.csv": lambda path: ScoreLog(path, ("architecture", "score")),
    "recipe.yaml": recipe_from_file,
}


@pytest.mark.parametrize("name", READERS)
def test_pickles_in_place_of_text(name: str, tmp_path: Path, mark: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Code(mark)))
    with pytest.raises(FewshotError):
        READERS[name](tmp_path / name)
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "seed: !!python/object/apply:pathlib.Path.touch [{mark}]",
        "seed: !!python/object/new:os.system ['touch {mark}']",
        "description: ${{oc.env:HOME}}",
        "description: ${{oc.create:x}}",
        "a: &a [x]\nb: [*a, *a]",
        "task: 'antigravity:TASK'",
        "task: 'planted:TASK'",
    ],
)
def test_recipes(text: str, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "recipe.yaml").write_text(text.format(mark=mark) + "\n")
    with pytest.raises(RecipeError):
        recipe_from_file(tmp_path / "recipe.yaml")
    assert not mark.exists()
    assert not {"planted", "antigravity"} & set(sys.modules)


def test_a_task_of_ones_own_can_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owntask.py").write_text("from tests.recipe.fake_task import TASK\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "recipe.yaml"
    path.write_text("task: owntask:TASK\n")
    with pytest.raises(RecipeError, match=f"names code of its own.*{TRUSTED}=owntask:TASK"):
        recipe_from_file(path)
    monkeypatch.setenv(TRUSTED, "other:TASK,owntask:TASK")
    assert recipe_from_file(path).task == "owntask:TASK"
    monkeypatch.delitem(sys.modules, "owntask")


def test_the_report_holds_no_script(tmp_path: Path) -> None:
    from fewshot_core.report.markup import table

    shown = table(["<script>alert(1)</script>"], [["<img onerror=x>"]], code=[0])
    assert "<script" not in shown
    assert "<img" not in shown


def test_a_cache_beside_a_tar_is_not_read(tmp_path: Path, mark: Path) -> None:
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as tar:
        for index in range(20):
            buffer = BytesIO()
            Image.new("L", (4, 4), index * 10).save(buffer, "png")
            info = tarfile.TarInfo(f"{'ab'[index % 2]}/{index}.png")
            info.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(info, buffer)
    for name in ("images_tarinfos.pickle", "images.tar.pickle", "_tarinfos.pickle"):
        (tmp_path / name).write_bytes(pickle.dumps(Code(mark)))
    data = load_images(DataSettings(source="images", root=str(path)), 0)
    assert len(data.train) > 0
    assert not mark.exists()
    assert os.listdir(tmp_path)


def test_an_image_is_only_what_images_are(tmp_path: Path) -> None:
    """Pillow would hand a PostScript file to Ghostscript, whatever the file is called."""
    picture = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    assert Image.open(BytesIO(picture)).format == "EPS"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(10):
            (tmp_path / name / f"{number}.png").write_bytes(picture)
    settings = DataSettings(source="images", root=str(tmp_path))
    with pytest.raises(DataError, match="cannot be read"):
        load_images(settings, 0)
