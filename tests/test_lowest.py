"""The lower bounds that CI installs are those of pyproject.toml."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / ".ci" / "lowest.py"


def test_every_dependency_is_held_at_its_bound() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *sum(project["optional-dependencies"].values(), [])}  # noqa: RUF017
    expected = {line.replace("[binary]", "").replace(">=", "==") for line in declared}
    assert set(done.stdout.split()) == expected


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["torch"], "no lower bound in 'torch'"),
        (["torch<3"], "no lower bound in 'torch<3'"),
        (["torch>=2.5", "torch>=2.6"], "two lower bounds of torch: 2.5 and 2.6"),
    ],
)
def test_a_dependency_without_one_bound_is_an_error(lines: list[str], message: str) -> None:
    project = {"dependencies": lines, "optional-dependencies": {}}
    with pytest.raises(ValueError, match=message):
        runpy.run_path(str(SCRIPT))["lowest"]({"project": project})
