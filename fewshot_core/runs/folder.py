"""The run folder: everything a run leaves behind, and the only place it writes to.

    recipe.yaml          the resolved recipe            overrides.txt   what was typed
    environment.json     versions, machine, commit      regions.json    the partition
    splitting.json       whether the supernet is split  data.json       what the images are
    images.csv.gz        every image: class, part, digest
    inputs.json          what else was read, by digest
    survey.json          what a look at the images has found, and what was chosen for them
    costs.json           the cost table                 study.log       the search (Optuna)
    checkpoints/REGION/  one training each              trials.csv      the search, readable
    checkpoints/REGION/weights.json  what pretrained weights it began with
    found.json           the architecture found         audit.csv       scores against trainings
    pareto.json          what nothing cheaper beats     derived.json    what each region prefers
    ladder.csv           trainings that chose           ladder.json     what its rungs came to
    retrain/ID-SEED/     one training each              retrain.json    their test accuracy
    retrain/ID-SEED/predictions.json  test images by class, and those it is most wrong about
    classes.json         images by class and part, with a few of each
    reused.json          whose supernets these are, where another run has trained them
    audit-scores.csv     scores for the audit alone     audit.json      what the audit shows
    scores/  ranking.json  pictures/  report.html  export/

Only the main process writes; with ``processes=regions`` each process the checkpoints of its own
regions. One launch uses a folder at a time: its main process holds a lock (``flock`` on ``.lock``),
which the system releases when that process ends, however it ends. On NFS the kernel turns it into a
byte-range lock that holds across machines.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, Protocol

from fewshot_core.errors import FewshotError, RunFolderError
from fewshot_core.recipe.changes import Change, change_of, differences, other_run
from fewshot_core.recipe.load import recipe_from_file, recipe_yaml
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.files import read_json, write_json, write_text
from fewshot_core.runs.launch import works_apart, world_size
from fewshot_core.runs.places import REUSED, require_run
from fewshot_core.runs.precision import USED
from fewshot_core.runs.threads import available_cores
from fewshot_core.runs.variables import record_variables
from fewshot_core.spaces.region import Region

CHECKPOINTS = "checkpoints"
"""The folder of the supernets' checkpoints."""

LOCK = ".lock"
"""The file that a launch at work in the folder holds locked."""

PACKAGES = ("torch", "torchvision", "timm", "accelerate", "optuna", "fvcore", "numpy")


class Named(Protocol):
    """What can be trained, with a name that no other has."""

    @property
    def id(self) -> str:
        """Letters, digits, dots and dashes."""


class FolderInUseError(RunFolderError):
    """Another launch is at work in the folder."""


class RunFolder:
    """A run folder.

    Args:
        path: The folder.
        writes: Whether this process writes the files of the run. Of a launch one process does.
        apart: Whether every process writes the checkpoints of its own trainings.
        source: The folder of the run whose supernets this one uses; None: its own.
    """

    def __init__(
        self, path: Path, writes: bool = True, apart: bool = False, source: Path | None = None
    ) -> None:
        self.path = path
        self.source = source
        self.writes = writes
        self.saves = writes or apart
        """Whether this process writes the checkpoints of trainings that it takes part in."""
        self._lock: IO[str] | None = None

    # -- opening -----------------------------------------------------------------------------

    def begin(
        self,
        recipe: Recipe,
        overrides: Sequence[str],
        precision: str,
        device: str = "cpu",
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        """Lock the folder for a new run, or for the same run to continue it.

        Args:
            recipe: The recipe of the run.
            overrides: The words that it was started with.
            precision: The precision that a new run is computed in.
            device: The device that a new run is computed on, as torch names it.
            prepare: Fetches what a new run needs from elsewhere, before it counts as begun.

        Raises:
            RunFolderError: It cannot be written to, belongs to another recipe or to something
                else, or is in use.
        """
        if not self.writes:
            return
        self._lock = take_lock(self.path)
        try:
            self.examine(recipe)
            if not self.file("recipe.yaml").exists():
                prepare()
        except FewshotError:
            self.close()
            raise
        if not self.file("recipe.yaml").exists():
            write_text(self.file("overrides.txt"), "\n".join(overrides) + "\n")
            machine = environment(device) | {"precision": precision}
            write_json(self.file("environment.json"), machine)
            write_text(self.file("recipe.yaml"), recipe_yaml(recipe))
        else:
            self.apply(recipe, overrides)

    def apply(self, recipe: Recipe, words: Sequence[str]) -> None:
        """Take over settings of ``recipe`` that differ from the run's, and note who changed them.

        Args:
            recipe: The run's own, but for settings that may change in a run
                (:mod:`fewshot_core.recipe.changes`).
            words: What was typed.
        """
        before = recipe_from_file(self.file("recipe.yaml"))
        changes = [one for one in differences(before, recipe, every=True) if _is_note(one)]
        if not changes or not self.writes:
            return
        path = self.file("overrides.txt")
        earlier = path.read_text(encoding="utf-8") if path.exists() else ""
        note = f"# {_now()}: {'; '.join(changes)}"
        write_text(path, "\n".join([*earlier.splitlines(), note, *words]) + "\n")
        write_text(self.file("recipe.yaml"), recipe_yaml(recipe))

    def examine(self, recipe: Recipe) -> None:
        """Raise unless the folder is free for a new run, or holds a run of this recipe.

        Nothing is written, so that this can be known before a run is worth a folder.

        Raises:
            RunFolderError: It is no folder, or belongs to another recipe or to something else.
        """
        path = self.path
        if not path.is_dir():
            above = next(p for p in (path, *path.absolute().parents) if p.exists())
            if not above.is_dir():
                raise RunFolderError(
                    f"the run folder {path} cannot be made",
                    found=f"{above} is a file",
                    fix="choose another run=DIR",
                )
        elif (path / "recipe.yaml").exists():
            self._require_same(recipe_from_file(path / "recipe.yaml"), recipe)
        else:
            foreign = [p.name for p in path.iterdir() if not p.name.startswith(".")]
            # A start that was killed may have left the files that come before the recipe; and
            # checkpoints of another run of the same supernets may have been copied here.
            if set(foreign) - {"overrides.txt", "environment.json", CHECKPOINTS, REUSED}:
                raise RunFolderError(
                    f"{path} is not a run folder",
                    found=", ".join(sorted(foreign)[:4]),
                    fix="choose an empty or new run=DIR",
                )

    def _require_same(self, before: Recipe, recipe: Recipe) -> None:
        keys = other_run(before, recipe)
        if not keys:
            return
        found = [line for line in differences(before, recipe) if line.partition(": ")[0] in keys]
        fix = "choose another run=DIR, or give the same settings to continue this one"
        if all(change_of(key, before) is Change.RETRAINING for key in keys):
            fix += f"; fewshot retrain run={self.path} takes them, for trainings beside"
        elif all(change_of(key, before) is not Change.SUPERNETS for key in keys):
            fix += f"; with from={self.path} run=NEW another run uses its supernets"
        raise RunFolderError(
            f"{self.path} is the run of another recipe",
            found="; ".join(found[:4]) + (" ..." if len(found) > 4 else ""),
            fix=fix,
        )

    @classmethod
    def attach(cls, path: Path, writes: bool = True) -> tuple[RunFolder, Recipe]:
        """Lock the folder of a run that exists; the folder, and the recipe of the run.

        Raises:
            RunFolderError: There is no run, or it is in use.
        """
        file = require_run(path)
        lock = take_lock(path) if writes else None
        recipe = recipe_from_file(file)  # of a folder that nobody changes meanwhile
        folder = cls(path, writes, works_apart(recipe.processes))
        folder._lock = lock
        return folder, recipe

    @staticmethod
    def precision(path: Path) -> str | None:
        """The precision that the run at ``path`` began with; none where there is no run.

        Raises:
            RunFolderError: The file that says so is damaged.
        """
        file = path / "environment.json"
        if not file.is_file():
            return None
        found = read_json(file, "delete it: precision=auto then looks at this machine again")
        kept = found.get("precision") if isinstance(found, dict) else None
        return kept if kept in USED else None

    def require_free(self) -> None:
        """Raise if a run is at work in the folder; nothing is made or kept.

        Raises:
            RunFolderError: It is in use.
        """
        if (self.path / LOCK).exists():
            take_lock(self.path).close()

    def close(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # -- places ------------------------------------------------------------------------------

    def file(self, *parts: str) -> Path:
        """A path inside the folder."""
        return self.path.joinpath(*parts)

    def known(self, name: str) -> Path:
        """A file that this run has, or else the run whose supernets it uses; it may be in none."""
        mine = self.file(name)
        return mine if self.source is None or mine.exists() else self.source / name

    def checkpoint(self, region: Region) -> StageCheckpoint:
        """The checkpoint of a region's supernet."""
        return StageCheckpoint(self.file(CHECKPOINTS, file_name(region.id)), self.saves)

    def training(self, *name: str) -> StageCheckpoint:
        """The checkpoint of a standalone training."""
        return StageCheckpoint(self.file(*name), self.saves)

    def retraining(
        self, trained: Named, seed: int, settings: Mapping[str, object] | None = None
    ) -> StageCheckpoint:
        """The checkpoint of a final training: one for each seed, whatever its labels.

        Args:
            trained: What is trained: an architecture, or a stock model.
            seed: Its seed.
            settings: Settings of its training that are not those of the run's recipe.
        """
        name = f"{trained.id}-{seed}"
        if settings:
            text = json.dumps(dict(sorted(settings.items())), ensure_ascii=False)
            name += f"-{hashlib.blake2b(text.encode(), digest_size=5).hexdigest()}"
        return self.training("retrain", name)


def in_use(path: Path) -> bool:
    """Whether a launch is at work in a folder.

    Raises:
        RunFolderError: It cannot be locked.
    """
    try:
        RunFolder(path, writes=False).require_free()
    except FolderInUseError:
        return True
    return False


def take_lock(path: Path) -> IO[str]:
    """Keep other launches out of a folder, until what is returned is closed.

    Raises:
        RunFolderError: One is at work in the folder, or it cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / LOCK).open("a+")
    except OSError as error:
        raise RunFolderError(
            f"the run folder {path} cannot be written to",
            found=error.strerror,
            fix="choose another run=DIR",
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        with lock:
            raise _refusal(path, error, lock) from None
    with suppress(OSError):  # a full disk; who holds the folder only helps the message
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()} since {_now()}")
        lock.flush()
    return lock


def _refusal(path: Path, error: OSError, lock: IO[str]) -> RunFolderError:
    if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
        return RunFolderError(
            f"the run folder {path} cannot be locked",
            found=error.strerror,
            fix="put it on storage with file locks (docs/clusters.md)",
        )
    lock.seek(0)
    return FolderInUseError(
        f"the run folder {path} is in use by another process",
        found=lock.read(200) or None,
        fix="wait for it, or choose another run=DIR",
    )


def _is_note(change: str) -> bool:
    """A description is no setting: it may be another in a later version of a recipe."""
    return not change.startswith("description:")


def file_name(text: str) -> str:
    """A file name for an id: readable, and shortened with a checksum where it is long."""
    safe = re.sub(r"[^A-Za-z0-9_.=+,-]", "_", text)
    if len(safe) <= 80:
        return safe
    return f"{safe[:64]}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


def environment(device: str = "cpu") -> dict[str, Any]:
    """What a figure depends on besides the recipe; ``device`` is where it was computed."""
    return {
        "date": _now(),
        "command": " ".join(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": available_cores(),
        **computing(device),
        "commit": _commit(),
    }


def computing(device: str = "cpu") -> dict[str, Any]:
    """That part of it which can change the bits of a result."""
    import torch

    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "packages": versions,
        "processor": processor_name(),
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "processes": world_size(),
        "threads": torch.get_num_threads(),
        "variables": record_variables(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def processor_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    match = re.search(r"model name\s*:\s*(.+)", text)
    return match[1] if match else platform.processor()


def _commit() -> str | None:
    """The commit of the checkout; None of an installation, wherever it lies."""
    if not (Path(__file__).parents[2] / "pyproject.toml").is_file():
        return None  # a repository around it is somebody else's
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
