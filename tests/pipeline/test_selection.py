"""Which architecture of a run the words of a tool mean."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from fewshot_core.errors import FewshotError
from fewshot_core.pipeline.search import record
from fewshot_core.pipeline.selection import select
from fewshot_core.search.trial import Trial

from .paper import Paper, on_paper  # noqa: F401


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Three trials, of which the cheapest and the best are on the front."""
    made: Any = Paper(tmp_path, lambda a: 0.0, lambda a: 0.0)
    rng = random.Random(0)
    drawn = [made.root.space.plain(made.root.sample(rng)) for _ in range(40)]
    by_cost = {made.cost(architecture): architecture for architecture in drawn}
    cheap, middle, *_, large = (by_cost[cost] for cost in sorted(by_cost))
    pairs = [(large, 9.0), (middle, 1.0), (cheap, 5.0)]
    trials = [Trial(number, a, score, {}) for number, (a, score) in enumerate(pairs)]
    record(made, trials)
    made.trials = trials
    return made


def test_a_trial_by_its_number(run: Any) -> None:
    for trial in run.trials:
        selected = select(run, {"trial": trial.number, "front": None, "architecture": ""})
        assert selected is not None
        assert (selected.architecture, selected.label) == (
            trial.architecture,
            f"trial {trial.number}",
        )


def test_a_point_of_the_front_the_cheapest_first(run: Any) -> None:
    labels = [getattr(select(run, {"front": place}), "label", None) for place in (1, 2)]
    assert labels == ["trial 2", "trial 0"]


def test_a_genotype_and_nothing(run: Any) -> None:
    given = run.trials[0].architecture
    selected = select(run, {"architecture": run.root.space.genotype(given)})
    assert selected is not None
    assert (selected.architecture, selected.label, selected.trial) == (given, "given", None)
    assert select(run, {"trial": None, "architecture": ""}) is None


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"trial": 3}, "has no trial 3 | allowed: trial=0 to trial=2"),
        ({"trial": -1}, "has no trial -1"),
        ({"front": 0}, "has no point 0 | allowed: front=1, the cheapest, to front=2, the best"),
        ({"front": 3}, "has no point 3"),
        ({"front": 1, "trial": 0}, "which of them?"),
        ({"architecture": "nonsense"}, "nonsense"),
    ],
)
def test_what_there_is_not(run: Any, options: dict[str, object], part: str) -> None:
    with pytest.raises(FewshotError) as caught:
        select(run, options)
    assert part in str(caught.value)


def test_damaged_files_and_unfinished_searches(run: Any) -> None:
    front, trials = run.folder.file("pareto.json"), run.folder.file("trials.csv")
    front.write_text("{}")
    with pytest.raises(FewshotError, match="is damaged"):
        select(run, {"front": 1})
    trials.unlink()
    with pytest.raises(FewshotError, match="holds no finished search"):
        select(run, {"trial": 1})
