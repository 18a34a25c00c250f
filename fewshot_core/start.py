"""The first moments of a tool, before anything that takes time is imported.

A tool is its docstring and one call::

    if __name__ == "__main__":
        raise SystemExit(start("search", __doc__, action))

Importing the command line takes a tenth of a second and torch some seconds; a signal that arrives
meanwhile has to be answered as any other.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from fewshot_core.runs.launch import is_main_process, settle_launch
from fewshot_core.runs.preemption import Preempted, ending_on_request, exit_code, farewell
from fewshot_core.runs.variables import settle_variables
from fewshot_core.threads import wait_passively

Action = Callable[[list[str]], int | None]


def start(
    tool: str,
    doc: str | None,
    action: Action,
    *,
    keys: Mapping[str, Any] | None = None,
) -> int:
    """Run a tool with the words of this process: :func:`fewshot_core.recipe.cli.main`."""
    try:
        with ending_on_request():
            open_standard_files()
            wait_passively()
            from fewshot_core.recipe.cli import main

            return main(tool, doc, settled(action), keys=keys)
    except KeyboardInterrupt:
        return _ended_by(signal.SIGINT)
    except Preempted as request:
        return _ended_by(request.number)
    finally:
        # Threads and libraries end now, in Python code that would show a traceback.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def settled(action: Action) -> Action:
    """The action, for a process whose environment is known to be as it should be."""

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
        with suppress(AttributeError):  # a test's own
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _ended_by(number: int) -> int:
    if is_main_process():
        with suppress(OSError):
            sys.stderr.write(f"{farewell(number)}\n")
    return exit_code(number)
