"""What a run tells trackers (``track=tensorboard``); nothing is imported where there are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fewshot_core.pipeline.run import Run
from fewshot_core.recipe.keys import flatten
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.console import Console
from fewshot_core.search.trial import Trial


@contextmanager
def tracking(run: Run) -> Iterator[None]:
    """Inside, the trackers of the recipe are told what happens; on the process that writes."""
    if not run.recipe.track or not run.writes:
        yield
        return
    from fewshot_core.runs.tracking import Tracking

    settings = flatten(dataclasses.asdict(run.recipe))
    names = list(dict.fromkeys(run.recipe.track))
    tracker = Tracking(run.folder.path, names, settings, run.console.print)
    run.console.tracking = tracker
    try:
        yield
    finally:
        run.console.tracking = None
        tracker.close()


def track_training(console: Console, name: str, state: StageState) -> None:
    """Send the losses of a training that was done before, or by another process."""
    if console.tracking is not None:
        for step, loss in state.history:
            console.track(name, int(step), {"loss": loss})


def track_trial(run: Run, trial: Trial) -> None:
    """Send what a trial has come to."""
    if run.console.tracking is None:
        return
    known = run.task.description.scores
    measured = {name: value for name, value in trial.metrics.items() if name in known}
    costs = run.costs.costs(trial.architecture)
    values = {"score": trial.score, "budget": trial.budget, **measured}
    values |= {name: costs[f"connected_{name}"] for name in ("params", "flops")}
    run.console.track("search", trial.number, values)


def track_tests(run: Run, results: Sequence[Mapping[str, Any]]) -> None:
    """Send the test results of networks that were trained from scratch; a step is a seed."""
    for result in results:
        run.console.track(f"test {result['label']}", int(result["seed"]), result["test"])


def track_pictures(run: Run) -> None:
    """Send the pictures of the report."""
    if run.console.tracking is not None:
        for path in sorted(run.folder.file("pictures").glob("*.png")):
            run.console.tracking.show(path)
