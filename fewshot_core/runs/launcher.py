"""How many processes a command is to have, and starting them. No torch until they are started.

``processes=4`` asks for so many, and so may the configuration that ``accelerate config`` has
written. Accelerate's own launcher starts them. What it prints about itself is left out: its
warnings about options that nobody gave, and the traceback that ends it when a process has said in
one line what was wrong.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.yamltext import read_mapping
from fewshot_core.runs.farewell import exit_code
from fewshot_core.runs.launch import GIVEN, MEETING, LaunchError, world_size

WORD = "processes="
"""What asks for processes; with a word instead of a number it is the setting of a recipe."""

SEVERAL = "MULTI_"
"""How the kinds of configurations begin that start processes on this machine."""

LOGGERS = ("torch.distributed.elastic", "torch.distributed.run", "torch.distributed.launcher")
"""Who reports in many lines what a process has said in one."""


def take_processes(words: Sequence[str]) -> tuple[list[str], int | None]:
    """The words without those that ask for a number of processes, and the number; the last counts.

    Raises:
        RecipeError: It is below 1.
    """
    left: list[str] = []
    count = None
    for word in words:
        text = word.removeprefix(WORD)
        if word.startswith(WORD) and text.lstrip("+-").isdigit():
            count = int(text)
        else:
            left.append(word)
    if count is not None and count < 1:
        raise RecipeError(
            f"processes={count} starts nothing",
            allowed="a whole number from 1, for so many processes; data or regions, for what "
            "several of them do",
        )
    return left, count


def choose_processes(
    count: int | None, many: bool, command: str, environ: Mapping[str, str] | None = None
) -> int:
    """How many processes are to be started; 1 where this one does the work itself.

    Args:
        count: What the words ask for.
        many: Whether the command can share its work.
        command: Its name.
        environ: The environment; by default that of this process.

    Raises:
        LaunchError: A launcher has started another number of processes than the words ask for.
        RecipeError: The command has no use for so many.
    """
    variables = os.environ if environ is None else environ
    if all(variables.get(name) for name in (*GIVEN[:3], *MEETING)):
        started = world_size(variables)
        if count not in (None, started):
            raise LaunchError(
                f"processes={count} is asked of a launch of {started}",
                fix=f"leave it out, or start fewshot {command} without a launcher",
            )
        return 1
    if not many:
        if count not in (None, 1):
            raise RecipeError(
                f"fewshot {command} uses one process",
                found=f"processes={count}",
                fix="leave it out",
            )
        return 1
    return read_configured(variables) if count is None else count


def configuration_file(environ: Mapping[str, str]) -> Path:
    """The file that ``accelerate config`` writes, wherever it is; it need not be there."""
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    return Path(home).expanduser() / "accelerate" / "default_config.yaml"


def read_configured(environ: Mapping[str, str]) -> int:
    """How many processes the user's configuration of Accelerate asks for on this machine; or 1.

    Raises:
        LaunchError: It cannot be read.
    """
    path = configuration_file(environ)
    if not path.is_file():
        return 1
    try:
        found = read_mapping(path)
        kind = str(found.get("distributed_type", "NO"))
        count = int(found.get("num_processes") or 1)
    except (RecipeError, ValueError, TypeError) as error:
        raise LaunchError(
            "the configuration of Accelerate cannot be read",
            found=f"{path}: {error}",
            fix="write it anew with accelerate config, or say processes=1",
        ) from None
    return count if kind.startswith(SEVERAL) else 1


def launch(command: str, words: Sequence[str], count: int) -> int:
    """Start processes of a command and wait for them.

    Args:
        command: Its name.
        words: Its words.
        count: How many.

    Returns:
        The exit code of the first process that did not end well, or 0.
    """
    # Each process would warn that networks use all of their parameters, which is as it should be.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    given = ["--multi_gpu", "--num_processes", str(count), "--main_process_port", "0"]
    if not configuration_file(os.environ).is_file():
        # What a configuration would say has to be said, or there are warnings.
        given += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    arguments = launch_command_parser().parse_args(
        [*given, "--module", "fewshot_core", command, *words]
    )
    quiet_down()
    try:
        launch_command(arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        code = int(failure.exitcode)
        return exit_code(-code) if code < 0 else code
    except SignalException as error:  # the processes have said so
        return exit_code(signal.Signals(error.sigval))
    return 0


def quiet_down() -> None:
    """Let the launcher's loggers say nothing: the processes have lines of their own."""
    import torch.distributed.run  # noqa: F401  (it makes most of them)

    for name in list(logging.root.manager.loggerDict):
        if name.startswith(LOGGERS):
            logging.getLogger(name).setLevel(logging.CRITICAL)
