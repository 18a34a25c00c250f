"""How bad input ends."""

from __future__ import annotations

from pathlib import Path

from .process import Done


def refused(done: Done, *parts: str) -> None:
    """Exit code 2, one line on standard error, and in it all the parts."""
    assert done.code == 2, f"{done.code}\n{done.out}\n{done.err}"
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.out
    for part in parts:
        assert part in lines[0], f"{part!r} is not in: {lines[0]}"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the lock, which is empty and only says that somebody was there."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
