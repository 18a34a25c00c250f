"""What results depend on besides the recipe, and what of it has changed since a run began."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fewshot_core.runs.files import read_json, write_json
from fewshot_core.runs.variables import select_consequential

FILE = "environment.json"
CONTINUED = "continued"
"""Key of the list of later launches in which something was different."""

COMPARED = ("precision", "threads", "processes", "accelerator", "processor")
ADVICE = "delete it: the run goes on, and what it began with is no longer known"


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is different and can change the last bits of a result: its name, before and now.

    What is not recorded is not compared: the file may have been deleted.
    """
    pairs = {name: (before[name], now.get(name)) for name in COMPARED if name in before}
    packages = before.get("packages")
    if isinstance(packages, dict) and "torch" in packages:
        pairs["torch"] = (packages["torch"], now["packages"]["torch"])
    variables = before.get("variables")
    if isinstance(variables, dict):
        then, new = select_consequential(variables), select_consequential(now["variables"])
        pairs |= {name: (then.get(name), new.get(name)) for name in sorted({*then, *new})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def surroundings_lines(run: Path, now: Mapping[str, Any]) -> list[str]:
    """What the user of a run should know of this process.

    Args:
        run: The folder, with the file that says how the run began.
        now: What :func:`fewshot_core.runs.folder.computing` says.

    Raises:
        RunFolderError: The file is damaged.
    """
    lines = []
    if set_now := select_consequential(now["variables"]):
        shown = " ".join(f"{name}={value}" for name, value in set_now.items())
        lines.append(f"variables that can change the last bits of results: {shown}")
    if found := changes(_read(run), now):
        shown = ", ".join(f"{name} {_text(a)} -> {_text(b)}" for name, (a, b) in found.items())
        lines.append(f"not as when the run began, so that last bits may differ: {shown}")
    return lines


def note_changes(run: Path, now: Mapping[str, Any]) -> None:
    """Keep in the run folder what is different in this launch, where anything is.

    Raises:
        RunFolderError: The file is damaged or cannot be written.
    """
    kept = _read(run)
    found = {name: pair[1] for name, pair in changes(kept, now).items()}
    later = kept.get(CONTINUED, [])
    if found and not (later and later[-1].get("changed") == found):
        date = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(run / FILE, kept | {CONTINUED: [*later, {"date": date, "changed": found}]})


def _read(run: Path) -> dict[str, Any]:
    file = run / FILE
    found = read_json(file, ADVICE) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
