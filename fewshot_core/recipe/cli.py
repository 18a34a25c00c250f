"""The front that all tools share: help, lists, errors and exit codes.

:func:`fewshot_core.start.start` calls it, once this process can answer signals.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.plugins import plugins
from fewshot_core.recipe.find import list_recipes
from fewshot_core.recipe.helptext import settings_help, words_help
from fewshot_core.recipe.load import load_recipe, recipe_from_file, recipe_yaml
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.tool_words import parse_words
from fewshot_core.recipe.words import plain_path, split_words
from fewshot_core.runs.farewell import exit_code, farewell, is_main_process
from fewshot_core.runs.launch import LaunchError
from fewshot_core.runs.places import find_named_run, require_run
from fewshot_core.runs.preemption import Preempted, ending_on_request

__all__ = ["find_named_run", "is_main_process", "load_recipe", "main", "parse_words"]

BAD_INPUT = 2
BROKEN_PIPE = exit_code(signal.SIGPIPE)

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Action = Callable[[list[str]], int | None]


def main(
    tool: str,
    doc: str | None,
    action: Action,
    *,
    keys: Mapping[str, Any] | None = None,
    argv: Sequence[str] | None = None,
) -> int:
    """Run a tool and return its exit code.

    Args:
        tool: The name of the command.
        doc: The tool's docstring; ``--help`` shows it.
        action: What the tool does with its ``key=value`` words; a number is the exit code.
        keys: The words of the tool as for :func:`parse_words`; None for a tool that takes a recipe.
        argv: The words; by default those of the process.

    Returns:
        0, the action's own code, 2 after bad input, 130 after an interruption, 143 after SIGTERM,
        129 after SIGHUP, 141 when the reader of the output went away.
    """
    words = sys.argv[1:] if argv is None else argv
    return end_well(lambda: _dispatch(tool, doc, action, keys, words))


def end_well(act: Callable[[], int | None]) -> int:
    """Do something; whatever ends it is at most one line, and an exit code as :func:`main` has."""
    try:
        with ending_on_request():
            code = act() or 0
            sys.stdout.flush()
        return code
    except FewshotError as error:
        return say_error(error)
    except KeyboardInterrupt:
        return _say_end(farewell(signal.SIGINT), exit_code(signal.SIGINT))
    except Preempted as request:
        return _say_end(farewell(request.number), exit_code(request.number))
    except BrokenPipeError:
        _silence()
        return BROKEN_PIPE
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        # Where files are written this is caught with the name of the file; a log may lie there too.
        _silence()
        return _say_end(
            f"error: nothing more can be written | found: {error.strerror} | to fix: free "
            "space; the same command resumes where it stopped",
            BAD_INPUT,
        )


def say_error(error: FewshotError) -> int:
    """Say what was wrong, in a line; returns the exit code."""
    return _say_end(f"error: {error}", BAD_INPUT, isinstance(error, LaunchError))


def _dispatch(
    tool: str,
    doc: str | None,
    action: Action,
    keys: Mapping[str, Any] | None,
    argv: Sequence[str],
) -> int:
    about_recipes = keys is None or "recipe" in keys
    parser = _parser(tool, doc, takes_settings=keys is None, about_recipes=about_recipes)
    flags, words = parser.parse_known_args(list(argv))
    if flags.help:
        show(_help(parser, tool, keys, words))
    elif about_recipes and flags.list_recipes:
        show(_recipe_list())
    elif keys is None and flags.list_strategies:
        show(align((entry.name, entry.about) for entry in plugins("strategy").values()))
    elif about_recipes and flags.print_recipe:
        show(recipe_yaml(_recipe_to_print(keys, words)))
    else:
        return action(words) or 0
    return 0


def _recipe_to_print(keys: Mapping[str, Any] | None, words: Sequence[str]) -> Recipe:
    """The recipe that the words make, or the one of the run that they name."""
    if keys is None:
        pairs, problems = split_words(words)
        only_run = not problems and [key for key, _ in pairs] == ["run"]
        return _recipe_of_run(plain_path(*pairs[0])) if only_run else load_recipe(words).recipe
    # What else the tool requires is not needed to print a recipe.
    options = parse_words(words, {**dict.fromkeys(keys, ""), "run": Path | None, "recipe": ""})
    if options["run"] is not None:
        return _recipe_of_run(options["run"])
    if not options["recipe"]:
        raise RecipeError("which recipe?", allowed="run=DIR, or recipe=NAME")
    return load_recipe([f"recipe={options['recipe']}"]).recipe


def _recipe_of_run(run: Path) -> Recipe:
    return recipe_from_file(require_run(run))


def _parser(
    tool: str, doc: str | None, *, takes_settings: bool, about_recipes: bool
) -> argparse.ArgumentParser:
    words = "recipe=NAME [run=DIR] [key=value ...]" if takes_settings else "key=value ..."
    parser = argparse.ArgumentParser(
        prog=f"fewshot {tool}",
        usage=f"fewshot {tool} {words}",
        description=(doc or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,  # every process of a launch would print it
        allow_abbrev=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this text")
    if about_recipes:
        parser.add_argument("--list-recipes", action="store_true", help="list the recipes")
        parser.add_argument(
            "--print-recipe",
            action="store_true",
            help="print every setting of recipe=NAME, or of the run=DIR, as YAML",
        )
    if takes_settings:
        parser.add_argument("--list-strategies", action="store_true", help="list the strategies")
    return parser


def _help(
    parser: argparse.ArgumentParser,
    tool: str,
    keys: Mapping[str, Any] | None,
    words: Sequence[str],
) -> str:
    head = parser.format_help()
    if keys is not None:
        return f"{head}\nsettings (key=value):\n{words_help(keys)}\n"
    # Loading a recipe imports its task; the plain help must not take that time.
    recipe = load_recipe(words).recipe if words else Recipe()
    return f"{head}\n{_examples(tool)}\nsettings (key=value):\n{settings_help(recipe)}\n"


def _examples(tool: str) -> str:
    name = next((name for name, _ in list_recipes()), "NAME")
    command = f"fewshot {tool}"
    lines = [
        "examples:",
        f"  {command} --list-recipes",
        *([f"  {command} --list-strategies"] if tool == "search" else []),
        f"  {command} --print-recipe recipe={name}",
        f"  {command} --help recipe={name}",
        f"  {command} recipe={name}",
        f"  {command} recipe={name} supernet.epochs=5 strategy=random",
        f"  accelerate launch -m fewshot_core.{tool} recipe={name}",
    ]
    return "\n".join(lines) + "\n"


def _recipe_list() -> str:
    recipes = list_recipes()
    if not recipes:
        return "no recipes were found\n"
    return align(recipes)


def align(pairs: Iterable[tuple[str, str]]) -> str:
    """A line for each name and what it is."""
    lines = list(pairs)
    width = max(len(name) for name, _ in lines)
    return "".join(f"{name:<{width}}  {text}".rstrip() + "\n" for name, text in lines)


def show(text: str) -> None:
    """Print a text that was asked for, on one process of a launch."""
    if is_main_process():
        sys.stdout.write(text)


def _say_end(line: str, code: int, lonely: bool = False) -> int:
    """Say how the tool has ended, where somebody reads it; a lonely process is no part of many."""
    try:
        sys.stdout.flush()
    except OSError:  # the interpreter would try again at its end, and complain
        _silence()
    _report(line, code)
    if lonely or is_main_process():
        with suppress(OSError):  # the code says enough where the log cannot be written
            sys.stderr.write(line + "\n")
    return code


def _report(line: str, code: int) -> None:
    """Hand the line to ``torchrun``, which ends with a table of what its processes have said.

    The form is that of ``torch.distributed.elastic.multiprocessing.errors``.
    """
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path:
        extra = {"py_callstack": line, "timestamp": str(int(time.time()))}
        message = {"message": line, "errorCode": code, "extraInfo": extra}
        with suppress(OSError):
            Path(path).write_text(json.dumps({"message": message}), encoding="utf-8")


def _silence() -> None:
    # The interpreter flushes standard output once more at its end, into the same broken pipe.
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # standard output is not a file, as in a test
        return
