"""The wheel alone, in an environment of its own, far from the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.shared import once
from tests.tools.conftest import finished
from tests.tools.process import words_of
from tests.tools.tiny import TINY

__all__ = ["finished"]  # the same run as the tests of the tools

pytest.importorskip("build", reason="the package build is not installed")

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "setuptools"
]
PLACES: dict[str, str] = SETUPTOOLS["package-dir"]
"""The folder of every top-level package, by the name that it is installed under."""


def build(folder: Path) -> None:
    """A source distribution, the wheel that is made from it, and in `direct` the checkout's."""
    source = folder / "source"
    # All that a clone has, so that what must not be installed is there to be left out.
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
    shutil.copytree(ROOT, source, ignore=skipped)
    make(folder, source)
    make(folder / "direct", source, "--wheel")
    shutil.rmtree(source)


def make(out: Path, source: Path, *options: str) -> None:
    """Build from a folder of sources, with the setuptools that is here: nothing is downloaded."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", out, source],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "built", build)


def contents(wheel: Path) -> dict[str, bytes]:
    """What is in a wheel, by name; a generator's version and checksums are no contents."""
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if not name.endswith("RECORD")}


def test_the_wheel_has_what_is_needed_and_no_more(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    found = {name for name in contents(wheel) if ".dist-info/" not in name}
    kept = ("*.py", "*.yaml", "*.css", "*.js", "py.typed")
    wanted = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for package, folder in PLACES.items()
        for pattern in kept
        for path in (ROOT / folder).rglob(pattern)
    }
    assert found == wanted
    assert {"fewshot/py.typed", "fewshot_core/py.typed", "fewshot_recipes/digits.yaml"} <= found
    assert any(name.endswith("licenses/LICENSE") for name in contents(wheel))


def test_the_source_distribution_makes_the_same_wheel(built: Path) -> None:
    [wheel], [direct] = built.glob("*.whl"), (built / "direct").glob("*.whl")
    assert wheel.name == direct.name
    assert contents(wheel) == contents(direct)


def test_the_source_distribution_has_no_more_than_it_needs(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2].partition("/")[0] for name in file.getnames()} - {""}
    metadata = {"PKG-INFO", "setup.cfg", "MANIFEST.in", "fewshot_nas.egg-info"}
    assert names - metadata == {"pyproject.toml", "README.md", "LICENSE", *PLACES.values()}


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and somebody's project to work in."""

    bin: Path
    project: Path

    def run(self, *command: str, code: int = 0) -> str:
        """What a command says in the project, which has folders named like ours."""
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.project,
            env={
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "HOME": str(self.project),
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout


def install(wheel: Path, folder: Path) -> Installed:
    """The wheel in a new environment; what it depends on is found in that of the tests."""
    venv.create(folder / "venv", with_pip=False)
    bin_folder = folder / "venv" / "bin"
    target = sysconfig.get_path("purelib", vars={"base": str(folder / "venv")})
    pip = [sys.executable, "-m", "pip", "--python", str(bin_folder / "python")]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    # Folders that a .pth names are searched, and their own .pth files are not read: so the
    # checkout, which the tests have installed in place, cannot be seen from there.
    others = "\n".join(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    (Path(target) / "dependencies.pth").write_text(others + "\n")
    project = folder / "project"
    for name, text in {
        "tasks/__init__.py": "raise RuntimeError('these are the tasks of another project')\n",
        "tasks/cifar10.py": "",
        "tools/search.py": "raise RuntimeError('this is the tool of another project')\n",
        "recipes/soup.yaml": "ingredients: [leek, potato]\n",
        "recipes/mine.yaml": "extends: digits\ndescription: of this project\nseed: 7\n",
        "recipes/darts.yaml": "extends: digits\ndescription: of this project, too\n",
    }.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Installed(bin_folder, project)


@pytest.fixture(scope="session")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    [wheel] = built.glob("*.whl")
    return install(wheel, tmp_path_factory.mktemp("installed"))


def test_it_comes_from_the_wheel(installed: Installed) -> None:
    code = (
        "import fewshot_core, fewshot_tasks; print(fewshot_core.__file__, fewshot_tasks.__file__)"
    )
    core, tasks = installed.run("python", "-c", code).split()
    assert str(ROOT) not in core + tasks
    assert installed.run("fewshot", "--version").startswith("fewshot-nas ")


def test_recipes_of_a_project_and_of_the_installation(installed: Installed) -> None:
    lines = installed.run("fewshot", "search", "--list-recipes").splitlines()
    names = {line.split()[0] for line in lines}
    [shadow] = [line for line in lines if line.startswith("darts ")]
    assert shadow.endswith("of this project, too (recipes/darts.yaml, and not the one of fewshot)")
    assert sum("and not the one of fewshot" in line for line in lines) == 1
    assert {path.stem for path in (ROOT / "recipes").glob("*.yaml")} | {"mine"} == names
    refused = installed.run("fewshot", "search", "recipe=soup", code=2)
    assert refused.startswith("error: unknown recipe 'soup'")
    assert "seed: 7" in installed.run("fewshot", "search", "--print-recipe", "recipe=mine")


@pytest.mark.slow
def test_a_search_from_the_beginning_to_the_export(installed: Installed, finished: Path) -> None:
    """Begun by Accelerate's launcher, it finds what the checkout finds; the command goes on."""
    words = words_of(TINY, run="runs/a")
    launch = ["python", "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    plain = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    out = installed.run(*launch, *plain, "-m", "fewshot_core.search", *words)
    assert "run folder: runs/a" in out
    folder = installed.project / "runs/a"
    assert json.loads((folder / "environment.json").read_text())["commit"] is None
    for name in ("trials.csv", "audit.csv"):
        assert (folder / name).read_text() == (finished / name).read_text()
    before = (folder / "study.log").read_bytes()
    installed.run("fewshot", "search", *words)
    assert (folder / "study.log").read_bytes() == before
    installed.run("fewshot", "retrain", "run=runs/a")
    installed.run("fewshot", "export", "run=runs/a")
    assert (folder / "export" / "model.safetensors").is_file()
    assert (folder / "report.html").is_file()
    assert os.listdir(installed.project / "tools") == ["search.py"]
