"""The audit of a search whose scores and trainings are known; nothing is trained."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fewshot_core.costs.table import Constraint, CostTable, Limits
from fewshot_core.evaluators import agreed
from fewshot_core.evaluators.agreed import AgreedEvaluator
from fewshot_core.pipeline import candidates as candidates_module
from fewshot_core.pipeline import kept_scores
from fewshot_core.pipeline.audit import audit
from fewshot_core.pipeline.candidates import COST, about_equal, scored
from fewshot_core.pipeline.processes import Team
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.console import Console
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.tasks import Description
from fewshot_core.testing.strategies import Killed
from fewshot_core.testing.toys import toy_space
from tasks.cifar10.space import nasbench201

SIZES = {"nor_conv_1x1": 100.0, "nor_conv_3x3": 900.0}
Score = Callable[[Architecture], float]


class Session:
    """What an audit uses of a session; trainings and scores are functions of the architecture."""

    def __init__(self, path: Path, score: Score, truth: Score, *, main: bool = True) -> None:
        self.recipe = Recipe(seed=3)
        self.recipe.audit.networks = 12
        self.recipe.audit.epochs = 2.0
        self.root = Region.root(nasbench201())
        self.costs = _costs(self.root.space)
        self.limits = Limits()
        self.folder = RunFolder(path, main)
        self.console = Console(main=False)
        self.task = SimpleNamespace(description=Description({}))
        self.asked: list[Architecture] = []
        self.trained: list[tuple[Architecture, float]] = []
        self.dies_at: int | None = None
        self._score, self._truth = score, truth

        self.team = Team(SimpleNamespace(num_processes=1), apart=False)  # type: ignore[arg-type]
        self.stop = StopRequest()

    def agreed_evaluator(self) -> AgreedEvaluator:
        return agreed.agreed(self)

    def searchable(self) -> Constraint:
        return Constraint(self.costs, self.limits)

    def evaluate(self, architecture: Architecture) -> dict[str, float]:
        if len(self.asked) == self.dies_at:
            raise Killed
        self.asked.append(architecture)
        return {"score": self._score(architecture)}

    def train_standalone(self, architecture: Architecture, epochs: float) -> dict[str, float]:
        self.trained.append((architecture, epochs))
        return {"accuracy": self._truth(architecture), "loss": 1.0}

    def search(self, count: int = 20) -> list[Trial]:
        rng = random.Random(0)
        found = [self.root.sample(rng) for _ in range(count)]
        return [Trial(i, a, self._score(a), {}) for i, a in enumerate(found)]

    def cost(self, architecture: Architecture) -> float:
        return self.costs.costs(architecture)[COST]


def _costs(space: SearchSpace) -> CostTable:
    names = ("params", "flops", "fvcore_flops")
    return CostTable(
        space,
        dict.fromkeys(names, 1000.0),
        {
            d.name: {o: dict.fromkeys(names, SIZES.get(str(o), 0.0)) for o in d.options}
            for d in space.decisions
        },
    )


def by_id(architecture: Architecture) -> float:
    """A number that has nothing to do with the cost."""
    return int(architecture.id, 16) / 2.0**48


def nothing(architecture: Architecture) -> float:
    return int(architecture.id[::-1], 16) / 2.0**48


def run(session: Session, done: list[Trial] | None = None) -> dict[str, Any] | None:
    return audit(session, done or session.search())  # type: ignore[arg-type]


def equal(session: Session, done: list[Trial] | None = None) -> list[Any]:
    return about_equal(session, done or session.search())  # type: ignore[arg-type]


# --- what an audit says


def test_scores_that_order_as_training_does_are_trusted(tmp_path: Path) -> None:
    session = Session(tmp_path, by_id, lambda a: 50 + by_id(a))
    result = run(session)
    assert result is not None
    assert (result["trust"], result["networks"]) == ("trusted", 12)
    assert result["tau"] == pytest.approx(1)
    assert result["verdict"].startswith("These scores may be trusted")
    assert result["baselines"] == {"connected_params": 0.0, "connected_flops": 0.0}
    assert json.loads((tmp_path / "audit.json").read_text()) == result
    assert [epochs for _, epochs in session.trained] == [2.0] * 12


@pytest.mark.parametrize(
    ("truth", "state"), [(lambda a: -by_id(a), "refuted"), (lambda a: 90.0, "open")]
)
def test_other_scores_are_not(truth: Score, state: str, tmp_path: Path) -> None:
    result = run(Session(tmp_path, by_id, truth))
    assert result is not None
    assert result["trust"] == state


def test_scores_that_only_know_the_cost_are_not_trusted(tmp_path: Path) -> None:
    """The reason for it all: over all costs they would look perfect."""
    session = Session(tmp_path, by_id, by_id)
    session._score = session._truth = session.cost
    done = session.search()
    result = run(session, done)
    assert result is not None
    assert result["trust"] != "trusted"


def test_the_networks_cost_as_much_as_the_found_one(tmp_path: Path) -> None:
    session = Session(tmp_path, by_id, nothing)
    done = session.search()
    best = max(done, key=lambda trial: trial.score)
    result = run(session, done)
    assert result is not None
    cost = session.cost(best.architecture)
    assert {session.cost(a) for a, _ in session.trained} == {cost}
    assert result["cost"] == {"measure": COST, "found": cost, "lowest": cost, "highest": cost}
    canonical = [session.root.space.canonical(a) for a, _ in session.trained]
    assert len(set(canonical)) == 12
    assert all(session.root.space.connected(a) is not None for a, _ in session.trained)


def test_the_table_says_where_every_network_comes_from(tmp_path: Path) -> None:
    session = Session(tmp_path, by_id, nothing)
    done = session.search(200)
    run(session, done)
    space = session.root.space
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
        assert float(row["connected_flops"]) == session.cost(architecture)
        if row["trial"]:
            assert done[int(row["trial"])].architecture == architecture
        else:
            assert f"{row['architecture']}," in kept
    every = [c.score for c in scored(session, equal(session, done))]  # type: ignore[arg-type]
    assert (scores[0], scores[-1]) == (min(every), max(every))


def test_too_few_networks_are_not_trained(tmp_path: Path) -> None:
    session = Session(tmp_path, by_id, nothing)
    session.recipe.audit.candidates = 0
    assert run(session, session.search(2)) is None
    assert session.trained == []
    assert not (tmp_path / "audit.json").exists()


# --- candidates


def test_further_candidates_are_drawn_the_nearest_in_cost_first(tmp_path: Path) -> None:
    session = Session(tmp_path, by_id, nothing)
    done = session.search()
    cost = session.cost(max(done, key=lambda trial: trial.score).architecture)
    pool = equal(session, done)
    assert pool[0].score == max(trial.score for trial in done)
    assert {session.cost(c.architecture) for c in pool} == {cost}
    drawn = [c for c in pool if c.trial is None]
    assert len(drawn) == session.recipe.audit.candidates
    assert [c.architecture for c in equal(session, done)] == [c.architecture for c in pool]
    session.recipe.seed += 1
    assert [c.architecture for c in equal(session, done)] != [c.architecture for c in pool]


def test_networks_without_a_path_are_no_candidates(tmp_path: Path) -> None:
    session = Session(tmp_path, by_id, nothing)
    name, edges = session.root.space.name, len(session.root.space.decisions)
    done = [
        Trial(0, Architecture(name, ("none",) * edges), 1.0, {}),
        Trial(1, Architecture(name, ("skip_connect",) * edges), 0.5, {}),
    ]
    pool = equal(session, done)
    assert pool[0].trial == 1
    assert all(session.root.space.connected(c.architecture) is not None for c in pool)


def test_candidates_satisfy_the_constraint(tmp_path: Path) -> None:
    session = Session(tmp_path, by_id, nothing)
    # Few cells cost as much, so that the window has to open.
    choices = ("nor_conv_1x1", *["nor_conv_3x3"] * 5)
    done = [Trial(0, Architecture(session.root.space.name, choices), 1.0, {})]
    cost = session.cost(done[0].architecture)
    costs = [session.cost(c.architecture) for c in equal(session, done)]
    assert min(costs) < cost < max(costs)
    session.limits = Limits(flops=cost)
    costs = [session.cost(c.architecture) for c in equal(session, done)]
    assert min(costs) < cost == max(costs)


def test_no_trainings_are_added_to_score_candidates(tmp_path: Path) -> None:
    session = Session(tmp_path, by_id, nothing)
    session.recipe.evaluator.name = "standalone"
    run(session, session.search(200))
    assert session.asked == []
    assert len(session.trained) == 12


def test_a_large_space_is_drawn_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(tmp_path, by_id, nothing)
    session.root = Region.root(toy_space(*[7] * 40))
    names = ("params", "flops")
    session.costs = CostTable(
        session.root.space,
        dict.fromkeys(names, 100.0),
        {
            d.name: {o: dict.fromkeys(names, float(o)) for o in d.options}
            for d in session.root.space.decisions
        },
    )
    reaches = []
    for draws in (500, 5_000):
        monkeypatch.setattr(candidates_module, "DRAWS", draws)
        costs = [c.costs[COST] for c in equal(session)]
        assert len(costs) >= 36
        reaches.append(max(abs(cost / costs[0] - 1) for cost in costs))
    assert reaches[1] < reaches[0] <= 0.05  # who looks at more finds nearer ones


def test_scores_that_are_no_numbers_have_no_rank(tmp_path: Path) -> None:
    def score(architecture: Architecture) -> float:
        return float("-inf") if architecture.id[0] in "0123" else by_id(architecture)

    session = Session(tmp_path, score, nothing)
    assert run(session) is not None
    assert any(a.id[0] in "0123" for a in session.asked)
    assert not any(a.id[0] in "0123" for a, _ in session.trained)


# --- kills and processes


def test_scores_survive_a_kill(tmp_path: Path) -> None:
    whole = Session(tmp_path / "whole", by_id, nothing)
    expected = run(whole)
    dying = Session(tmp_path / "run", by_id, nothing)
    dying.dies_at = 40
    with pytest.raises(Killed):
        run(dying)
    again = Session(tmp_path / "run", by_id, nothing)
    assert run(again) == expected
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

    first = Session(tmp_path, by_id, nothing)
    done = first.search()
    first.dies_at = 30  # what the main process has kept, the other one has to skip, too
    with pytest.raises(Killed):
        run(first, done)
    main = Session(tmp_path, by_id, nothing)
    other = Session(tmp_path, nothing, nothing, main=False)
    for session, channel in ((main, speak), (other, listen)):
        monkeypatch.setattr(agreed, "broadcast_object_list", channel)
        monkeypatch.setattr(kept_scores, "broadcast_object_list", channel)
        run(session, done)
    assert said == []
    assert other.asked == main.asked
    assert other.trained == main.trained
    assert max(Counter(a for a, _ in main.trained).values()) == 1
