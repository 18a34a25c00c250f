"""Tasks: found by name, and described without torch.

The core never imports a task. A name in the recipe is looked up here, when it is needed and not
before, because importing a task may import torch.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot_core.description import Description
from fewshot_core.errors import RecipeError, nearest
from fewshot_core.recipe.words import with_hint

HOME = "fewshot_tasks"
"""The package of the tasks that come along: the folder ``tasks`` of the checkout.

It is installed under this name, because a project of a user's own may well have a folder ``tasks``.
"""

GROUP = "fewshot_nas.task"
"""The group of entry points that installed packages give their tasks names with."""

if TYPE_CHECKING:  # the module imports torch, and `--help` must not
    from fewshot_core.task import Task


def load_description(name: str) -> Description:
    """The description of a task, without its networks where it can be had without.

    That is ``DESCRIPTION`` in ``tasks/NAME/settings.py``. A recipe is checked with it, so that a
    misspelt setting is told before torch is imported. Another task has to be imported for it.

    Raises:
        RecipeError: There is no such task, or it is not one.
    """
    if name.isidentifier() and name not in _of_packages() and importlib.util.find_spec(HOME):
        module = f"{HOME}.{name}.settings"
        try:
            described = getattr(importlib.import_module(module), "DESCRIPTION", None)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise RecipeError(
                    f"task={name} needs the module {error.name!r}, which is not installed"
                ) from error
            described = None
        if isinstance(described, Description):
            return described
    return load_task(name).description


def load_task(name: str) -> Task:
    """The task of that name.

    Args:
        name: ``NAME`` for ``tasks/NAME/task.py`` or for an entry point of the group
            ``fewshot_nas.task`` in an installed package, or ``package.module:ATTRIBUTE`` for a task
            of the user's own. Naming a task runs its code.

    Raises:
        RecipeError: There is no such task, or it is not one.
    """
    place = name if ":" in name else _of_packages().get(name, f"{HOME}.{name}.task:TASK")
    module_name, _, attribute = place.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise _unknown_task_error(name)
    module = _import(module_name, name)
    if not hasattr(module, attribute):
        raise RecipeError(
            with_hint(
                f"task={name}: {module_name} has no attribute {attribute!r}",
                nearest(attribute, vars(module)),
            )
        )
    task: Task = getattr(module, attribute)
    if not isinstance(getattr(task, "description", None), Description):
        raise RecipeError(
            f"task={name} is not a task",
            allowed="an object whose attribute `description` is a `Description`",
        )
    return task


def task_names() -> list[str]:
    """The tasks that come with the project, and those of installed packages."""
    return sorted({*_own_names(), *_of_packages()})


def _own_names() -> set[str]:
    """The folders of :data:`HOME` that hold a ``task.py``."""
    spec = importlib.util.find_spec(HOME)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return {file.parent.name for folder in folders for file in Path(folder).glob("*/task.py")}


@cache
def _of_packages() -> dict[str, str]:
    """Where the tasks of installed packages are, by name.

    Raises:
        RecipeError: One has the name of another.
    """
    found: dict[str, str] = {}
    ours = _own_names()
    for point in entry_points(group=GROUP):
        if point.name in ours or found.setdefault(point.name, point.value) != point.value:
            raise RecipeError(
                f"two tasks have the name task={point.name}",
                found=point.value,
                fix="uninstall the package of one of them",
            )
    return found


def _import(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module == missing or module.startswith(f"{missing}."):
            raise _unknown_task_error(name) from error
        raise RecipeError(
            f"task={name} needs the module {missing!r}, which is not installed"
        ) from error


def _unknown_task_error(name: str) -> RecipeError:
    known = task_names()
    own = "package.module:ATTRIBUTE for a task of your own, in a module that Python can import"
    return RecipeError(
        with_hint(f"unknown task {name!r}", nearest(name, known)), allowed=", ".join([*known, own])
    )
