"""The words of a comparison: folders of runs, and files to write. No torch."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewshot_core.errors import RecipeError, RunFolderError, nearest
from fewshot_core.recipe.commas import split_value
from fewshot_core.recipe.words import path_problem, plain_path, raise_problems
from fewshot_core.runs.sweeps import is_sweep, read_sweep

KEYS = {
    "runs": "",
    "csv": Path | None,
    "values": Path | None,
    "markdown": Path | None,
    "latex": Path | None,
    "plot": Path | None,
}
"""The words that are no paths."""

PLOTS = (".svg", ".png")


@dataclass(frozen=True)
class Asked:
    """What a comparison is asked for.

    Attributes:
        runs: Folders of runs, each once, in the order in which they were named.
        files: Where to write what, by the key of the word.
        unfinished: A line for each run of a sweep that has no folder yet.
    """

    runs: tuple[Path, ...]
    files: dict[str, Path] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()


def read_comparison(words: Sequence[str]) -> Asked:
    """The runs and files that the words name.

    A word is a folder of a run, that of a sweep, which stands for all its runs, or a pattern of
    such folders; or ``runs=`` with several between commas, or a file to write.

    Raises:
        RecipeError: A word is wrong.
        RunFolderError: A folder is that of no run.
    """
    paths: list[str] = []
    files: dict[str, Path] = {}
    problems: list[str] = []
    for word in words:
        key, equals, text = word.partition("=")
        if equals and key == "runs":
            paths += split_value(text)
        elif equals and key in KEYS:
            problem = path_problem(key, text) or _wrong_file(key, Path(text))
            if problem:
                problems.append(problem)
            files[key] = Path(text)
        elif word.startswith("-") or (equals and not _is_path(word)):
            hint = nearest(key, KEYS)
            known = f"known: {', '.join(KEYS)}, and folders of runs"
            problems.append(f"unknown word {word!r} ({hint or known})")
        else:
            paths.append(word)
    raise_problems(problems)
    if not paths:
        raise RecipeError(
            "which runs?", allowed='folders and patterns: fewshot compare runs/a "runs/b*"'
        )
    found: dict[Path, Path] = {}
    unfinished: dict[Path, str] = {}
    for path in paths:
        for one in _expand(path, unfinished):
            found.setdefault(one.resolve(), one)
    return Asked(tuple(found.values()), files, tuple(unfinished.values()))


def _is_path(word: str) -> bool:
    """Whether a word with an equals sign is a path: members of sweeps have names with them."""
    return "/" in word.partition("=")[0] or Path(word).exists() or bool(glob.glob(word))


def _wrong_file(key: str, path: Path) -> str | None:
    if not path.absolute().parent.is_dir():
        return f"{key}={path}: there is no folder {path.absolute().parent}"
    if path.is_dir():
        return f"{key}={path} is a folder"
    if key == "plot" and path.suffix not in PLOTS:
        return f"plot={path} must end in {' or '.join(PLOTS)}"
    return None


def _expand(text: str, unfinished: dict[Path, str]) -> list[Path]:
    """The folders of runs that a word names, whatever they are called.

    Args:
        text: The word.
        unfinished: Gets a line for each run of a sweep that has no folder yet, by that folder.
    """
    plain_path("runs", text)
    named = [Path(text)] if Path(text).exists() else [Path(p) for p in sorted(glob.glob(text))]
    pattern = len(named) != 1 or named[0] != Path(text)
    found: list[Path] = []
    for path in named:
        if is_sweep(path):
            sweep = read_sweep(path)
            for member in sweep.members:
                run = sweep.run_of(member)
                if (run / "recipe.yaml").is_file():
                    found.append(run)
                else:
                    why = f": {member.why}" if member.why else ", it has not begun"
                    unfinished.setdefault(run.resolve(), f"{run}{why}")
        elif (path / "recipe.yaml").is_file():
            found.append(path)
        elif not pattern:
            raise RunFolderError(
                f"{path} is no run folder: it has no recipe.yaml",
                fix="name folders of runs or of sweeps",
            )
    if not found and not unfinished:
        raise RunFolderError(f"there is no run {text}", fix="name folders of runs or of sweeps")
    return found
