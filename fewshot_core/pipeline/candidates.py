"""Candidates of an audit: networks of about equal cost, of the search and drawn at random."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fewshot_core.pipeline.kept_scores import score_and_keep
from fewshot_core.pipeline.run import FRONT_COST, Run
from fewshot_core.pipeline.scoring import make_agreed, searchable
from fewshot_core.search.trial import Trial, best_trial, full
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.equal_cost import near_cost

COST = FRONT_COST
"""The cost that is about equal: the one that users limit most."""

CHOICE = 3
"""Candidates for each network that is trained, so that scores can differ between those taken."""

DRAWS = 20_000
"""Architectures looked at for their cost; a space that has no more is looked at as a whole."""


@dataclass(frozen=True)
class Candidate:
    """An architecture that may be trained.

    Attributes:
        architecture: The architecture.
        costs: Its figures, as of :meth:`fewshot_core.costs.table.CostTable.costs`.
        score: Higher is better; nan before the evaluator was asked for it.
        trial: The trial of the search that met it; None where it was drawn for the audit.
    """

    architecture: Architecture
    costs: Mapping[str, float]
    score: float = math.nan
    trial: int | None = None


def about_equal(run: Run, done: list[Trial], found: Architecture) -> list[Candidate]:
    """Distinct connected networks that cost about as much as the one found.

    Those of the search come first, the best-scored before all; the drawn ones have no score yet.
    """
    space, networks = run.root.space, run.recipe.audit.networks
    best = best_trial(done, cost=run.price)
    middle = run.costs.costs(found)[COST]
    pool: dict[Architecture, Candidate] = {}
    for trial in [best, *full(done)]:
        architecture = trial.architecture
        if math.isfinite(trial.score) and space.connected(architecture) is not None:
            costs = run.costs.costs(architecture)
            candidate = Candidate(architecture, costs, trial.score, trial.number)
            pool.setdefault(space.canonical(architecture), candidate)
    met = len(pool)
    # Only costs are needed to look for the nearest, and they are looked up, not measured.
    near = sorted(_draw(run), key=lambda candidate: abs(candidate.costs[COST] - middle))
    for candidate in near:
        if len(pool) >= met + _further(run):
            break
        pool.setdefault(space.canonical(candidate.architecture), candidate)
    every = list(pool.values())
    prices = [candidate.costs[COST] for candidate in every]
    return [every[i] for i in near_cost(prices, middle, CHOICE * networks, networks)]


def _further(run: Run) -> int:
    """How many architectures are scored for the audit alone."""
    # Scores by standalone training cost a training each, more than the audit itself.
    return 0 if run.evaluator.trains else run.recipe.audit.candidates


def _draw(run: Run) -> Iterator[Candidate]:
    """Random feasible connected architectures, in the same order on every process."""
    if not _further(run):
        return
    rng = random.Random(derive_seed(run.recipe.seed, "audit"))
    region = run.root
    if region.box_size() <= DRAWS:
        architectures = list(region.enumerate())
        rng.shuffle(architectures)
    else:
        architectures = [region.sample(rng) for _ in range(DRAWS)]
    accepts = searchable(run)
    for architecture in architectures:
        if accepts(architecture) and region.space.connected(architecture) is not None:
            yield Candidate(architecture, run.costs.costs(architecture))


def score_candidates(run: Run, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with their scores, without those whose score is no number.

    Such a score has no rank, and no search would choose it either. Scores that a killed run has
    kept are read from ``audit-scores.csv``.
    """
    asked = [c.architecture for c in candidates if c.trial is None]
    scores = _scores(run, asked) if asked else {}
    both = [replace(c, score=scores.get(c.architecture, c.score)) for c in candidates]
    return [candidate for candidate in both if math.isfinite(candidate.score)]


def _scores(run: Run, architectures: Sequence[Architecture]) -> dict[Architecture, float]:
    return score_and_keep(
        run, lambda: make_agreed(run), architectures, "audit-scores.csv", "audit, scores"
    )
