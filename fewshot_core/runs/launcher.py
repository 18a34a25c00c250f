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
from dataclasses import dataclass
from pathlib import Path

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.yamltext import read_mapping
from fewshot_core.runs.farewell import exit_code
from fewshot_core.runs.launch import GIVEN, MEETING, LaunchError, world_size
from fewshot_core.runs.variables import (
    CONFIGURATION,
    ON_CPU,
    USED,
    asks_for_cpu,
    check_variables,
    read_told_precision,
)

WORD = "processes="
"""What asks for processes; with a word instead of a number it is the setting of a recipe."""

SEVERAL = "MULTI_"
"""How the kinds of configurations begin that start processes on this machine."""

LOCAL = "LOCAL_MACHINE"
"""What a configuration calls machines of the user's own; the others are started in a cloud."""

LOGGERS = (
    *("torch.distributed.elastic", "torch.distributed.run", "torch.distributed.launcher"),
    "accelerate.commands.launch",
)
"""Who reports in many lines what a process has said in one, or what nobody has asked."""

PASSED_ON = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
"""Signals that the launcher hands to its processes, unless they were ignored (``nohup``)."""


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
    if count is not None:
        return count
    configuration = read_configuration(variables)
    return 1 if configuration is None else configuration.several


@dataclass(frozen=True)
class Configuration:
    """What the user's configuration of Accelerate asks for.

    Attributes:
        path: The file.
        kind: Its ``distributed_type``.
        environment: Its ``compute_environment``.
        processes: How many processes on all machines together.
        machines: On how many machines.
        cpu: Whether no GPU is to be used.
        precision: Its ``mixed_precision``.
    """

    path: Path
    kind: str
    environment: str
    processes: int
    machines: int
    cpu: bool
    precision: str

    @property
    def several(self) -> int:
        """How many processes it starts by itself; 1 where it is about something else."""
        return self.processes if self.environment == LOCAL and self.kind.startswith(SEVERAL) else 1


def configuration_file(environ: Mapping[str, str]) -> Path:
    """The file that ``accelerate config`` writes, or the one that the environment names.

    It need not be there.
    """
    if environ.get(CONFIGURATION):
        return Path(environ[CONFIGURATION]).expanduser()
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    return Path(home).expanduser() / "accelerate" / "default_config.yaml"


def read_configuration(environ: Mapping[str, str]) -> Configuration | None:
    """The user's configuration of Accelerate; None where there is none.

    Raises:
        LaunchError: It cannot be read.
    """
    path = configuration_file(environ)
    if not path.is_file():
        if environ.get(CONFIGURATION):
            raise LaunchError(
                f"{CONFIGURATION} names no file", found=path, fix=f"unset {CONFIGURATION}"
            )
        return None
    try:
        found = read_mapping(path)
        return Configuration(
            path,
            kind=str(found.get("distributed_type", "NO")),
            environment=str(found.get("compute_environment", LOCAL)),
            processes=int(found.get("num_processes") or 1),
            machines=int(found.get("num_machines") or 1),
            cpu=found.get("use_cpu") is True,
            precision=str(found.get("mixed_precision") or "no").lower(),
        )
    except (RecipeError, ValueError, TypeError) as error:
        raise LaunchError(
            "the configuration of Accelerate cannot be read",
            found=f"{path}: {error}",
            fix="write it anew with accelerate config, or say processes=1",
        ) from None


def launcher_words(
    configuration: Configuration | None, count: int | None, told: str | None
) -> list[str]:
    """The options of ``accelerate launch``.

    Args:
        configuration: The user's.
        count: How many processes the words ask for, all on this machine; None: what the
            configuration asks for, which may be one machine of several.
        told: The precision that the environment asks for.

    Raises:
        LaunchError: The configuration is about something that cannot be had.
    """
    words = ["--multi_gpu"]  # on a machine without GPUs it starts processes all the same
    if configuration is None:
        # What a configuration would say has to be said, or there are warnings.
        words += ["--mixed_precision", told or "no", "--dynamo_backend", "no"]
    else:
        words += ["--config_file", str(configuration.path)]
        words += ["--mixed_precision", told] if told else []
        _require_usable(configuration, told)
    if count is not None:
        words += ["--num_processes", str(count), "--num_machines", "1"]
    if count is not None or configuration is None or configuration.machines == 1:
        words += ["--main_process_port", "0"]  # a free one; several machines have agreed on theirs
    return words


def _require_usable(configuration: Configuration, told: str | None) -> None:
    file = f"the configuration of Accelerate, {configuration.path},"
    if configuration.environment != LOCAL:
        raise LaunchError(
            f"{file} is for processes elsewhere",
            found=f"compute_environment: {configuration.environment}",
            allowed=LOCAL,
            fix=f"write it anew with accelerate config, or let {CONFIGURATION} name another",
        )
    if told is None and configuration.precision not in USED:
        raise LaunchError(
            f"{file} asks for a precision that cannot be used",
            found=f"mixed_precision: {configuration.precision}",
            allowed=", ".join(USED),
            fix="write it anew with accelerate config",
        )


def require_devices(count: int) -> None:
    """Raise where processes on GPUs would be more than there are GPUs.

    Raises:
        LaunchError: They would.
    """
    import torch

    here = torch.cuda.device_count()
    if 0 < here < count and not asks_for_cpu():
        raise LaunchError(
            f"{count} processes need {count} GPUs",
            found=f"{here} on this machine",
            fix=f"processes={here}, or {ON_CPU}=true in the environment to use no GPU",
        )


def launch(command: str, words: Sequence[str], count: int | None) -> int:
    """Start processes of a command and wait for them.

    Args:
        command: Its name.
        words: Its words.
        count: How many; None: as the configuration of Accelerate says.

    Returns:
        The exit code of the first process that did not end well, or 0.

    Raises:
        FewshotError: The environment, the configuration or the machine does not allow them.
    """
    check_variables(os.environ)
    configuration = read_configuration(os.environ)
    options = launcher_words(configuration, count, read_told_precision())
    if configuration is not None and configuration.cpu:
        os.environ.setdefault(ON_CPU, "true")  # which its launcher of several forgets
    # Each process would warn that networks use all of their parameters, which is as it should be.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    heard = [n for n in PASSED_ON if signal.getsignal(getattr(signal, n)) is not signal.SIG_IGN]
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    if count is None and configuration is not None:
        require_devices(configuration.processes // configuration.machines)
    elif count is not None:
        require_devices(count)
    arguments = launch_command_parser().parse_args(
        [*options, "--module", "fewshot_core", command, *words]
    )
    arguments.signals_to_handle = ",".join(heard)
    quiet_down()
    try:
        launch_command(arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        code = int(failure.exitcode)
        return exit_code(-code) if code < 0 else code
    except SignalException as error:  # the processes have said so
        return exit_code(signal.Signals(error.sigval))
    except (ValueError, OSError) as error:
        # Such as options of the configuration that contradict each other.
        raise LaunchError(
            "Accelerate's launcher cannot start the processes",
            found=error,
            fix="look at the configuration with accelerate env, or write it anew with "
            "accelerate config",
        ) from error
    return 0


def quiet_down() -> None:
    """Let the launcher's loggers say nothing: the processes have lines of their own."""
    import torch.distributed.run  # noqa: F401  (it makes most of them)

    for name in list(logging.root.manager.loggerDict):
        if name.startswith(LOGGERS):
            logging.getLogger(name).setLevel(logging.CRITICAL)
