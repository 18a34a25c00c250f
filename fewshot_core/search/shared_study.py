"""One study in a database, and several launches that work on it at once.

A worker claims a trial before it scores it, and says in regular intervals that it lives. The trial
of one that has fallen silent is handed to another. What a worker had claimed when it was killed it
takes up again itself, so that a search with one worker ends as if nothing had happened.
"""

from __future__ import annotations

import inspect
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import optuna
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState, create_trial

from fewshot_core.search.study import distributions, report_unwritten, trials
from fewshot_core.search.trial import FULL, Proposal, Trial
from fewshot_core.spaces.region import Region

RETRIES = 3
"""How often a trial is handed on. One that has ended so many workers may be the reason."""

WORKER = "worker "
"""Before the name of each launch that has worked on a study, among the attributes of the study."""

WAIT_SECONDS = 0.5
"""How often a worker that has nothing to do looks for something."""


def make_shared_storage(url: str, silence: float) -> RDBStorage:
    """A database for several workers.

    Args:
        url: As SQLAlchemy takes it.
        silence: Seconds without a sign of life after which a worker counts as dead.
    """
    # The name of the argument has changed in Optuna 5.
    names = inspect.signature(RDBStorage.__init__).parameters
    callback = "heartbeat_stale_trial_callback"
    callback = callback if callback in names else "failed_trial_callback"
    grace = max(1, round(silence))
    sqlite = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    with _experimental():
        return RDBStorage(
            url,
            engine_kwargs={"pool_pre_ping": True, **sqlite},
            heartbeat_interval=max(1, grace // 4),
            grace_period=grace,
            **{callback: _hand_on},
        )


@contextmanager
def _experimental() -> Iterator[None]:
    """Inside, Optuna does not warn that its heartbeat is experimental, as it is since 2021."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _hand_on(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put a trial whose worker has died back; called by the one worker that has found out."""
    retry = int(trial.user_attrs.get("retry", 0)) + 1
    if trial.params and retry <= RETRIES:
        study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={"budget": trial.user_attrs.get("budget", FULL), "retry": retry},
            )
        )


Answer = TypeVar("Answer")


class SharedLedger:
    """What a search knows and does of a study that others work on, too.

    Args:
        study: In a :func:`make_shared_storage`.
        region: Where the search is.
        worker: Names this worker; the same one after a restart.
        silence: As for the storage.
    """

    def __init__(self, study: optuna.Study, region: Region, worker: str, silence: float) -> None:
        self._study, self._region = study, region
        self._worker, self._silence = worker, silence
        storage = study._storage
        # Optuna keeps finished trials in a cache before the database.
        self._storage: RDBStorage = getattr(storage, "_backend", storage)
        self._seen: set[int] = set()
        self._claimed: int | None = None
        with report_unwritten():
            study.set_user_attr(WORKER + worker, True)

    def news(self) -> list[Trial]:
        """The trials that have ended since the last call, but for those of :meth:`complete`."""
        with _experimental():
            fail_stale_trials(self._study)
        ended = self._trials_of(TrialState.COMPLETE, TrialState.PRUNED)
        fresh = [trial for trial in ended if trial._trial_id not in self._seen]
        self._seen |= {trial._trial_id for trial in fresh}
        return trials(self._study, self._region, fresh)

    def pending(self) -> list[float]:
        """The budgets of what is claimed or waits to be handed on."""
        return [float(trial.user_attrs.get("budget", FULL)) for trial in self._open()]

    def _open(self) -> list[FrozenTrial]:
        self._end_dead_claims()
        return self._trials_of(TrialState.RUNNING, TrialState.WAITING)

    def _end_dead_claims(self) -> None:
        """End claims that never got a sign of life: their worker died while it made them."""
        for trial in self._trials_of(TrialState.RUNNING):
            age = datetime.now() - (trial.datetime_start or datetime.now())
            # Clocks of machines differ; this is rare, so it may take its time.
            if not trial.user_attrs.get("alive") and age.total_seconds() > 4 * self._silence:
                with _ignore_lost_races():
                    self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                    _hand_on(self._study, trial)

    def wait(self) -> None:
        """Let others work."""
        time.sleep(WAIT_SECONDS)

    def has_own_work(self) -> bool:
        """Whether something is there that this worker should do although enough is claimed."""
        return any(
            trial.state == TrialState.WAITING or trial.user_attrs.get("worker") == self._worker
            for trial in self._open()
        )

    def claim(self, ask: Callable[[int, str | None], Proposal]) -> Proposal:
        """What to score next: what was left behind, or else what ``ask`` says.

        Args:
            ask: From the number of trials, and a name where several workers ask, to a proposal.

        Raises:
            RunFolderError: The study cannot be written to.
        """
        with report_unwritten():
            left = self._left_behind()
            if left is None:
                left = self._new(ask)
            self._claimed = left._trial_id
        budget = float(left.user_attrs.get("budget", FULL))
        return Proposal(self._region.space.architecture(left.params), budget)

    def _left_behind(self) -> FrozenTrial | None:
        open_trials = self._open()
        for trial in open_trials:
            if trial.state == TrialState.RUNNING and self._is_mine(trial):
                return trial
        for trial in open_trials:
            if trial.state == TrialState.WAITING:
                with _ignore_lost_races():
                    if self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                        self._sign(trial._trial_id)
                        return trial
        return None

    def _is_mine(self, trial: FrozenTrial) -> bool:
        return bool(trial.user_attrs.get("worker") == self._worker)

    def _new(self, ask: Callable[[int, str | None], Proposal]) -> FrozenTrial:
        before = self._trials_of(
            TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING
        )
        # Alone, the question depends on nothing but what is known, so that it can be repeated.
        others = any(
            trial.user_attrs.get("worker", self._worker) != self._worker for trial in before
        )
        proposal = ask(len(before), self._worker if others else None)
        template = create_trial(
            state=TrialState.RUNNING,
            params=self._region.space.choices(proposal.architecture),
            distributions=distributions(self._region),
            user_attrs={"budget": proposal.budget, "worker": self._worker},
        )
        template.datetime_start = datetime.now()
        trial_id = self._storage.create_new_trial(self._study._study_id, template)
        self._sign(trial_id)
        template._trial_id = trial_id
        return template

    def _sign(self, trial_id: int) -> None:
        self._storage.record_heartbeat(trial_id)
        self._storage.set_trial_user_attr(trial_id, "worker", self._worker)
        self._storage.set_trial_user_attr(trial_id, "alive", True)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Inside, the worker says that it lives."""
        trial_id, done = self._claimed, threading.Event()

        def live() -> None:
            while not done.wait(self._storage.heartbeat_interval):
                try:
                    self._storage.record_heartbeat(trial_id)
                except Exception:  # the network may be away; the search itself will find out
                    continue

        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def complete(self, trial: Trial, values: Sequence[float], began: datetime) -> None:
        """Write what a claimed trial has come to.

        Raises:
            RunFolderError: The study cannot be written to.
        """
        trial_id, whole = self._claimed, trial.budget == FULL
        assert trial_id is not None
        with report_unwritten(), _ignore_lost_races():
            self._storage.set_trial_user_attr(trial_id, "metrics", dict(trial.metrics))
            if not whole:
                step = round(100 * trial.budget)
                self._storage.set_trial_intermediate_value(trial_id, step, trial.score)
            state = TrialState.COMPLETE if whole else TrialState.PRUNED
            self._storage.set_trial_state_values(trial_id, state, list(values))
            self._seen.add(trial_id)
        self._claimed = None

    def all(self) -> list[Trial]:
        """Every trial, in the order in which they were claimed."""
        return trials(self._study, self._region)

    def _trials_of(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states)


@contextmanager
def _ignore_lost_races() -> Iterator[None]:
    """Inside, it does not matter that another worker was quicker."""
    try:
        yield
    except (optuna.exceptions.UpdateFinishedTrialError, RuntimeError):
        return


class FollowingLedger:
    """The ledger of a process that does not write: it learns everything from the one that does.

    Args:
        ledger: The ledger of the process that writes; None on the others.
        tell: Sends an object from that process to all; gets ``[object]``.
    """

    def __init__(self, ledger: SharedLedger | None, tell: Callable[[list[Any]], list[Any]]) -> None:
        self._ledger, self._tell = ledger, tell

    def _ask(self, question: Callable[[SharedLedger], Answer]) -> Answer:
        answer = None if self._ledger is None else question(self._ledger)
        told: Answer = self._tell([answer])[0]
        return told

    def news(self) -> list[Trial]:
        return list(self._ask(lambda ledger: ledger.news()))

    def pending(self) -> list[float]:
        return list(self._ask(lambda ledger: ledger.pending()))

    def has_own_work(self) -> bool:
        return self._ask(lambda ledger: ledger.has_own_work())

    def wait(self) -> None:
        self._ask(lambda ledger: ledger.wait())

    def claim(self, ask: Callable[[int, str | None], Proposal]) -> Proposal:
        return self._ask(lambda ledger: ledger.claim(ask))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        if self._ledger is None:
            yield
        else:
            with self._ledger.at_work():
                yield

    def complete(self, trial: Trial, values: Sequence[float], began: datetime) -> None:
        if self._ledger is not None:
            self._ledger.complete(trial, values, began)

    def all(self) -> list[Trial]:
        return list(self._ask(lambda ledger: ledger.all()))
