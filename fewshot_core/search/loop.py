"""The search loop: ask, check the constraint, score, keep, tell."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

import optuna

from fewshot_core.costs.table import Constraint
from fewshot_core.errors import ConstraintError
from fewshot_core.evaluators.base import BudgetedEvaluator, Evaluator
from fewshot_core.search.shared_study import FollowingLedger, SharedLedger
from fewshot_core.search.strategies.base import Accepts, Strategy
from fewshot_core.search.study import Ledger, trials
from fewshot_core.search.trial import FULL, Proposal, Trial
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.extremes import descend
from fewshot_core.spaces.region import ENUMERABLE, Region
from fewshot_core.spaces.space import Architecture

PROPOSALS = 20
"""Infeasible proposals in a row before a feasible architecture is drawn at random instead."""

DRAWS = 100_000
"""Random architectures looked at before a constraint counts as unreachable in a large space."""

DESCENTS = 100
"""Random architectures that are changed towards a constraint before it counts as unreachable."""

Excess = Callable[[Architecture], float]
AnyLedger = Ledger | SharedLedger | FollowingLedger

ROUNDING = 1e-9
"""Three thirds of an evaluation are one."""


def run_search(
    study: optuna.Study,
    region: Region,
    strategy: Strategy,
    evaluator: Evaluator,
    accepts: Accepts,
    *,
    count: float,
    seed: int,
    on_trial: Callable[[float, float], None] = lambda spent, best: None,
    ledger: AnyLedger | None = None,
    on_result: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Run until trials worth ``count`` evaluations are in the study, one of them a whole one.

    A trial counts as what its evaluation costs: 1, or less where a part of the budget costs less.
    One that was scored before is not scored again, and counts all the same, so that a search ends
    after as many answers in a space of any size, and at once where everything is known.

    A search that was cut goes on as if it had not been: the strategy is told every trial of the
    study, and asked with a seed that depends on their number alone.

    Args:
        study: Keeps the trials; its directions are those of the strategy.
        region: Where to search.
        strategy: New; it is used for this search alone.
        evaluator: Scores architectures. One that takes no budgets is never given any.
        accepts: The constraint; an architecture that it refuses is never scored.
        count: In evaluations with the whole budget.
        seed: Seed of everything random in the search.
        on_trial: Is told what has been spent, and the best score with the whole budget.
        ledger: Who claims trials, where others work on the study, too.
        on_result: Is told every trial once, those of earlier launches first.

    Returns:
        All trials of the study.

    Raises:
        ConstraintError: No architecture satisfies the constraint.
        RunFolderError: The study cannot be written to.
    """
    # Where few are feasible, every one is looked at for every trial.
    excess = accepts.excess if isinstance(accepts, Constraint) else None
    accepts = lru_cache(maxsize=ENUMERABLE)(accepts)
    price = evaluator.price if isinstance(evaluator, BudgetedEvaluator) else lambda budget: FULL
    shared = ledger is not None
    ledger = ledger or Ledger(study, region)
    done: list[Trial] = []
    known: dict[tuple[Architecture, float], Trial] = {}
    spent, best, whole = 0.0, -math.inf, False

    def learn(trial: Trial) -> None:
        nonlocal spent, best, whole
        strategy.tell(trial)
        done.append(trial)
        known.setdefault((trial.architecture, trial.budget), trial)
        spent += price(trial.budget)
        if trial.budget == FULL:
            whole, best = True, max(best, trial.score)
        on_result(trial)

    def ask(completed: int, worker: str | None) -> Proposal:
        own = seed if worker is None else derive_seed(seed, worker)
        return _ask(region, strategy, accepts, excess, own, completed)

    while True:
        for trial in ledger.news():
            learn(replace(trial, number=len(done)))
        on_trial(spent, best)
        pending = ledger.pending()
        enough = spent + sum(map(price, pending)) >= count - ROUNDING
        if enough and (whole or FULL in pending) and not ledger.has_own_work():
            if not pending:
                return ledger.all() if shared else done
            ledger.wait()
            continue
        began = datetime.now()
        proposal = ledger.claim(ask)
        earlier = known.get((proposal.architecture, proposal.budget))
        with ledger.at_work():
            metrics = earlier.metrics if earlier else _measure(evaluator, proposal)
        score = earlier.score if earlier else _number(metrics["score"])
        trial = Trial(len(done), proposal.architecture, score, metrics, proposal.budget)
        ledger.complete(trial, strategy.values(trial), began)
        learn(trial)


def foresee(
    study: optuna.Study,
    region: Region,
    strategy: Strategy,
    accepts: Accepts,
    *,
    count: int,
    seed: int,
) -> list[Architecture]:
    """What :func:`run_search` will score, with a strategy that learns nothing."""
    excess = accepts.excess if isinstance(accepts, Constraint) else None
    accepts = lru_cache(maxsize=ENUMERABLE)(accepts)
    numbers = range(len(trials(study, region)), count)
    asked = (_ask(region, strategy, accepts, excess, seed, number) for number in numbers)
    return [proposal.architecture for proposal in asked]


def _measure(evaluator: Evaluator, proposal: Proposal) -> Mapping[str, float]:
    if isinstance(evaluator, BudgetedEvaluator):
        return dict(evaluator.evaluate(proposal.architecture, proposal.budget))
    assert proposal.budget == FULL, "a strategy was made for an evaluator that takes budgets"
    return dict(evaluator.evaluate(proposal.architecture))


def _number(score: float) -> float:
    # A study takes no NaN, and max() might return it: a collapsed network is the worst there is.
    return -math.inf if math.isnan(score) else score


def _ask(
    region: Region,
    strategy: Strategy,
    accepts: Accepts,
    excess: Excess | None,
    seed: int,
    completed: int,
) -> Proposal:
    for attempt in range(PROPOSALS):
        proposal = strategy.ask(derive_seed(seed, "ask", completed, attempt))
        # Optuna's samplers know options but no bands, so they may leave the region.
        if region.contains(proposal.architecture) and accepts(proposal.architecture):
            return proposal
    rng = random.Random(derive_seed(seed, "feasible", completed))
    return replace(proposal, architecture=sample_feasible(region, accepts, rng, excess))


def sample_feasible(
    region: Region, accepts: Accepts, rng: random.Random, excess: Excess | None = None
) -> Architecture:
    """A random architecture of the region that satisfies the constraint.

    Uniform among them where the region can be enumerated or rejection succeeds. In a large space
    with a tight constraint, a random architecture is changed until it satisfies it.

    Args:
        region: The region.
        accepts: The constraint.
        rng: Draws.
        excess: How far an architecture is from satisfying it; of a :class:`Constraint` its own.

    Raises:
        ConstraintError: There is none, or none was found.
    """
    if excess is None and isinstance(accepts, Constraint):
        excess = accepts.excess
    enumerable = region.box_size() <= ENUMERABLE
    for _ in range(1000 if enumerable or excess else DRAWS):
        architecture = region.sample(rng)
        if accepts(architecture):
            return architecture
    if enumerable:
        members = [a for a in region.enumerate() if accepts(a)]
        if members:
            return rng.choice(members)
    elif excess is not None:
        for _ in range(DESCENTS):
            architecture = descend(region, region.sample(rng), excess, rng)
            if accepts(architecture):
                return architecture
    raise ConstraintError("no architecture satisfies the constraint", fix="raise constraint.*")
