"""The command ``fewshot``: which command is meant. Imports next to nothing at first."""

from __future__ import annotations

import sys

from fewshot_core.start import end_on_signals, open_standard_files, start_command

TYPE_CHECKING = False  # as in fewshot_core.start
if TYPE_CHECKING:
    from collections.abc import Sequence

COMPLETION = "--completion"


def main(words: Sequence[str] | None = None) -> int:
    """Run ``fewshot COMMAND key=value ...``.

    Args:
        words: The words after ``fewshot``; by default those of this process.

    Returns:
        The exit code: that of the command, or 2 where there is no such command.
    """
    end_on_signals()
    open_standard_files()
    given = list(sys.argv[1:] if words is None else words)
    from fewshot_core.commands.command import command_names

    if given and given[0] in command_names():
        return start_command(given[0], given[1:])
    from fewshot_core.recipe.cli import end_well

    return end_well(lambda: _answer(given))


def _answer(words: Sequence[str]) -> None:
    """What is no command: a question about the program, or a mistake.

    Raises:
        RecipeError: A mistake.
    """
    from fewshot_core.completion import complete, script
    from fewshot_core.recipe.cli import show

    first = words[0] if words else "--help"
    if first in ("-h", "--help", "help"):
        show(_overview())
    elif first in ("-V", "--version"):
        show(_version())
    elif first != COMPLETION:
        _refuse(first)
    elif words[1:2] == ["--"]:
        show("".join(f"{word}\n" for word in complete(words[2:])))
    else:
        show(script(words[1] if words[1:] else ""))


def _overview() -> str:
    from fewshot_core.commands.command import command_names, find_command
    from fewshot_core.recipe.cli import align

    commands = align((name, find_command(name).summary) for name in command_names())
    return (
        "usage: fewshot COMMAND [key=value ...]\n\n"
        "Search neural architectures and get ordinary trained models.\n\n"
        f"commands:\n{_indent(commands)}\n"
        "options:\n"
        "  -h, --help              show this text; after a command its own\n"
        "  -V, --version           show the version\n"
        f"  {COMPLETION} bash|zsh   print what completes words in that shell\n\n"
        "examples:\n"
        "  fewshot search --list-recipes\n"
        "  fewshot search recipe=digits\n"
        "  fewshot search recipe=digits processes=2\n"
        "  fewshot retrain run=runs/digits\n"
        "  fewshot export run=runs/digits\n"
    )


def _indent(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("fewshot-nas")
    except PackageNotFoundError:
        found = "(not installed)"
    return f"fewshot-nas {found}\n"


def _refuse(word: str) -> None:
    from fewshot_core.commands.command import command_names
    from fewshot_core.errors import RecipeError, nearest

    known = command_names()
    if "=" in word:
        raise RecipeError(
            "which command?", found=word, allowed=", ".join(known), fix=f"fewshot search {word} ..."
        )
    hint = nearest(word, known)
    raise RecipeError(
        f"unknown command {word!r}" + (f": {hint}" if hint else ""),
        allowed=", ".join(known),
        fix="fewshot --help",
    )
