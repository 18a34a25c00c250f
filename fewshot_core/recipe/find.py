"""Recipe files: where they are, and the chain of files that ``extends`` makes of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fewshot_core.errors import RecipeError, nearest
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.words import plain_path, with_hint
from fewshot_core.recipe.yamltext import read_mapping


@dataclass(frozen=True)
class RecipeFile:
    """One file of a chain and what it says."""

    path: Path
    content: dict[str, Any]


def recipe_folders(recipes_dir: Path | None = None) -> list[Path]:
    """The folders that are searched: the given one, or ``recipes`` here and what comes along."""
    if recipes_dir is not None:
        return [recipes_dir]
    beside = Path(__file__).resolve().parents[2]
    installed = beside / "fewshot_recipes"
    folders = [Path.cwd() / "recipes", installed if installed.is_dir() else beside / "recipes"]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def recipe_files(recipes_dir: Path | None = None) -> dict[str, Path]:
    """The known recipes by name; of two with one name the one in the current folder counts.

    What lies in a folder ``recipes`` of a project about something else is no recipe.
    """
    found: dict[str, Path] = {}
    for folder in recipe_folders(recipes_dir):
        for path in sorted(folder.glob("*.yaml")):
            if path.stem not in found and _may_be_recipe(path):
                found[path.stem] = path
    return dict(sorted(found.items()))


def _known(name: str, recipes_dir: Path | None) -> Path | None:
    """One of :func:`recipe_files` without reading the others, which takes longer than the rest."""
    paths = (path for folder in recipe_folders(recipes_dir) for path in folder.glob("*.yaml"))
    return next((path for path in paths if path.stem == name and _may_be_recipe(path)), None)


def _may_be_recipe(path: Path) -> bool:
    """Whether a file has a setting of a recipe, or cannot be read, which its user has to know."""
    try:
        content = read_mapping(path)
    except RecipeError:
        return True
    known = {"extends", *(field.name for field in fields(Recipe))}
    return not content or bool(known & set(content))


def find_recipe(name: str, recipes_dir: Path | None = None) -> Path:
    """The file of ``recipe=name``.

    Raises:
        RecipeError: There is none; the line lists the known ones and the nearest.
    """
    if name.endswith((".yaml", ".yml")):
        path = plain_path("recipe", name)
        if not path.is_file():
            raise RecipeError(f"recipe={name}: there is no such file")
        return path
    found = _known(name, recipes_dir)
    if found is None:
        known = recipe_files(recipes_dir)
        raise RecipeError(
            with_hint(f"unknown recipe {name!r}", nearest(name, known)), allowed=names(known)
        )
    return found


def read_chain(path: Path, recipes_dir: Path | None = None) -> list[RecipeFile]:
    """The file and what it extends, the parent first.

    Raises:
        RecipeError: A file is missing or damaged, or extends itself in the end.
    """
    chain: list[RecipeFile] = []
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        if current.resolve() in seen:
            circle = " -> ".join(file.path.name for file in reversed(chain))
            raise RecipeError(f"{path}: `extends` runs in a circle: {circle} -> {current.name}")
        seen.append(current.resolve())
        content = read_mapping(current)
        parent = content.pop("extends", None)
        chain.insert(0, RecipeFile(current, content))
        current = _parent(current, parent, recipes_dir) if parent is not None else None
    return chain


def list_recipes(recipes_dir: Path | None = None) -> list[tuple[str, str]]:
    """Name and first line of the description of every known recipe.

    Of one that takes the place of another it says so.
    """
    *_, ours = [Path(), *recipe_folders(recipes_dir)]
    lines = []
    for name, path in recipe_files(recipes_dir).items():
        text = _summary(path)
        if path.parent != ours and (ours / path.name).is_file():
            text = f"{text} ({path.parent.name}/{path.name}, and not the one of fewshot)".lstrip()
        lines.append((name, text))
    return lines


def names(known: dict[str, Path] | Sequence[str]) -> str:
    """The names in one line."""
    return ", ".join(known) or "none were found"


def _parent(child: Path, parent: object, recipes_dir: Path | None) -> Path:
    if not isinstance(parent, str):
        raise RecipeError(f"{child}: `extends` takes one name or path", found=parent)
    is_path = parent.endswith((".yaml", ".yml"))
    beside = child.parent / (parent if is_path else f"{parent}.yaml")
    if beside.is_file():
        return beside
    found = None if is_path else _known(parent, recipes_dir)
    if found is not None:
        return found
    known = recipe_files(recipes_dir)
    raise RecipeError(
        with_hint(f"{child}: extends {parent!r}, which does not exist", nearest(parent, known)),
        allowed=names(known),
    )


def _summary(path: Path) -> str:
    # A damaged file must not hide the others from the list.
    try:
        text = str(read_mapping(path).get("description") or "")
    except RecipeError as error:
        return f"(cannot be read: {error})"
    return next(iter(text.strip().splitlines()), "")
