"""Where an export may be put, and that nothing of a user's is lost by it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
import timm
import torch

from fewshot_tasks.cifar10 import network

from .process import Done, Running, succeed

assert network  # it registers the model
WEIGHTS, MARKER = "model.safetensors", ".fewshot-nas.json"


def content(folder: Path) -> dict[str, bytes]:
    """Every file below, but for the lock of the run and what a tool prints."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _without_work() -> None:
    """An export that begins to build the network ends as no refusal does."""
    import fewshot_core.pipeline.export as module

    module.load_retrained = lambda *_: os._exit(7)


def refused(folder: Path, run: str, out: str, cwd: Path | None = None) -> str:
    """The line with which ``out`` is refused, before any work and with nothing changed."""
    before = content(folder)
    done = Running(
        "export", [f"run={run}", f"out={out}"], cwd or folder, prepare=_without_work
    ).wait()
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert content(folder) == before
    return done.err


def export(folder: Path, *words: str) -> Done:
    return succeed("export", ["run=run", *words], folder)


def test_a_folder_of_sources_is_left(copy: Path) -> None:
    sources = copy.parent / "mine"
    (sources / "src").mkdir(parents=True)
    (sources / "src" / "main.py").write_text("years of work")
    for out in ("mine", "mine/", "./mine/../mine", str(sources), "run/../mine"):
        line = refused(copy.parent, "run", out)
        assert "is not a folder that this program wrote" in line
        assert "src/main.py" in line
    (sources / WEIGHTS).write_text("of another model")  # it only looks like an export
    shutil.rmtree(sources / "src")
    assert WEIGHTS in refused(copy.parent, "run", "mine")


def test_the_run_and_what_is_above_it_are_left(copy: Path) -> None:
    above = copy.parent
    for out in ("run", "run/", ".", "run/..", "/", str(above), str(above.parent)):
        assert "is the run folder itself, or above it" in refused(above, "run", out)
    (above / "way").symlink_to(copy)
    assert "is the run folder itself" in refused(above, "run", "way")
    assert "is the run folder itself" in refused(above, "way", "run")
    (above / "here").mkdir()
    assert "the program runs in" in refused(above, "../run", ".", above / "here")


def test_what_a_run_keeps_is_no_place_for_it(copy: Path) -> None:
    names = {path.name for path in copy.iterdir() if not path.name.startswith(".")}
    assert {"recipe.yaml", "checkpoints", "retrain.json"} <= names
    for name in sorted(names | {"scores/one-shot", "ranking.json", "metric", "study.log"}):
        assert "keeps files of its own" in refused(copy.parent, "run", f"run/{name}")


def test_links_and_files_are_left(copy: Path) -> None:
    above = copy.parent
    (above / "there").mkdir()
    (above / "link").symlink_to("there")
    (above / "file").write_text("mine")
    assert "is a symbolic link" in refused(above, "run", "link")
    assert "is a file" in refused(above, "run", "file")
    assert "cannot write file/out" in refused(above, "run", "file/out")


def test_an_export_is_replaced_until_somebody_works_in_it(copy: Path) -> None:
    above, out = copy.parent, copy.parent / "out"
    export(above, "out=out")
    first = content(out)
    (out / "__pycache__").mkdir()
    (out / "__pycache__" / "nasbench201_cell.cpython-311.pyc").write_bytes(b"")
    export(above, "out=out/", "label=largest")
    assert content(out)[WEIGHTS] != first[WEIGHTS]
    assert set(content(out)) == set(first)
    (out / "notes.md").write_text("mine")
    assert "notes.md" in refused(above, "run", "out")
    (out / "notes.md").unlink()
    with (out / "nasbench201_cell.py").open("a") as file:
        file.write("# mine\n")
    line = refused(above, "run", "out")
    assert "nasbench201_cell.py" in line
    assert "move these files" in line
    (out / "nasbench201_cell.py").unlink()
    export(above, "out=out")
    assert {name: text for name, text in content(out).items() if name == WEIGHTS} == {
        WEIGHTS: first[WEIGHTS]
    }


@pytest.mark.parametrize("name", ["100% of #1 [größe]?", "export.", "-out", ".hidden"])
def test_paths_may_have_any_character(copy: Path, name: str) -> None:
    run = copy.rename(copy.with_name(f"run {name}"))
    for _ in range(2 if name == "-out" else 1):  # once more, over what is there
        succeed("export", [f"run={run}", f"out={name}"], run.parent)
    assert {path.name for path in run.parent.iterdir()} == {run.name, name}
    model = timm.create_model(f"local-dir:{run.parent / name}", pretrained=True)
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def _masked(umask: int) -> None:
    os.umask(umask)


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750)]
)
def test_modes_are_those_of_the_umask(copy: Path, umask: int, file: int, folder: int) -> None:
    words = ["run=run", "out=new/out"]
    done = Running("export", words, copy.parent, prepare=_masked, arguments=(umask,)).wait()
    assert done.code == 0, done.err
    out = copy.parent / "new" / "out"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (out, out.parent)} == {folder}
    assert {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()
    } == dict.fromkeys(content(out), file)


def test_runs_have_the_modes_too(finished: Path) -> None:
    mask = os.umask(0o022)
    os.umask(mask)
    for path in finished.rglob("*"):
        expected = (0o777 if path.is_dir() else 0o666) & ~mask
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
