"""What launchers, clusters and other programs leave in the environment."""

from __future__ import annotations

import pytest

from fewshot_core.runs.launch import LaunchError, settle_launch, world_size

MEETING = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
LAUNCHED = MEETING | {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
MPI = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
SLURM = {"SLURM_NTASKS": "4", "SLURM_PROCID": "2"}


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ({}, {}),
        (LAUNCHED, LAUNCHED),
        ({"WORLD_SIZE": "1", "RANK": "0"}, {}),  # a pod of one process
        ({"LOCAL_RANK": "0"}, {}),  # Accelerate would wait for a group on a GPU
        (MEETING, MEETING),
        (MPI, {}),
        (MPI | MEETING, MEETING),  # a cluster's script exports where to meet
        (SLURM, SLURM),
    ],
)
def test_what_a_process_keeps(found: dict[str, str], left: dict[str, str]) -> None:
    variables = dict(found)
    settle_launch(variables)
    assert variables == left


def test_mpirun_of_accelerate_is_a_launcher() -> None:
    variables = {**MPI, **MEETING, "ACCELERATE_MIXED_PRECISION": "no"}
    settle_launch(variables)
    assert world_size(variables) == 4
    given = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    assert variables == {**MEETING, **given, "ACCELERATE_MIXED_PRECISION": "no"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 without RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"RANK": "1"}, "RANK=1 without LOCAL_RANK, WORLD_SIZE"),
        ({"LOCAL_RANK": "1", **MEETING}, "unset LOCAL_RANK MASTER_ADDR MASTER_PORT"),
        ({**LAUNCHED, "MASTER_PORT": ""}, "without MASTER_PORT"),
        ({**LAUNCHED, "RANK": "2"}, r"impossible launch.*RANK=2"),
        ({**LAUNCHED, "RANK": "-1"}, "impossible launch"),
        ({**LAUNCHED, "RANK": "0"}, r"impossible launch.*LOCAL_RANK=1"),
        ({**LAUNCHED, "WORLD_SIZE": "0"}, "impossible launch"),
        ({**LAUNCHED, "LOCAL_WORLD_SIZE": "3"}, "impossible launch"),
        ({"WORLD_SIZE": "two"}, r"WORLD_SIZE is no whole number.*found: two.*unset WORLD_SIZE"),
    ],
)
def test_what_no_launcher_has_started_is_refused(found: dict[str, str], said: str) -> None:
    with pytest.raises(LaunchError, match=said):
        settle_launch(dict(found))
