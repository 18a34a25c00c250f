"""What a process says when a signal ends it, in its first moments too: imports next to nothing."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # typing's own takes as long to import as all the rest
if TYPE_CHECKING:
    from collections.abc import Mapping

RESUMES = "the same command resumes where it stopped"

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a tool: Ctrl-C, a cluster or ``kill``, a terminal that was closed."""


def is_main_process(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this process may print: rank 0, or a process without a launcher."""
    variables = os.environ if environ is None else environ
    # With several machines each has a LOCAL_RANK 0, but only one RANK 0.
    rank = variables.get("RANK") or variables.get("LOCAL_RANK") or "0"
    return rank == "0"


def exit_code(number: int) -> int:
    """Of a process that a signal has ended, as shells report it."""
    return 128 + number


def farewell(number: int) -> str:
    """What a run says that a signal has ended."""
    if number == signal.SIGINT:
        return f"interrupted: {RESUMES}"
    return f"stopped by {signal.Signals(number).name}: {RESUMES}"


def leave(number: int, frame: object = None) -> None:
    """Say so and end this process, whatever it is doing."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except Exception:  # it may be inside a write at this moment
        pass
    if is_main_process():
        try:  # noqa: SIM105  (contextlib takes its time)
            os.write(2, f"{farewell(number)}\n".encode())
        except OSError:
            pass
    os._exit(exit_code(number))
