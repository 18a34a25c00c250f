"""Search: train the supernets, ask the strategy, keep the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fewshot_core.costs.pareto import pareto_front
from fewshot_core.pipeline.asking import ask_and_tell
from fewshot_core.pipeline.audit import audit
from fewshot_core.pipeline.choice import Choice, choose
from fewshot_core.pipeline.derive import derive
from fewshot_core.pipeline.estimate import ESTIMATE, estimate
from fewshot_core.pipeline.faults import at_work
from fewshot_core.pipeline.ladder import Climb, climb
from fewshot_core.pipeline.live import reporting
from fewshot_core.pipeline.looking import fit_to_images, keep_survey
from fewshot_core.pipeline.opening import start
from fewshot_core.pipeline.run import FRONT_COST, Run
from fewshot_core.pipeline.scorers import prepare_scorers
from fewshot_core.pipeline.summary import summary_lines
from fewshot_core.pipeline.supernets import losses_of, train_supernets
from fewshot_core.pipeline.tracking import track_pictures, tracking
from fewshot_core.pipeline.trials import trial_row
from fewshot_core.runs.files import write_json
from fewshot_core.runs.retrained import relabel_found
from fewshot_core.runs.reuse import read_reused
from fewshot_core.search.trial import Trial, best_trial, full
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.scores import write_table


def search(words: Sequence[str]) -> Run:
    """Run the search that ``recipe=NAME key=value ...`` describes, or continue it.

    It is the last work of its processes, which know nothing of each other any more.

    Returns:
        The run. Others may use its folder again.

    Raises:
        FewshotError: Something is wrong with the recipe, the data or the run folder.
    """
    run = search_one(words)
    run.accelerator.end_training()
    return run


def search_one(words: Sequence[str]) -> Run:
    """The same of processes that go on together afterwards, with another search."""
    fitted = fit_to_images(words)
    run = start(fitted.loaded)
    with at_work(run), tracking(run), reporting(run):
        keep_survey(run, fitted)
        _search(run)
    return run


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
    climbed = climb(run, done) if run.recipe.ladder.networks else None
    choice = choose(run, done)
    found = hand_over(run, done, climbed, choice)
    if run.recipe.audit.networks:
        audit(run, done, found)
    if run.writes:
        # matplotlib takes its time to import, and the other processes have no use for it.
        from fewshot_core.pipeline.report import write_report

        run.console.print(f"report: {write_report(run)}")
        track_pictures(run)
    for line in losses_of(run):
        run.console.print(line)
    if run.writes:
        ladder = None if climbed is None else climbed.found.metrics
        for line in summary_lines(run, found, choice, ladder):
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
    """Write the trials and the Pareto front."""
    if not run.writes:
        return
    space = run.root.space
    rows = [trial_row(run, run.costs, run.tree, trial) for trial in done]
    write_table(run.folder.file("trials.csv"), rows, list(rows[0]))
    write_json(run.folder.file("pareto.json"), _front(run, done))
    best, whole = best_trial(done, cost=run.price), len(full(done))
    partial = "" if whole == len(done) else f", {whole} of them with the whole budget"
    genotype = space.genotype(space.plain(best.architecture))
    run.console.print(f"best of {len(done)} trials{partial}: {genotype}")
    run.console.print(f"  score {best.score:.4g}, found in trial {best.number}")


def hand_over(
    run: Run, done: list[Trial], climbed: Climb | None, choice: Choice | None = None
) -> Architecture:
    """Write what the search has found, which other tools take for its end.

    Args:
        run: The run.
        done: The trials of its search.
        climbed: What a ladder came to; None: the scores decide.
        choice: What the scores chose; by default what :func:`choose` does.

    Returns:
        The architecture.
    """
    choice = choice or choose(run, done)
    trial: Trial | None = choice.found
    results: dict[str, Any]
    if climbed is None:
        architecture, results = choice.found.architecture, {"choice": choice.to_json()}
    else:
        place = climbed.found.place
        trial, architecture = place.trial, place.architecture
        results = {"ladder": dict(climbed.found.metrics)}
    value = {
        "score": None if trial is None else trial.score,
        "metrics": {} if trial is None else dict(trial.metrics),
        "trial": None if trial is None else trial.number,
        "costs": run.costs.costs(architecture),
    }
    space = run.root.space
    if run.writes:
        found = space.to_json(space.plain(architecture))
        relabel_found(run.folder, space.plain(architecture).id)
        reused = read_reused(run.folder.path)
        if reused is not None:
            results["supernets"] = asdict(reused)
        write_json(run.folder.file("found.json"), found | value | results)
    return architecture


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
