"""Which tests start processes, read from their code, and a guard for those that must not."""

from __future__ import annotations

import inspect
import multiprocessing.process
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

PROCESS = "process"
"""The marker of tests that start a process; nobody has to write it."""

STARTING = ("subprocess", "multiprocessing")
"""Modules whose use starts one."""

BRIEF = ("git", "uname")
"""Programs that a run asks about the code and the machine."""


def starts_process(item: pytest.Function, seen: dict[Any, bool]) -> bool:
    """Whether a test, one of its fixtures or a function of the tests that they call starts one.

    Args:
        item: The test.
        seen: What is known of functions and classes already; it is added to.
    """
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009  no public way
    functions = [item.function, *(fixture.func for some in fixtures for fixture in some)]
    return any(_leads_to_process(function, seen) for function in functions)


def _leads_to_process(value: Any, seen: dict[Any, bool]) -> bool:
    """Whether a module, function or class of the tests is, calls or holds what starts one."""
    if isinstance(value, ModuleType):
        return value.__name__ in STARTING
    value = inspect.unwrap(getattr(value, "__func__", value))
    if any(str(home).partition(".")[0] in STARTING for home in _homes(value)):
        return True
    home = str(getattr(value, "__module__", ""))
    ours = home.startswith((f"{__name__.partition('.')[0]}.", "fewshot_core.testing."))
    if not ours or not isinstance(value, FunctionType | type):
        return False
    if value not in seen:
        seen[value] = False  # for functions that call each other
        if isinstance(value, type):
            below = list(vars(value).values())
        else:
            names = _names(value.__code__)
            below = [value.__globals__[name] for name in names if name in value.__globals__]
        seen[value] = any(_leads_to_process(one, seen) for one in below)
    return seen[value]


def _homes(value: Any) -> tuple[Any, Any]:
    """The modules of a value and of its type, such as those of a context of multiprocessing."""
    return getattr(value, "__module__", ""), type(value).__module__


def _names(code: CodeType) -> set[str]:
    """The global names that a function uses, and those of functions inside it."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


@contextmanager
def no_process() -> Iterator[None]:
    """Inside, a process that is started is a failure, but for those of ``BRIEF``."""
    plain = subprocess.Popen.__init__

    def start(process: Any, command: Any, *arguments: Any, **more: Any) -> None:
        if isinstance(command, list | tuple) and os.path.basename(command[0]) in BRIEF:
            plain(process, command, *arguments, **more)
        else:
            refuse()

    def refuse(*arguments: Any, **more: Any) -> Any:
        raise AssertionError("this test starts a process: mark it with pytest.mark.process")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", start)
        patch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
        patch.setattr(os, "fork", refuse)
        yield
