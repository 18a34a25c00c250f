"""The study: an Optuna study that keeps the trials, in a file or a database.

A trial enters it when it is complete, in one write. So whatever moment the process dies at, the
study holds whole trials and nothing else, and a trial costs one flush to disk: the run folder's
journal is a file of lines, each written, flushed and never changed (docs/results.md compares it
with SQLite).
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from fewshot_core.errors import RunFolderError
from fewshot_core.search.trial import FULL, Proposal, Trial
from fewshot_core.spaces.region import Region

OPENINGS = 4
"""How often a database is tried before its error counts."""

Opened = TypeVar("Opened")

RECORD = b'{"op_code":'
"""How every line of a journal begins."""


def open_study(
    place: str | Path | BaseStorage, name: str, directions: Sequence[str] = ("maximize",)
) -> optuna.Study:
    """Open or create the study that keeps the trials.

    Args:
        place: A database, by its URL or opened, or the path of a journal.
        name: Its name there.
        directions: Directions of a study that is created, one for each value of a trial.

    Raises:
        RunFolderError: It cannot be opened or read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with opening(place):
        return retry_opening(lambda: _open(place, name, directions), isinstance(place, Path))


def _open(place: str | Path | BaseStorage, name: str, directions: Sequence[str]) -> optuna.Study:
    storage = _storage(place)
    try:
        study = optuna.load_study(storage=storage, study_name=name)
    except KeyError:  # asked to create what exists, Optuna would add a line to a journal
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=list(directions),
            # Another launch may have been quicker; a journal has one writer.
            load_if_exists=not isinstance(place, Path),
        )
    study.get_trials(deepcopy=False)  # a damaged database may open and then fail to be read
    return study


def retry_opening(open_it: Callable[[], Opened], at_once: bool = False) -> Opened:
    """Open a database that other launches may be making at this moment.

    Two that make the same tables get in each other's way, with an error of their driver.
    """
    for attempt in range(0 if at_once else OPENINGS):
        try:
            return open_it()
        except Exception:
            time.sleep((attempt + 1) * random.uniform(0.1, 0.4))
    return open_it()


@contextmanager
def opening(place: str | Path | BaseStorage) -> Iterator[None]:
    """Turn a failure to open the study into one line."""
    # A URL may hold a password.
    shown = re.sub(r"//[^/@]*@", "//...@", str(place)) if isinstance(place, str | Path) else "a URL"
    try:
        yield
    except Exception as error:  # every database driver has exceptions of its own
        raise RunFolderError(
            f"the study at {shown} cannot be opened",
            found=(str(error) or repr(error)).splitlines()[0][:120],
            fix=f"delete {place} to search again; everything else is kept"
            if isinstance(place, Path)
            else "check search.storage",
        ) from None


def _storage(place: str | Path | BaseStorage) -> str | BaseStorage:
    if not isinstance(place, Path):
        return place
    _mend(place)
    return JournalStorage(JournalFileBackend(str(place), lock_obj=_Unlocked(str(place))))


class _Unlocked(JournalFileOpenLock):
    """The run folder has a lock, which ends with its process; a lock file would outlive a kill."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


def _mend(path: Path) -> None:
    """Drop a last line that a kill has cut short, for Optuna would write the next one behind it.

    Raises:
        ValueError: The file is no journal, or one that something else has damaged.
    """
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
        # Optuna itself overlooks a damaged last line, and stumbles when the next one is written.
        if not line.startswith(RECORD) or not isinstance(json.loads(line), dict):
            raise ValueError(f"line {number} is no record of a journal")
    rest = content[len(whole) :].rstrip(b"\0")  # zeros: space that was never written to
    if not (rest.startswith(RECORD) or RECORD.startswith(rest)):
        raise ValueError("its end is no record of a journal")
    if len(whole) < len(content):
        os.truncate(path, len(whole))


def distributions(region: Region) -> dict[str, BaseDistribution]:
    """The decisions of a region as Optuna distributions."""
    return {
        decision.name: CategoricalDistribution(options)
        for decision, options in zip(region.space.decisions, region.allowed, strict=True)
    }


def keep(
    study: optuna.Study,
    region: Region,
    trial: Trial,
    values: Sequence[float],
    began: datetime | None = None,
) -> None:
    """Write a trial to the study, once and whole.

    A trial with a smaller budget is stored as pruned, so that Optuna, too, counts it among the
    trials and never among the best.

    Raises:
        RunFolderError: The study cannot be written to.
    """
    whole = trial.budget == FULL
    frozen = create_trial(
        state=TrialState.COMPLETE if whole else TrialState.PRUNED,
        values=list(values),
        params=region.space.choices(trial.architecture),
        distributions=distributions(region),
        intermediate_values={} if whole else {round(100 * trial.budget): trial.score},
        user_attrs={"metrics": dict(trial.metrics), "budget": trial.budget},
    )
    frozen.datetime_start = began or frozen.datetime_start
    with report_unwritten():
        study.add_trial(frozen)


@contextmanager
def report_unwritten() -> Iterator[None]:
    """Turn a failure to write to the study into one line."""
    try:
        yield
    except (OSError, optuna.exceptions.StorageInternalError) as error:
        raise RunFolderError(
            "a trial cannot be written to the study",
            found=(str(error) or repr(error)).splitlines()[0][:120],
            fix="free space, and run the same command again to go on",
        ) from None


class Ledger:
    """What a search knows and does of a study that it has to itself."""

    def __init__(self, study: optuna.Study, region: Region) -> None:
        self._study, self._region = study, region
        self._count: int | None = None

    def news(self) -> list[Trial]:
        """The trials that have ended since the last call, but for those of :meth:`complete`."""
        if self._count is not None:
            return []
        earlier = trials(self._study, self._region)
        self._count = len(earlier)
        return earlier

    def pending(self) -> list[float]:
        """The budgets of what others are scoring."""
        return []

    def has_own_work(self) -> bool:
        """Whether something is left to do although enough is claimed."""
        return False

    def wait(self) -> None:
        """Let others work."""

    def claim(self, ask: Callable[[int, str | None], Proposal]) -> Proposal:
        """What to score next, by the number of trials and the name of this worker among others."""
        return ask(self._count or 0, None)

    def at_work(self) -> AbstractContextManager[None]:
        """Around the scoring of what was claimed."""
        return nullcontext()

    def complete(self, trial: Trial, values: Sequence[float], began: datetime) -> None:
        """Write what the claimed trial has come to.

        Raises:
            RunFolderError: The study cannot be written to.
        """
        keep(self._study, self._region, trial, values, began)
        self._count = (self._count or 0) + 1

    def all(self) -> list[Trial]:
        """Every trial."""
        return trials(self._study, self._region)


def trials(
    study: optuna.Study, region: Region, among: Sequence[FrozenTrial] | None = None
) -> list[Trial]:
    """The trials of a study that have ended, in their order.

    Args:
        study: The study.
        region: Where its architectures are.
        among: These trials of it alone.

    Raises:
        ArchitectureError: The study is about another space.
    """
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    every = study.get_trials(deepcopy=False, states=states) if among is None else among
    return [
        Trial(
            number,
            region.space.architecture(frozen.params),
            float(frozen.values[0]) if frozen.values else float("nan"),
            frozen.user_attrs.get("metrics", {}),
            float(frozen.user_attrs["budget"]),
        )
        for number, frozen in enumerate(every)
    ]
