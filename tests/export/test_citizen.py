"""Exported networks can do what timm models can, where this project is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.export import citizen
from tests.export.folders import KINDS, write, write_expected
from tests.shared import once

NAMES = [citizen.name_of(check) for check in citizen.CHECKS]
CASES = [("import", name) for name in NAMES] + [("runpy", name) for name in citizen.BY_PATH]
HOWS = ("import", "runpy")
TIMEOUT = 1000


def try_everything(root: Path) -> None:
    """``import.json`` and ``runpy.json``: what each check says of each kind, with one start."""
    for seed, (name, kind) in enumerate(KINDS.items()):
        folder = root / "exports" / name
        write_expected(kind, folder, write(kind, folder, seed))
    (root / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-I", citizen.__file__, *HOWS, str(root / "exports")],
        cwd=root / "elsewhere",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("{")]
    for how, line in zip(HOWS, said, strict=True):
        (root / f"{how}.json").write_text(line)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each check of each kind says."""
    root = once(tmp_path_factory, "100% of #1 [größe]?", try_everything)
    found = {how: json.loads((root / f"{how}.json").read_text()) for how in HOWS}
    assert all(set(kinds) == set(KINDS) for kinds in found.values())
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("how", "check"), CASES)
def test_a_good_citizen(found: dict[str, Any], kind: str, how: str, check: str) -> None:
    wrong = found[how][kind][check]
    assert wrong is None, wrong
