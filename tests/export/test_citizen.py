"""Exported networks can do what timm models can, where this project is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.export import citizen
from tests.export.folders import KINDS, write, write_expected

NAMES = [citizen.name_of(check) for check in citizen.CHECKS]
CASES = [("import", name) for name in NAMES] + [("runpy", name) for name in citizen.BY_PATH]
TIMEOUT = 1000


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each check of each kind says; all kinds are loaded in one process."""
    root = tmp_path_factory.mktemp("100% of #1 [größe]?")
    for seed, (name, kind) in enumerate(KINDS.items()):
        folder = root / "exports" / name
        write_expected(kind, folder, write(kind, folder, seed))
    (root / "elsewhere").mkdir()
    found = {}
    for how in ("import", "runpy"):
        done = subprocess.run(
            [sys.executable, "-I", citizen.__file__, how, str(root / "exports")],
            cwd=root / "elsewhere",
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found[how] = json.loads(done.stdout.splitlines()[-1])
        assert set(found[how]) == set(KINDS)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("how", "check"), CASES)
def test_a_good_citizen(found: dict[str, Any], kind: str, how: str, check: str) -> None:
    wrong = found[how][kind][check]
    assert wrong is None, wrong
