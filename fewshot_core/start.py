"""The first moments of a tool, before anything that takes time is imported.

A file of ``tools`` is one call::

    if __name__ == "__main__":
        raise SystemExit(start_command("search"))

Importing the command line takes a tenth of a second and torch some seconds; a signal that arrives
meanwhile has to be answered as any other. So this module imports next to nothing itself.
"""

from __future__ import annotations

import os
import signal
import sys

from fewshot_core.runs.farewell import ENDING, is_main_process, leave

TYPE_CHECKING = False  # typing's own takes as long to import as all the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Action = Callable[[list[str]], int | None]


def start_command(name: str, words: Sequence[str] | None = None) -> int:
    """Run a command of the program: :func:`start` with what its module says.

    Args:
        name: A module of :mod:`fewshot_core.commands`.
        words: What it is asked; by default the words of this process.
    """
    end_on_signals()
    open_standard_files()
    from fewshot_core.commands.command import find_command
    from fewshot_core.errors import FewshotError
    from fewshot_core.recipe.cli import main, say_error
    from fewshot_core.runs.launcher import choose_processes, launch, take_processes

    found = find_command(name)
    try:
        mine, asked = take_processes(sys.argv[1:] if words is None else words)
        count = choose_processes(asked, found.many, name)
    except FewshotError as error:
        return say_error(error)
    if count == 1:
        return start(found.name, found.about, found.action, keys=found.keys, words=mine)

    def start_many(words: list[str]) -> int:
        found.check(words)
        return launch(name, words, asked)

    return main(name, found.about, start_many, keys=found.keys, argv=mine)


def start(
    tool: str,
    doc: str | None,
    action: Action,
    *,
    keys: Mapping[str, Any] | None = None,
    words: Sequence[str] | None = None,
) -> int:
    """Run a command with its words: :func:`fewshot_core.recipe.cli.main`.

    Outside of that call, before it and in the last moments of the interpreter, a signal ends the
    process with its line and nothing else. Signals that were ignored stay so (``nohup``).
    """
    end_on_signals()
    open_standard_files()
    from fewshot_core.recipe.cli import main
    from fewshot_core.runs.threads import wait_passively

    wait_passively()
    return main(tool, doc, settle_environment(action), keys=keys, argv=words)


def end_on_signals() -> None:
    """Let a signal end this process with its line, but for those that are ignored."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)


def settle_environment(action: Action) -> Action:
    """The action, for a process whose environment is known to be as it should be."""
    from fewshot_core.runs.launch import settle_launch
    from fewshot_core.runs.variables import settle_variables

    def act(words: list[str]) -> int | None:
        settle_launch()
        for line in settle_variables():
            if is_main_process():
                sys.stderr.write(f"note: {line}\n")
        return action(words)

    return act


def open_standard_files() -> None:
    """Give this process standard input, output and error, whatever it was started with.

    A closed one (``>&-``) is opened on the null device. Otherwise the next file that is opened
    would take its number, and what libraries print would be written into it. A character that the
    encoding of the output does not have is written as its number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the smallest free number: this one
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a test's own may not
            stream.reconfigure(errors="backslashreplace")
