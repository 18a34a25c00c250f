"""The audit of a search whose scores and trainings are known; nothing is trained."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fewshot_core.costs.table import CostTable, Limits
from fewshot_core.pipeline import candidates as candidates_module
from fewshot_core.pipeline import kept_scores
from fewshot_core.pipeline.audit import audit
from fewshot_core.pipeline.candidates import COST, about_equal, score_candidates
from fewshot_core.plugins import plugin
from fewshot_core.search.trial import Trial, best_trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import Killed
from fewshot_core.testing.toys import toy_space

from .paper import Paper, Score, on_paper  # noqa: F401


def by_id(architecture: Architecture) -> float:
    """A number that has nothing to do with the cost."""
    return int(architecture.id, 16) / 2.0**48


def nothing(architecture: Architecture) -> float:
    return int(architecture.id[::-1], 16) / 2.0**48


def audited(run: Paper, done: list[Trial] | None = None) -> dict[str, Any] | None:
    done = done or run.search()
    return audit(run, done, best_trial(done, cost=run.price).architecture)  # type: ignore[arg-type]


def equal(run: Paper, done: list[Trial] | None = None) -> list[Any]:
    done = done or run.search()
    found = best_trial(done, cost=run.price).architecture
    return about_equal(run, done, found)  # type: ignore[arg-type]


# --- what an audit says


def test_scores_that_order_as_training_does_are_trusted(tmp_path: Path) -> None:
    run = Paper(tmp_path, by_id, lambda a: 50 + by_id(a))
    result = audited(run)
    assert result is not None
    assert (result["trust"], result["networks"]) == ("trusted", 12)
    assert result["tau"] == pytest.approx(1)
    assert result["verdict"].startswith("These scores may be trusted")
    assert result["baselines"] == {"connected_params": 0.0, "connected_flops": 0.0}
    assert json.loads((tmp_path / "audit.json").read_text()) == result
    assert [epochs for _, epochs in run.trained] == [2.0] * 12


@pytest.mark.parametrize(
    ("truth", "state"), [(lambda a: -by_id(a), "refuted"), (lambda a: 90.0, "open")]
)
def test_other_scores_are_not(truth: Score, state: str, tmp_path: Path) -> None:
    result = audited(Paper(tmp_path, by_id, truth))
    assert result is not None
    assert result["trust"] == state


def test_scores_that_only_know_the_cost_are_not_trusted(tmp_path: Path) -> None:
    """The reason for it all: over all costs they would look perfect."""
    run = Paper(tmp_path, by_id, by_id)
    run._score = run._truth = run.cost
    done = run.search()
    result = audited(run, done)
    assert result is not None
    assert result["trust"] != "trusted"


def test_the_networks_cost_as_much_as_the_found_one(tmp_path: Path) -> None:
    run = Paper(tmp_path, by_id, nothing)
    done = run.search()
    best = max(done, key=lambda trial: trial.score)
    result = audited(run, done)
    assert result is not None
    cost = run.cost(best.architecture)
    assert {run.cost(a) for a, _ in run.trained} == {cost}
    assert result["cost"] == {"measure": COST, "found": cost, "lowest": cost, "highest": cost}
    canonical = [run.root.space.canonical(a) for a, _ in run.trained]
    assert len(set(canonical)) == 12
    assert all(run.root.space.connected(a) is not None for a, _ in run.trained)


def test_the_table_says_where_every_network_comes_from(tmp_path: Path) -> None:
    run = Paper(tmp_path, by_id, nothing)
    done = run.search(200)
    audited(run, done)
    space = run.root.space
    with (tmp_path / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = (tmp_path / "audit-scores.csv").read_text()
    assert len(rows) == 12
    assert 0 < sum(row["trial"] == "" for row in rows) < 12
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores)
    for row in rows:
        architecture = space.parse(row["architecture"])
        assert float(row["score"]) == by_id(architecture)
        assert float(row["accuracy"]) == nothing(architecture)
        assert float(row["connected_flops"]) == run.cost(architecture)
        if row["trial"]:
            assert done[int(row["trial"])].architecture == architecture
        else:
            assert f"{row['architecture']}," in kept
    every = [c.score for c in score_candidates(run, equal(run, done))]  # type: ignore[arg-type]
    assert (scores[0], scores[-1]) == (min(every), max(every))


def test_too_few_networks_are_not_trained(tmp_path: Path) -> None:
    run = Paper(tmp_path, by_id, nothing)
    run.change(audit__candidates=0)
    assert audited(run, run.search(2)) is None
    assert run.trained == []
    assert not (tmp_path / "audit.json").exists()


# --- candidates


def test_further_candidates_are_drawn_the_nearest_in_cost_first(tmp_path: Path) -> None:
    run = Paper(tmp_path, by_id, nothing)
    done = run.search()
    cost = run.cost(max(done, key=lambda trial: trial.score).architecture)
    pool = equal(run, done)
    assert pool[0].score == max(trial.score for trial in done)
    assert {run.cost(c.architecture) for c in pool} == {cost}
    drawn = [c for c in pool if c.trial is None]
    assert len(drawn) == run.recipe.audit.candidates
    assert [c.architecture for c in equal(run, done)] == [c.architecture for c in pool]
    run.change(seed=run.recipe.seed + 1)
    assert [c.architecture for c in equal(run, done)] != [c.architecture for c in pool]


def test_networks_without_a_path_are_no_candidates(tmp_path: Path) -> None:
    run = Paper(tmp_path, by_id, nothing)
    name, edges = run.root.space.name, len(run.root.space.decisions)
    done = [
        Trial(0, Architecture(name, ("none",) * edges), 1.0, {}),
        Trial(1, Architecture(name, ("skip_connect",) * edges), 0.5, {}),
    ]
    pool = equal(run, done)
    assert pool[0].trial == 1
    assert all(run.root.space.connected(c.architecture) is not None for c in pool)


def test_candidates_satisfy_the_constraint(tmp_path: Path) -> None:
    run = Paper(tmp_path, by_id, nothing)
    # Few cells cost as much, so that the window has to open.
    choices = ("nor_conv_1x1", *["nor_conv_3x3"] * 5)
    done = [Trial(0, Architecture(run.root.space.name, choices), 1.0, {})]
    cost = run.cost(done[0].architecture)
    costs = [run.cost(c.architecture) for c in equal(run, done)]
    assert min(costs) < cost < max(costs)
    run.limits = Limits(flops=cost)
    costs = [run.cost(c.architecture) for c in equal(run, done)]
    assert min(costs) < cost == max(costs)


def test_no_trainings_are_added_to_score_candidates(tmp_path: Path) -> None:
    run = Paper(tmp_path, by_id, nothing)
    run.change(evaluator=plugin("evaluator", "standalone").default())
    audited(run, run.search(200))
    assert run.asked == []
    assert len(run.trained) == 12


def test_a_large_space_is_drawn_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Paper(tmp_path, by_id, nothing)
    run.root = Region.root(toy_space(*[7] * 40))
    names = ("params", "flops")
    run.costs = CostTable(
        run.root.space,
        dict.fromkeys(names, 100.0),
        {
            d.name: {o: dict.fromkeys(names, float(o)) for o in d.options}
            for d in run.root.space.decisions
        },
    )
    reaches = []
    for draws in (500, 5_000):
        monkeypatch.setattr(candidates_module, "DRAWS", draws)
        costs = [c.costs[COST] for c in equal(run)]
        assert len(costs) >= 36
        reaches.append(max(abs(cost / costs[0] - 1) for cost in costs))
    assert reaches[1] < reaches[0] <= 0.05  # who looks at more finds nearer ones


def test_scores_that_are_no_numbers_have_no_rank(tmp_path: Path) -> None:
    def score(architecture: Architecture) -> float:
        return float("-inf") if architecture.id[0] in "0123" else by_id(architecture)

    run = Paper(tmp_path, score, nothing)
    assert audited(run) is not None
    assert any(a.id[0] in "0123" for a in run.asked)
    assert not any(a.id[0] in "0123" for a, _ in run.trained)


# --- kills and processes


def test_scores_survive_a_kill(tmp_path: Path) -> None:
    whole = Paper(tmp_path / "whole", by_id, nothing)
    expected = audited(whole)
    dying = Paper(tmp_path / "run", by_id, nothing)
    dying.dies_at = 40
    with pytest.raises(Killed):
        audited(dying)
    again = Paper(tmp_path / "run", by_id, nothing)
    assert audited(again) == expected
    assert again.trained == whole.trained
    assert dying.asked + again.asked == whole.asked  # none of them twice
    for name in ("audit-scores.csv", "audit.csv", "audit.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_every_process_trains_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process rounds differently, has no file, and is told what the main one found."""
    said: list[Any] = []

    def speak(values: list[Any], owner: int = 0) -> list[Any]:
        said.append(json.loads(json.dumps(values[0])))
        return values

    def listen(values: list[Any], owner: int = 0) -> list[Any]:
        return [said.pop(0)]

    first = Paper(tmp_path, by_id, nothing)
    done = first.search()
    first.dies_at = 30  # what the main process has kept, the other one has to skip, too
    with pytest.raises(Killed):
        audited(first, done)
    main = Paper(tmp_path, by_id, nothing)
    other = Paper(tmp_path, nothing, nothing, writes=False)
    for run, channel in ((main, speak), (other, listen)):
        monkeypatch.setattr("accelerate.utils.broadcast_object_list", channel)
        monkeypatch.setattr(kept_scores, "broadcast_object_list", channel)
        audited(run, done)
    assert said == []
    assert other.asked == main.asked
    assert other.trained == main.trained
    assert max(Counter(a for a, _ in main.trained).values()) == 1
