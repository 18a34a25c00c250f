"""The plug-ins of docs/plugins.md, written to files, tested and named as the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.process import succeed

from .pages import DOCS, commands

PAGE = DOCS / "plugins.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = PAGE.read_text(encoding="utf-8")
    for name, content in re.findall(r"^```python (\S+)\n(.*?)^```$", text, re.M | re.S):
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def run(folder: Path, *words: str) -> str:
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def import_from(folder: str) -> None:
    """In a tool's process: what PYTHONPATH does."""
    sys.path.insert(0, folder)


def test_the_suites_pass(folder: Path) -> None:
    said = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_climbing.py")
    assert int(re.findall(r"(\d+) passed", said)[0]) > 12


def test_the_commands_choose_them(folder: Path) -> None:
    shown = []
    for name, words in commands(PAGE):
        asked = [*words, "--print-recipe"]
        done = succeed(name, asked, folder, prepare=import_from, arguments=(str(folder),))
        shown.append(done.out)
    assert "explore: 0.1" in shown[0]
    assert "by: climbing:Halves" in shown[1]
