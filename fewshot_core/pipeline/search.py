"""Search: train the supernets, ask the strategy, keep the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fewshot_core.costs.pareto import pareto_front
from fewshot_core.pipeline.asking import ask_and_tell
from fewshot_core.pipeline.audit import audit
from fewshot_core.pipeline.derive import derive
from fewshot_core.pipeline.estimate import ESTIMATE, estimate
from fewshot_core.pipeline.faults import at_work
from fewshot_core.pipeline.ladder import Climb, climb
from fewshot_core.pipeline.opening import start
from fewshot_core.pipeline.run import FRONT_COST, Run
from fewshot_core.pipeline.scorers import prepare_scorers
from fewshot_core.pipeline.scoring import scoring_region
from fewshot_core.pipeline.supernets import losses_of, train_supernets
from fewshot_core.recipe.load import load_recipe
from fewshot_core.runs.files import write_json
from fewshot_core.search.trial import Trial, best_trial, full
from fewshot_core.trust.scores import write_table

COST_COLUMNS = ("params", "flops", "connected_params", "connected_flops")


def search(words: Sequence[str]) -> None:
    """Run the search that ``recipe=NAME key=value ...`` describes, or continue it.

    Raises:
        FewshotError: Something is wrong with the recipe, the data or the run folder.
    """
    run = start(load_recipe(words))
    with at_work(run):
        _search(run)
    run.accelerator.end_training()


def _search(run: Run) -> None:
    if run.recipe.estimate:
        _estimate(run)
    prepare_scorers(run)
    if run.strategy.differentiable:
        run, named = derive(run)
        done = ask_and_tell(run, [a for some in named.values() for a in some])
    else:
        if run.evaluator.inherits:
            run = train_supernets(run)
        done = ask_and_tell(run)
    record(run, done)
    found = best_trial(done, cost=run.price).architecture
    if run.recipe.ladder.networks and (climbed := climb(run, done)):
        record_climb(run, climbed)
        found = climbed.found.place.architecture
    if run.recipe.audit.networks:
        audit(run, done, found)
    if run.writes:
        # matplotlib takes its time to import, and the other processes have no use for it.
        from fewshot_core.pipeline.report import write_report

        run.console.print(f"report: {write_report(run)}")
    for line in losses_of(run):
        run.console.print(line)


def _estimate(run: Run) -> None:
    """Say what the run will take, unless it was said when it began."""
    path = run.folder.file(ESTIMATE)
    if not path.exists():
        expected = estimate(run)
        run.console.print(str(expected))
        if run.writes:
            write_json(path, expected.to_json())


def record(run: Run, done: list[Trial]) -> None:
    """Write the trials, the architecture found and the Pareto front."""
    if not run.writes:
        return
    space = run.root.space
    rows = []
    for trial in done:
        costs = run.costs.costs(trial.architecture)
        rows.append(
            {
                "number": trial.number,
                "architecture": space.genotype(trial.architecture),
                "id": trial.architecture.id,
                "region": scoring_region(run, trial.architecture).id,
                "budget": trial.budget,
                "score": trial.score,
                **{k: trial.metrics.get(k) for k in run.task.description.scores},
                **{k: int(costs[k]) for k in COST_COLUMNS},
            }
        )
    write_table(run.folder.file("trials.csv"), rows, list(rows[0]))
    best = best_trial(done, cost=run.price)
    found = space.plain(best.architecture)
    write_json(
        run.folder.file("found.json"),
        space.to_json(found)
        | {
            "score": best.score,
            "metrics": dict(best.metrics),
            "trial": best.number,
            "costs": run.costs.costs(best.architecture),
        },
    )
    write_json(run.folder.file("pareto.json"), _front(run, done))
    whole = len(full(done))
    partial = "" if whole == len(done) else f", {whole} of them with the whole budget"
    run.console.print(f"best of {len(done)} trials{partial}: {space.genotype(found)}")
    run.console.print(f"  score {best.score:.4g}, found in trial {best.number}")


def record_climb(run: Run, climbed: Climb) -> None:
    """Hand over the best of the last rung in place of the best score."""
    if not run.writes:
        return
    space, result = run.root.space, climbed.found
    place = result.place
    write_json(
        run.folder.file("found.json"),
        space.to_json(place.architecture)
        | {
            "score": None if place.trial is None else place.trial.score,
            "metrics": {} if place.trial is None else dict(place.trial.metrics),
            "trial": None if place.trial is None else place.trial.number,
            "costs": run.costs.costs(place.architecture),
            "ladder": dict(result.metrics),
        },
    )
    metric = run.task.description.metric
    text = f"{result.metrics[metric.name]:.4g}{f' {metric.unit}' if metric.unit else ''}"
    run.console.print(f"ladder: best of the last rung: {space.genotype(place.architecture)}")
    run.console.print(f"  validation {metric.name} {text}, {climbed.facts['images']:,} images")


def _front(run: Run, done: list[Trial]) -> dict[str, Any]:
    """What no cheaper architecture beats, among those scored with the whole budget."""
    space = run.root.space
    whole = [trial for trial in full(done) if math.isfinite(trial.score)]
    costs = [run.costs.costs(trial.architecture) for trial in whole]
    front = pareto_front(
        [cost[FRONT_COST] for cost in costs],
        [trial.score for trial in whole],
        [cost["connected_params"] for cost in costs],
    )
    return {
        "cost": FRONT_COST,
        "front": [
            space.to_json(space.plain(whole[i].architecture))
            | {"score": whole[i].score, "trial": whole[i].number, "costs": costs[i]}
            for i in front
        ],
    }
