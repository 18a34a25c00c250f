"""What a command is, and how one is found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import fewshot_core.commands

Action = Callable[[list[str]], int | None]


@dataclass(frozen=True)
class Command:
    """A command of the program.

    Attributes:
        name: The word for it, ``fewshot NAME``; the file ``tools/NAME.py`` runs it from a checkout.
        about: What it does: a line, and more below it.
        action: Does it with the ``key=value`` words; a number that it returns is the exit code.
        keys: The words that it takes, as for :func:`fewshot_core.recipe.tool_words.parse_words`;
            None where it takes the settings of a recipe.
        many: Whether several processes can share its work.
        check: Finds out what is wrong with the words, before processes are started for them.
    """

    name: str
    about: str
    action: Action
    keys: Mapping[str, Any] | None = None
    many: bool = False
    check: Callable[[list[str]], object] = lambda words: None

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return next(iter(self.about.strip().splitlines()), "")


def command_names() -> list[str]:
    """The names of all commands."""
    modules = pkgutil.iter_modules(fewshot_core.commands.__path__)
    return sorted(module.name for module in modules if module.name != "command")


def find_command(name: str) -> Command:
    """The command of that name.

    Raises:
        KeyError: There is none.
    """
    if name not in command_names():
        raise KeyError(name)
    command: Command = importlib.import_module(f"fewshot_core.commands.{name}").COMMAND
    return command
