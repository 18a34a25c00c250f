"""The search loop: ask, check the constraint, score, tell."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from fewshot_core.errors import ConstraintError, RunFolderError
from fewshot_core.evaluators import Evaluator
from fewshot_core.region import ENUMERABLE, Region
from fewshot_core.seeds import derive_seed
from fewshot_core.space import Architecture
from fewshot_core.strategies import Accepts, SamplerFactory, distributions

PROPOSALS = 20
"""Infeasible proposals in a row before a feasible architecture is drawn at random instead."""

DRAWS = 100_000
"""Random architectures looked at before a constraint counts as unreachable in a large space."""


@dataclass(frozen=True)
class Trial:
    """One scored architecture."""

    number: int
    architecture: Architecture
    score: float
    metrics: Mapping[str, float]


def open_study(storage: str, name: str) -> optuna.Study:
    """Open or create the study that keeps the trials.

    Raises:
        RunFolderError: The database cannot be opened or read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, load_if_exists=True, direction="maximize"
        )
        study.get_trials(deepcopy=False)  # a damaged database may open and then fail to be read
        return study
    except Exception as error:  # every database driver has exceptions of its own
        raise RunFolderError(
            f"the study at {storage} cannot be opened",
            found=str(error).splitlines()[0][:120],
            fix="check search.storage, or delete a damaged study.db to search again",
        ) from None


def trials(study: optuna.Study, region: Region) -> list[Trial]:
    """The completed trials in the order of completion."""
    return [
        Trial(
            number,
            region.space.architecture(t.params),
            float(t.value if t.value is not None else "nan"),
            t.user_attrs.get("metrics", {}),
        )
        for number, t in enumerate(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    ]


def run_search(
    study: optuna.Study,
    region: Region,
    make_sampler: SamplerFactory,
    evaluator: Evaluator,
    accepts: Accepts,
    *,
    count: int,
    seed: int,
    on_trial: Callable[[int, float], None] = lambda done, best: None,
) -> list[Trial]:
    """Run until the study holds ``count`` completed trials.

    A trial that was running when the process died is marked as failed and asked again: the sampler
    of a trial is seeded by the number of completed ones, so the same architecture comes back.

    Raises:
        ConstraintError: No architecture satisfies the constraint.
    """
    for stale in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(stale.number, state=TrialState.FAIL)
    done = trials(study, region)
    known = {trial.architecture.id: trial for trial in done}
    best = max((trial.score for trial in done), default=float("-inf"))
    on_trial(len(done), best)
    while len(done) < count:
        handle, architecture = _ask(study, region, make_sampler, accepts, seed, len(done))
        if architecture.id in known:
            metrics, score = known[architecture.id].metrics, known[architecture.id].score
        else:
            metrics = evaluator.evaluate(architecture)
            # The study takes no NaN: it would drop the trial, and max() might return it.
            score = float("-inf") if math.isnan(metrics["score"]) else metrics["score"]
        handle.set_user_attr("metrics", dict(metrics))
        study.tell(handle, score)
        done.append(Trial(len(done), architecture, score, metrics))
        known.setdefault(architecture.id, done[-1])
        best = max(best, score)
        on_trial(len(done), best)
    return done


def _ask(
    study: optuna.Study,
    region: Region,
    make_sampler: SamplerFactory,
    accepts: Accepts,
    seed: int,
    completed: int,
) -> tuple[optuna.Trial, Architecture]:
    for attempt in range(PROPOSALS):
        study.sampler = make_sampler(derive_seed(seed, "ask", completed, attempt))
        handle, architecture = _take(study, region)
        # Samplers know options but no bands, so they may leave the region.
        if region.contains(architecture) and accepts(architecture):
            return handle, architecture
        study.tell(handle, state=TrialState.FAIL)
    rng = random.Random(derive_seed(seed, "feasible", completed))
    study.enqueue_trial(region.space.choices(sample_feasible(region, accepts, rng)))
    return _take(study, region)


def _take(study: optuna.Study, region: Region) -> tuple[optuna.Trial, Architecture]:
    handle = study.ask(distributions(region))
    return handle, region.space.architecture(handle.params)


def sample_feasible(region: Region, accepts: Accepts, rng: random.Random) -> Architecture:
    """A random architecture of the region that satisfies the constraint.

    Uniform among them where the region can be enumerated or rejection succeeds.

    Raises:
        ConstraintError: There is none, or none was found.
    """
    for _ in range(1000 if region.box_size() <= ENUMERABLE else DRAWS):
        architecture = region.sample(rng)
        if accepts(architecture):
            return architecture
    if region.box_size() <= ENUMERABLE:
        members = [a for a in region.enumerate() if accepts(a)]
        if members:
            return rng.choice(members)
    raise ConstraintError("no architecture satisfies the constraint", fix="raise constraint.*")


def best_trial(done: list[Trial]) -> Trial:
    """The trial with the highest score, the earliest among equals."""
    return max(done, key=lambda trial: (trial.score, -trial.number))
