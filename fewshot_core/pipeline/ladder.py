"""Climb a ladder: the last choice belongs to trainings from scratch, not to scores."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fewshot_core.metrics import LOSS, Metric
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scoring import searchable
from fewshot_core.pipeline.standalone import train_standalone
from fewshot_core.runs.files import write_json
from fewshot_core.search.ladder import LEAST, LadderModel, Rung, join_results, plan_rungs
from fewshot_core.search.trial import Trial, full
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.loop import DivergedError
from fewshot_core.trust.correlation import kendall
from fewshot_core.trust.equal_cost import choose_spread
from fewshot_core.trust.scores import write_table

LADDER = "ladder.json"
TABLE = "ladder.csv"

DRAWS = 5_000
"""Random architectures among which a model looks for proposals."""

SCORED, DRAWN, CLIMBED, PROPOSED = "score", "random", "result", "model"
"""Why an architecture stands on a rung."""


@dataclass(frozen=True)
class Place:
    """An architecture on a rung.

    Attributes:
        architecture: What is trained.
        origin: Why.
        trial: The trial that scored it; None where none did.
    """

    architecture: Architecture
    origin: str
    trial: Trial | None = None


@dataclass(frozen=True)
class Result:
    """What a training on a rung gave; ``metrics`` are the task's."""

    place: Place
    metrics: Mapping[str, float]
    value: float


@dataclass(frozen=True)
class Climb:
    """What a ladder came to.

    Attributes:
        found: What is handed over: the best of the last rung.
        facts: What ``ladder.json`` holds.
    """

    found: Result
    facts: dict[str, Any]


def climb(run: Run, done: Sequence[Trial]) -> Climb | None:
    """Train the best-scored architectures from scratch, rung by rung.

    Results are what ``ladder.judge`` says, on all validation images. With ``ladder.prior`` cost and
    score count beside them. Of equal ones the cheaper network climbs. Every process of a run has to
    call it: all of them choose alike. What a killed run has trained is not trained again, and the
    result is the same to the last bit.

    Args:
        run: The run, with ``ladder.networks`` above 0.
        done: The trials of its search.

    Returns:
        What was found; None where every training diverged. The results stand in ``ladder.csv``,
        the rungs in ``ladder.json``.
    """
    plan = plan_rungs(run.recipe.ladder)
    places = first_places(run, done, plan[0].networks)
    rungs: list[list[Result]] = []
    orders: list[float | None] = []
    for number, rung in enumerate(plan):
        if rungs:
            places, tau = _next_places(run, done, rungs, rung.networks)
            orders.append(tau)
        results = _train_rung(run, number, rung, places)
        if not results:  # nothing of this rung lived: the one before has the last word
            break
        rungs.append(results)
    if not rungs:
        run.console.print("ladder: every training diverged, so the best score is found")
        return None
    found = best_first(run, rungs[-1])[0]
    facts = _describe(run, plan, rungs, orders, found)
    metric = run.task.description.metric
    unit = f" {metric.unit}" if metric.unit else ""
    judge = judge_of(run)
    by = "" if judge == metric else f", {judge.name} {found.metrics[judge.name]:.4g}"
    genotype = run.root.space.genotype(found.place.architecture)
    run.console.print(f"ladder: best of the last rung: {genotype}")
    run.console.print(
        f"  validation {metric.name} {found.metrics[metric.name]:.4g}{unit}{by}, "
        f"{facts['images']:,} images"
    )
    if run.writes:
        rows = [row for number, rung in enumerate(rungs) for row in _rows(run, number, plan, rung)]
        write_table(run.folder.file(TABLE), rows, list(rows[0]))
        write_json(run.folder.file(LADDER), facts)
    return Climb(found, facts)


def judge_of(run: Run) -> Metric:
    """What networks of a ladder are compared by: their loss, where the task measures one."""
    description = run.task.description
    metrics = {metric.name: metric for metric in description.metrics}
    by_loss = run.recipe.ladder.judge == LOSS.name
    return metrics.get(LOSS.name, description.metric) if by_loss else description.metric


def first_places(run: Run, done: Sequence[Trial], count: int) -> list[Place]:
    """The distinct networks of the best scores, and random ones where there are too few.

    With ``ladder.pool`` they lie at even distances in so many of the best.
    """
    space, pool = run.root.space, run.recipe.ladder.pool or count
    best: dict[Architecture, Place] = {}
    for trial in sorted(full(done), key=lambda t: (-t.score, run.price(t.architecture), t.number)):
        network = space.canonical(trial.architecture)
        if math.isfinite(trial.score) and space.connected(network) is not None:
            best.setdefault(network, Place(space.plain(trial.architecture), SCORED, trial))
    ranked = list(best.values())[:pool]
    ranks = [-float(rank) for rank in range(len(ranked))]
    places = [ranked[i] for i in choose_spread(ranks, count)] if len(ranked) > count else ranked
    known = {space.canonical(place.architecture) for place in places}
    for architecture in _draw(run, "ladder"):
        if len(places) >= count:
            break
        if space.canonical(architecture) not in known:
            known.add(space.canonical(architecture))
            places.append(Place(architecture, DRAWN))
    return places


def best_first(run: Run, results: Iterable[Result]) -> list[Result]:
    """The results from the best to the worst, of equal ones the cheaper network first.

    Short trainings are noisy, and what is known besides makes up for some of it: with
    ``ladder.prior`` the ranks by cost and by the search's score count as well. What nothing scored
    has a middling rank there.
    """
    every = list(results)
    prices = [run.price(result.place.architecture) for result in every]
    weight = run.recipe.ladder.prior
    merits = rank([result.value for result in every])
    if weight:
        scores = [math.nan if r.place.trial is None else r.place.trial.score for r in every]
        places = {price: place for place, price in enumerate(sorted(set(prices)))}
        merits = merits + weight * (rank([places[price] for price in prices]) + rank(scores))
    order = sorted(
        range(len(every)), key=lambda i: (-merits[i], prices[i], every[i].place.architecture.id)
    )
    return [every[i] for i in order]


def rank(values: Sequence[float]) -> NDArray[np.float64]:
    """Shares of the values that are lower, ties in the middle, ``[n]``; 0.5 for what is nan."""
    known = ~np.isnan(values)
    ranks = np.full(len(values), 0.5)
    if known.any():
        ranks[known] = (rankdata(np.asarray(values)[known]) - 0.5) / known.sum()
    return ranks


def _next_places(
    run: Run, done: Sequence[Trial], rungs: Sequence[Sequence[Result]], count: int
) -> tuple[list[Place], float | None]:
    """Who climbs, with what a model proposes; and how well it orders results it has not seen."""
    proposed, tau = _propose(run, done, rungs, round(run.recipe.ladder.proposals * count))
    climbing = [
        Place(result.place.architecture, CLIMBED, result.place.trial)
        for result in best_first(run, rungs[-1])[: count - len(proposed)]
    ]
    return [*climbing, *proposed], tau


def _propose(
    run: Run, done: Sequence[Trial], rungs: Sequence[Sequence[Result]], count: int
) -> tuple[list[Place], float | None]:
    space = run.root.space
    values = join_results([{r.place.architecture: r.value for r in results} for results in rungs])
    if len(values) < LEAST:
        return [], None
    model = LadderModel(space, values)
    if count == 0 or not model.tau > 0:
        return [], model.tau
    known = {space.canonical(a) for a in values}
    trials = {space.plain(t.architecture): t for t in full(done) if math.isfinite(t.score)}
    others: dict[Architecture, Architecture] = {}
    for architecture in [*trials, *_draw(run, "ladder, proposals")]:
        network = space.canonical(architecture)
        if network not in known and space.connected(network) is not None:
            others.setdefault(network, architecture)
    candidates = list(others.values())
    if not candidates:
        return [], model.tau
    guesses = model.predict(candidates)
    order = sorted(range(len(candidates)), key=lambda i: (-guesses[i], candidates[i].id))
    chosen = [candidates[i] for i in order[:count]]
    return [Place(a, PROPOSED, trials.get(a)) for a in chosen], model.tau


def _draw(run: Run, purpose: str) -> Iterable[Architecture]:
    """Random connected architectures within the limits, in the same order on every process."""
    rng = random.Random(derive_seed(run.recipe.seed, purpose))
    accepts, space = searchable(run), run.root.space
    for _ in range(DRAWS):
        architecture = run.root.sample(rng)
        if accepts(architecture) and space.connected(architecture) is not None:
            yield space.plain(architecture)


def _train_rung(run: Run, number: int, rung: Rung, places: Sequence[Place]) -> list[Result]:
    """The results of those whose training did not diverge."""
    run.console.print(
        f"ladder, rung {number + 1}: {len(places)} networks, {rung.epochs:.3g} epochs each"
    )
    judge = judge_of(run)

    def train(place: Place) -> dict[str, float] | None:
        try:
            return train_standalone(run, place.architecture, rung.epochs, every_image=True)
        except DivergedError as error:
            run.console.print(f"ladder: a network is left out: {error.what}")
            return None

    measured = run.team.deal(places, train)
    return [
        Result(place, metrics, judge.to_score(metrics[judge.name]))
        for place, metrics in zip(places, measured, strict=True)
        if metrics is not None and math.isfinite(metrics[judge.name])
    ]


def _rows(
    run: Run, number: int, plan: Sequence[Rung], results: Sequence[Result]
) -> list[dict[str, Any]]:
    space = run.root.space
    rows = []
    for result in best_first(run, results):
        place, costs = result.place, run.costs.costs(result.place.architecture)
        rows.append(
            {
                "rung": number + 1,
                "epochs": plan[number].epochs,
                "architecture": space.genotype(place.architecture),
                "id": place.architecture.id,
                "origin": place.origin,
                "trial": None if place.trial is None else place.trial.number,
                "score": None if place.trial is None else place.trial.score,
                **{name: result.metrics[name] for name in result.metrics},
                "connected_params": int(costs["connected_params"]),
                "connected_flops": int(costs["connected_flops"]),
            }
        )
    return rows


def _describe(
    run: Run,
    plan: Sequence[Rung],
    rungs: Sequence[Sequence[Result]],
    orders: Sequence[float | None],
    found: Result,
) -> dict[str, Any]:
    """The rungs, and how well what came before each told what came of it."""
    metric = judge_of(run)
    described = []
    for number, results in enumerate(rungs):
        below = {} if number == 0 else {r.place.architecture: r.value for r in rungs[number - 1]}
        pairs = [
            (before, result.value)
            for result in results
            if (before := _told_before(result, below, first=number == 0)) is not None
        ]
        best = max(results, key=lambda result: result.value)
        described.append(
            {
                "networks": len(results),
                "epochs": plan[number].epochs,
                "origins": _count(result.place.origin for result in results),
                "best": best.metrics[metric.name],
                "mean": sum(r.metrics[metric.name] for r in results) / len(results),
                "tau_before": _tau(pairs),
                "compared": len(pairs),
                "model_tau": orders[number - 1] if 0 < number <= len(orders) else None,
            }
        )
    images = len(run.images.data().train)
    passes = sum(rung.epochs * len(results) for rung, results in zip(plan, rungs, strict=False))
    return {
        "metric": metric.name,
        "better": metric.better,
        "prior": run.recipe.ladder.prior,
        "images": round(passes * images),
        "rungs": described,
        "found": {
            "id": found.place.architecture.id,
            "origin": found.place.origin,
            metric.name: found.metrics[metric.name],
        },
    }


def _told_before(
    result: Result, below: Mapping[Architecture, float], *, first: bool
) -> float | None:
    """What was known of a network before its rung: its score, or its result one rung below."""
    if first:
        return None if result.place.trial is None else result.place.trial.score
    return below.get(result.place.architecture)


def _tau(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len(pairs) < 3:
        return None
    before, after = zip(*pairs, strict=True)
    return kendall(before, after)


def _count(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
