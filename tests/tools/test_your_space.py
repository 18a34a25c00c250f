"""The package of docs/your_space.md, installed and used as the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .process import succeed

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "your_space.md"
SHORT = ["search.trials=6", "supernet.epochs=1", "regions.epochs=0.5"]


def write_files(folder: Path) -> list[str]:
    """Every file that the page shows; returns their names."""
    blocks = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    for name, content in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return [name for name, _ in blocks]


class Package:
    """The package in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"
        self.names = write_files(folder)
        install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        self._run([sys.executable, "-m", "pip", *install, "--target", str(self.site), "."], {})
        self.environ = {"PYTHONPATH": f"{self.site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}

    def _run(self, command: list[str], environ: dict[str, str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *words: str) -> str:
        return self._run([sys.executable, "-m", *words], self.environ)


def import_from(site: str) -> None:
    """In a tool's process: what PYTHONPATH does."""
    sys.path.insert(0, site)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return Package(tmp_path_factory.mktemp("your_space"))


def test_it_is_as_short_as_the_page_says(package: Package) -> None:
    text = (package.folder / "kernel_search" / "task.py").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 80
    assert set(package.names) >= {"kernel_search/network.py", "pyproject.toml", "test_kernels.py"}


def test_the_commands_of_the_page(package: Package) -> None:
    out = package.run("fewshot_core", "search", "recipe=kernels", *SHORT)
    assert "run folder: runs/kernels" in out
    assert "supernet kernel0=5: 81 architectures" in out
    for tool in ("retrain", "export"):
        site = (str(package.site),)
        succeed(tool, ["run=runs/kernels"], package.folder, prepare=import_from, arguments=site)
    export = package.folder / "runs" / "kernels" / "export"
    assert (export / "model.onnx").is_file()
    assert (export / "kernel_row.py").is_file()


def test_the_suite_of_the_page(package: Package) -> None:
    out = package.run("pytest", "-q", "-p", "no:cacheprovider", "test_kernels.py")
    assert " passed" in out
    assert "failed" not in out
