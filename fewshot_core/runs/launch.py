"""The processes that a launcher has started, as the environment describes them. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from fewshot_core.errors import FewshotError

GIVEN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""Numbers that every launcher of torch gives to its processes."""

MEETING = ("MASTER_ADDR", "MASTER_PORT")
"""Where its processes meet."""

MPI = ("PMI_", "PMIX_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_", "MPI_LOCAL")
"""What MPI and SLURM tell their processes. Accelerate would take them for a launch of its own."""

OF_MPI = {
    "RANK": ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"),
    "LOCAL_RANK": ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK"),
    "WORLD_SIZE": ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"),
    "LOCAL_WORLD_SIZE": (
        "MPI_LOCALNRANKS",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        "MV2_COMM_WORLD_LOCAL_SIZE",
    ),
}
"""The same numbers as MPI calls them."""


class LaunchError(FewshotError):
    """The environment describes processes that no launcher has started."""


def world_size(environ: Mapping[str, str] | None = None) -> int:
    """The number of processes of this launch."""
    return int((os.environ if environ is None else environ).get("WORLD_SIZE") or 1)


def local_world_size(environ: Mapping[str, str] | None = None) -> int:
    """How many of them are on this machine."""
    return int((os.environ if environ is None else environ).get("LOCAL_WORLD_SIZE") or 1)


def works_apart(processes: str) -> bool:
    """Whether each process of this launch trains supernets of its own.

    Args:
        processes: The setting of the recipe: ``data`` or ``regions``.
    """
    return processes == "regions" and world_size() > 1


def settle_launch(environ: MutableMapping[str, str] | None = None) -> None:
    """Find out whether a launcher has started this process, and leave no doubt about it.

    A single process loses the variables that Accelerate would take for those of a launcher. The
    numbers of MPI count where ``accelerate launch`` has called ``mpirun``, and not in any process
    that a cluster's shell has given them to.

    Raises:
        LaunchError: They contradict each other, or some are left over from another program.
    """
    variables = os.environ if environ is None else environ
    _take_from_mpi(variables)
    given = {name: _number(name, variables[name]) for name in GIVEN if variables.get(name)}
    rank, local = given.get("RANK", 0), given.get("LOCAL_RANK", 0)
    world = given.get("WORLD_SIZE", 1)
    here = given.get("LOCAL_WORLD_SIZE", world)
    known = [name for name in (*GIVEN, *MEETING) if variables.get(name)]
    missing = [name for name in (*GIVEN[:3], *MEETING) if not variables.get(name)]
    shown = " ".join(f"{name}={variables[name]}" for name in known)
    if missing and max(world, here, rank + 1, local + 1) > 1:
        raise LaunchError(
            "the environment speaks of several processes, and no launcher has started this one",
            found=f"{shown} without {', '.join(missing)}",
            fix=f"unset {' '.join(known)}, or start it with accelerate launch",
        )
    if not (0 <= rank < world and 0 <= local < here <= world and local <= rank):
        raise LaunchError(
            "the environment describes an impossible launch",
            found=shown,
            fix=f"unset {' '.join(known)}, or start it with accelerate launch",
        )
    for name in list(variables):
        if name.startswith(MPI) or (missing and name in GIVEN):
            del variables[name]


def _take_from_mpi(variables: MutableMapping[str, str]) -> None:
    launched = "ACCELERATE_MIXED_PRECISION" in variables and all(map(variables.get, MEETING))
    if not launched or any(map(variables.get, GIVEN)):
        return
    for name, names in OF_MPI.items():
        found = next((variables[other] for other in names if variables.get(other)), None)
        if found is not None:
            variables[name] = found


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise LaunchError(
            f"{name} is no whole number",
            found=text,
            fix=f"unset {name}, or start it with accelerate launch",
        ) from None
