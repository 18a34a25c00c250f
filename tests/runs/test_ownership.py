"""What an export may take the place of."""

from __future__ import annotations

import json
import multiprocessing
import os
import py_compile
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from fewshot_core.errors import RunFolderError
from fewshot_core.runs import replacing as replacing_module
from fewshot_core.runs.files import sha256, write_text
from fewshot_core.runs.ownership import MARKER, strangers
from fewshot_core.runs.replacing import replacing

FORK = multiprocessing.get_context("fork")


def put(target: Path, **files: str) -> None:
    """Hand over a folder of these files."""
    with replacing(target) as folder:
        for name, text in files.items():
            write_text(folder / name, text)


def content(folder: Path) -> dict[str, str]:
    """Every file below, our markers aside."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MARKER]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def refusal(target: Path) -> str:
    """The one line with which a target is refused; nothing may have changed by that."""
    place = next(folder for folder in target.absolute().parents if folder.is_dir())
    before = content(place)
    with pytest.raises(RunFolderError) as caught, replacing(target):
        raise AssertionError("it is refused before anything is done")
    assert "\n" not in str(caught.value)
    assert content(place) == before
    assert not list(place.rglob(".fewshot-nas-*"))
    return str(caught.value)


# --- what is ours


def test_a_folder_appears_with_a_marker_that_lists_it(tmp_path: Path) -> None:
    put(tmp_path / "deep" / "out", a="1", b="2")
    assert content(tmp_path) == {"deep/out/a": "1", "deep/out/b": "2"}
    marker = json.loads((tmp_path / "deep" / "out" / MARKER).read_text())
    files = {name: sha256(tmp_path / "deep" / "out" / name) for name in ("a", "b")}
    assert marker["files"] == files
    assert strangers(tmp_path / "deep" / "out") == []


def test_a_folder_of_ours_is_replaced(tmp_path: Path) -> None:
    put(tmp_path / "out", a="1", b="2")
    put(tmp_path / "out", b="3")
    assert content(tmp_path) == {"out/b": "3"}


def test_so_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    put(tmp_path / "out", a="1")
    assert content(tmp_path) == {"out/a": "1"}


def test_python_may_have_run_in_it_and_files_may_be_gone(tmp_path: Path) -> None:
    put(tmp_path / "out", a="1", b="2")
    (tmp_path / "out" / "__pycache__").mkdir()
    (tmp_path / "out" / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"")
    (tmp_path / "out" / "a").unlink()
    put(tmp_path / "out", c="3")
    assert content(tmp_path) == {"out/c": "3"}


def test_what_python_compiled_while_a_folder_was_filled_is_no_part_of_it(tmp_path: Path) -> None:
    with replacing(tmp_path / "out") as folder:
        (folder / "model.py").write_text("x = 1\n")
        (folder / "deep").mkdir()
        (folder / "deep" / "a").write_text("1")
        py_compile.compile(str(folder / "model.py"))
        assert (folder / "__pycache__").is_dir()
    assert content(tmp_path) == {"out/model.py": "x = 1\n", "out/deep/a": "1"}
    assert strangers(tmp_path / "out") == []


def test_a_folder_without_a_marker_is_left(tmp_path: Path) -> None:
    (tmp_path / "out" / "src").mkdir(parents=True)
    (tmp_path / "out" / "src" / "main.py").write_text("years of work")
    line = refusal(tmp_path / "out")
    assert "is not a folder that this program wrote" in line
    assert "src/main.py" in line


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "__pycache__/notes.txt", "more/notes"])
def test_a_file_that_was_added_is_named(tmp_path: Path, name: str) -> None:
    put(tmp_path / "out", a="1")
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / name).write_text("mine")
    line = refusal(tmp_path / "out")
    assert "added or changed" in line
    assert name in line


def test_a_file_that_was_changed_is_named(tmp_path: Path) -> None:
    put(tmp_path / "out", a="1", b="2")
    (tmp_path / "out" / "a").write_text("edited")
    line = refusal(tmp_path / "out")
    assert "found: a |" in line


def test_an_added_folder_or_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "same").write_text("1")
    for name in ("folder", "link", "a"):
        put(tmp_path / name, a="1")
    (tmp_path / "folder" / "mine").mkdir()
    (tmp_path / "link" / "mine").symlink_to(tmp_path)
    (tmp_path / "a" / "a").unlink()
    (tmp_path / "a" / "a").symlink_to(tmp_path / "same")
    assert "mine" in refusal(tmp_path / "folder")
    assert "mine" in refusal(tmp_path / "link")
    assert "found: a |" in refusal(tmp_path / "a")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": {"mine": "00"}}', "[" * 9999])
def test_a_marker_of_somebody_else_makes_nothing_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("1")
    (tmp_path / "out" / MARKER).write_text(text)
    assert "mine" in refusal(tmp_path / "out")


def test_a_marker_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("1")
    put(tmp_path / "out", a="1")
    marker = json.loads((tmp_path / "out" / MARKER).read_text())
    marker["files"]["../mine"] = sha256(tmp_path / "mine")
    (tmp_path / "out" / MARKER).write_text(json.dumps(marker))
    put(tmp_path / "out", b="2")
    assert content(tmp_path) == {"mine": "1", "out/b": "2"}


# --- places


def test_a_file_a_link_and_a_mount_point_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert "is a file" in refusal(tmp_path / "file")
    assert "is a symbolic link" in refusal(tmp_path / "link")
    assert "is a symbolic link" in refusal(tmp_path / "dangling")
    assert "cannot write" in refusal(tmp_path / "file" / "out")
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "there")
    assert "is a mount point" in refusal(tmp_path / "there")
    monkeypatch.chdir("/")
    with pytest.raises(RunFolderError, match="the program runs in"):
        put(Path("/"))


@pytest.mark.parametrize("target", [".", "..", "../here", "./"])
def test_the_folder_that_it_runs_in_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "the program runs in" in refusal(Path(target))


@pytest.mark.parametrize(
    "name", ["export.", ".export", "a b", "a#b", "50%", "why?", "[x]", "größe", "x" * 255, "*"]
)
def test_any_name_is_a_name(tmp_path: Path, name: str) -> None:
    for text in ("1", "2"):
        put(tmp_path / name, a=text)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert content(tmp_path / name) == {"a": "2"}


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    assert "cannot write" in refusal(tmp_path / ("x" * 256))


def test_a_path_is_relative_to_the_working_directory_and_may_end_with_a_slash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "to").symlink_to("here")
    monkeypatch.chdir(tmp_path / "here")
    put(Path("out/"), a="1")
    put(Path("../to/../here/out"), a="2")  # the system reads `to/..` as what it leads to
    put(tmp_path / "to" / "more", a="3")
    assert content(tmp_path) == {"here/out/a": "2", "here/more/a": "3"}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may do everything")
@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_folder_without_permission_is_refused(tmp_path: Path, mode: int) -> None:
    put(tmp_path / "out", a="1")
    (tmp_path / "out").chmod(mode)
    try:
        with pytest.raises(RunFolderError, match="no permission"):
            put(tmp_path / "out")
    finally:
        (tmp_path / "out").chmod(0o700)


def test_a_folder_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "out", a="1")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "no permission" in refusal(tmp_path / "out")


# --- what goes wrong on the way


class OurOwnError(Exception):
    """Something that a fill raises."""


def put_half(target: Path) -> None:
    with replacing(target) as folder:
        write_text(folder / "a", "half")
        raise OurOwnError


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    put(tmp_path / "out", a="1")
    for target in (tmp_path / "out", tmp_path / "new" / "er" / "out"):
        with pytest.raises(OurOwnError):
            put_half(target)
    assert content(tmp_path) == {"out/a": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_leaves_the_old_folder_and_names_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "out", a="1")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("fsync", "rename"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(RunFolderError) as caught:
                put(tmp_path / "out", a="2")
        line = str(caught.value)
        assert line.startswith(f"cannot write {tmp_path / 'out'} | found: No space left"), name
        assert content(tmp_path) == {"out/a": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_changes_meanwhile_is_not_lost(tmp_path: Path) -> None:
    put(tmp_path / "out", a="1")
    with pytest.raises(RunFolderError, match="added or changed"), replacing(tmp_path / "out"):
        (tmp_path / "out" / "mine").write_text("just now")
    assert content(tmp_path) == {"out/a": "1", "out/mine": "just now"}


def test_nor_what_changes_in_the_last_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "out", a="1")
    rename = os.rename

    def and_write(source: Path, target: Path) -> None:
        rename(source, target)
        if Path(target).suffix == ".old":
            (Path(target) / "mine").write_text("just now")

    monkeypatch.setattr(os, "rename", and_write)
    with pytest.raises(RunFolderError, match="the old one is kept as") as caught:
        put(tmp_path / "out", a="2")
    kept = Path(str(caught.value).split("kept as ")[1].split(",")[0])
    assert kept.parent == tmp_path
    assert not kept.name.startswith(".")
    assert content(kept) == {"a": "1", "mine": "just now"}
    assert content(tmp_path / "out") == {"a": "2"}


def _killed_at(target: Path, count: int) -> None:
    """Replace a folder, and die before the renaming of this number; or after all of them."""
    rename, done = os.rename, 0

    def counted(source: Path, place: Path) -> None:
        nonlocal done
        if done == count:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        rename(source, place)

    os.rename = counted  # type: ignore[assignment]
    replacing_module._remove = lambda old: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore
    put(target, a="2")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_kill_at_any_renaming_loses_nothing(tmp_path: Path, count: int) -> None:
    put(tmp_path / "out", a="1")
    process = FORK.Process(target=_killed_at, args=(tmp_path / "out", count))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    whole = [c for c in map(content, tmp_path.iterdir()) if c in ({"a": "1"}, {"a": "2"})]
    assert len(whole) == 2
    # The next one that fails finds the folder in its place; the next one that ends, nothing else.
    with pytest.raises(OurOwnError):
        put_half(tmp_path / "out")
    assert content(tmp_path) == {"out/a": "1" if count < 2 else "2"}
    put(tmp_path / "out", a="3")
    assert content(tmp_path) == {"out/a": "3"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_looks_like_a_leftover_and_is_not_ours_stays(tmp_path: Path) -> None:
    start = replacing_module._prefix(tmp_path / "out")
    for name in (f"{start}1.part", f"{start}1.old", ".out.part", ".other.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("1")
    put(tmp_path / f"{start}2.old", a="1")
    (tmp_path / f"{start}2.old" / "mine").write_text("1")
    before = content(tmp_path)
    for text in ("1", "2"):
        put(tmp_path / "out", a=text)
    assert content(tmp_path) == before | {"out/a": "2"}


def test_a_folder_that_is_being_filled_is_no_leftover(tmp_path: Path) -> None:
    with replacing(tmp_path / "out") as folder:
        process = FORK.Process(target=put, args=(tmp_path / "out",), kwargs={"a": "2"})
        process.start()
        process.join()
        assert content(tmp_path / "out") == {"a": "2"}
        write_text(folder / "a", "1")
    assert content(tmp_path) == {"out/a": "1"}  # the last one stays
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _put_often(target: Path, name: str) -> None:
    for number in range(20):
        put(target, **{name: str(number)})


def test_two_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    both = [FORK.Process(target=_put_often, args=(tmp_path / "out", name)) for name in "ab"]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert content(tmp_path) in ({"out/a": "19"}, {"out/b": "19"})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def masked() -> Callable[[int], None]:
    """Sets the umask of this process until the test ends."""
    before = os.umask(0o022)
    yield os.umask  # type: ignore[misc]
    os.umask(before)


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750)]
)
def test_modes_are_those_of_the_umask(
    tmp_path: Path, masked: Callable[[int], None], umask: int, file: int, folder: int
) -> None:
    masked(umask)
    put(tmp_path / "new" / "out", a="1")
    out = tmp_path / "new" / "out"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (out, out.parent)} == {folder}
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {file}
