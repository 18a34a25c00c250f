"""A ladder whose trainings are known; nothing is trained."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from fewshot_core.pipeline import ladder as ladder_module
from fewshot_core.pipeline.ladder import Climb, climb, rank
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.load import load_recipe
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.loop import DivergedError

from .paper import Paper, Score, on_paper  # noqa: F401


def by_id(architecture: Architecture) -> float:
    """A number that has nothing to do with the parts."""
    return int(architecture.id, 16) / 2.0**48


def convolutions(architecture: Architecture) -> float:
    """A number that a model of the parts can learn."""
    return 10.0 * architecture.choices.count("nor_conv_3x3") + by_id(architecture)


def make(path: Path, score: Score, truth: Score, **settings: object) -> Paper:
    run = Paper(path, score, truth)
    usual = {"networks": 16, "epochs": 12.0, "rungs": 3, "keep": 0.25, "proposals": 0.0}
    run.change(**{f"ladder__{name}": value for name, value in (usual | settings).items()})
    return run


def climbed(run: Paper, done: list[Trial] | None = None) -> Climb:
    result = climb(run, done or run.search(100))  # type: ignore[arg-type]
    assert result is not None
    return result


def rows_of(path: Path) -> list[dict[str, str]]:
    with (path / "ladder.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_best_scores_are_trained_and_the_best_results_climb(tmp_path: Path) -> None:
    run = make(tmp_path, by_id, lambda a: -by_id(a))  # results turn the scores around
    done = run.search(100)
    result = climbed(run, done)
    epochs = [epochs for _, epochs in run.trained]
    assert epochs == pytest.approx([4 / 16] * 16 + [4 / 4] * 4 + [4] * 1)
    first = [a for a, _ in run.trained[:16]]
    space = run.root.space
    ranked = sorted(done, key=lambda trial: -trial.score)
    networks = dict.fromkeys(space.canonical(trial.architecture) for trial in ranked)
    best = [network for network in networks if space.connected(network) is not None][:16]
    assert [space.canonical(a) for a in first] == best
    climbing = [a for a, _ in run.trained[16:20]]
    assert climbing == sorted(first, key=by_id)[:4]
    assert result.found.place.architecture == min(first, key=by_id)
    assert result.facts == json.loads((tmp_path / "ladder.json").read_text())
    rungs = result.facts["rungs"]
    assert [rung["networks"] for rung in rungs] == [16, 4, 1]
    assert rungs[0]["tau_before"] == pytest.approx(-1)
    assert rungs[1]["tau_before"] == pytest.approx(1)
    assert rungs[2]["tau_before"] is None
    assert result.facts["images"] == 12 * 100


def test_the_table_has_every_training(tmp_path: Path) -> None:
    run = make(tmp_path, by_id, convolutions)
    climbed(run)
    rows = rows_of(tmp_path)
    assert [row["rung"] for row in rows] == ["1"] * 16 + ["2"] * 4 + ["3"]
    space = run.root.space
    for row, (_, epochs) in zip(rows, run.trained, strict=True):
        architecture = space.parse(row["architecture"])
        assert float(row["accuracy"]) == convolutions(architecture)
        assert float(row["epochs"]) == pytest.approx(epochs)
        assert float(row["connected_flops"]) == run.cost(architecture)
    values = [float(row["accuracy"]) for row in rows[:16]]
    assert values == sorted(values, reverse=True)
    assert {row["origin"] for row in rows[16:]} == {"result"}


def test_a_pool_spreads_the_first_rung(tmp_path: Path) -> None:
    close, wide = (
        make(tmp_path / name, by_id, by_id, **settings)
        for name, settings in (("close", {}), ("wide", {"pool": 40}))
    )
    done = close.search(200)
    for run in (close, wide):
        run.folder.path.mkdir()
        climbed(run, done)
    lowest = [min(by_id(a) for a, _ in run.trained[:16]) for run in (close, wide)]
    highest = [max(by_id(a) for a, _ in run.trained[:16]) for run in (close, wide)]
    assert lowest[1] < lowest[0]
    assert highest[0] == highest[1]


def test_a_model_proposes_what_the_scores_have_missed(tmp_path: Path) -> None:
    run = make(tmp_path, by_id, convolutions, proposals=0.5, networks=32)
    result = climbed(run)
    rungs = result.facts["rungs"]
    assert rungs[1]["origins"] == {"result": 4, "model": 4}
    assert rungs[1]["model_tau"] > 0.5
    first, second = ([a for a, _ in run.trained[s]] for s in (slice(0, 32), slice(32, 40)))
    assert max(map(convolutions, second)) > max(map(convolutions, first))
    assert result.found.place.origin in ("model", "result")
    assert convolutions(result.found.place.architecture) == max(map(convolutions, second))


def test_a_model_that_has_learnt_nothing_proposes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Useless:
        tau = 0.0

        def __init__(self, *_: Any) -> None:
            return

    monkeypatch.setattr(ladder_module, "LadderModel", Useless)
    result = climbed(make(tmp_path, by_id, convolutions, proposals=0.5))
    assert result.facts["rungs"][1]["origins"] == {"result": 4}
    assert result.facts["rungs"][1]["model_tau"] == 0.0


def test_where_scores_are_too_few_random_networks_fill_the_rung(tmp_path: Path) -> None:
    run = make(tmp_path, by_id, convolutions)
    result = climbed(run, run.search(5))
    origins = result.facts["rungs"][0]["origins"]
    assert origins["random"] == 16 - origins["score"]
    assert origins["random"] >= 11
    assert len({run.root.space.canonical(a) for a, _ in run.trained[:16]}) == 16


def test_networks_above_the_limit_are_neither_drawn_nor_proposed(tmp_path: Path) -> None:
    from fewshot_core.costs.table import Limits

    run = make(tmp_path, by_id, convolutions, proposals=0.5)
    run.limits = Limits(flops=2500)
    done = [t for t in run.search(300) if run.accepts()(t.architecture)][:8]
    climbed(run, done)
    assert all(run.cost(a) <= 2500 for a, _ in run.trained)
    assert len(run.trained) == 21


def test_of_equal_results_the_cheaper_network_climbs(tmp_path: Path) -> None:
    run = make(tmp_path, by_id, lambda a: 50.0)
    result = climbed(run)
    first = [a for a, _ in run.trained[:16]]
    assert run.cost(result.found.place.architecture) == min(map(run.cost, first))


@pytest.mark.parametrize(("judge", "best"), [("loss", min), ("metric", max)])
def test_what_networks_are_compared_by(tmp_path: Path, judge: str, best: Any) -> None:
    """The two disagree here: the lower the loss, the lower the accuracy."""
    run = make(tmp_path, by_id, by_id, judge=judge)

    def train(architecture: Architecture, epochs: float) -> dict[str, float]:
        run.trained.append((architecture, epochs))
        return {"accuracy": by_id(architecture), "loss": by_id(architecture)}

    run.train = train  # type: ignore[method-assign]
    result = climbed(run)
    first = [a for a, _ in run.trained[:16]]
    assert result.found.place.architecture == best(first, key=by_id)
    assert result.facts["metric"] == {"metric": "accuracy"}.get(judge, judge)


def test_cost_and_score_count_beside_noisy_results(tmp_path: Path) -> None:
    """Results alone, the price alone, and the sum of ranks that the setting describes."""
    run = make(tmp_path, by_id, lambda a: -by_id(a), rungs=1, epochs=16)

    def found(prior: float) -> Architecture:
        run.change(ladder__prior=prior)
        run.trained.clear()
        return climbed(run, done).found.place.architecture

    done = run.search(100)
    alone = found(0)  # the default
    first = [a for a, _ in run.trained]
    assert alone == min(first, key=by_id)
    merit = {
        a: rank([-by_id(b) for b in first])[i]
        + 0.5 * rank([run.cost(b) for b in first])[i]
        + 0.5 * rank([by_id(b) for b in first])[i]
        for i, a in enumerate(first)
    }
    assert merit[found(0.5)] == max(merit.values())
    costs = {a: run.cost(a) for a in first}
    scores = [by_id(a) for a in first]
    both = {a: rank(list(costs.values()))[i] + rank(scores)[i] for i, a in enumerate(first)}
    assert both[found(10)] >= sorted(both.values())[-2]


def test_a_rank_without_a_score_is_in_the_middle() -> None:
    assert rank([3.0, math.nan, 1.0, 3.0]).tolist() == pytest.approx([2 / 3, 0.5, 1 / 6, 2 / 3])
    assert rank([math.nan]).tolist() == [0.5]


def test_what_diverges_does_not_climb(tmp_path: Path) -> None:
    run = make(tmp_path, by_id, by_id)

    def train(architecture: Architecture, epochs: float) -> dict[str, float]:
        run.trained.append((architecture, epochs))
        if len(run.trained) <= 10:
            raise DivergedError("the loss is not a number")
        value = math.nan if len(run.trained) == 11 else by_id(architecture)
        return {"accuracy": value, "loss": -value}

    run.train = train  # type: ignore[method-assign]
    result = climbed(run)
    assert [rung["networks"] for rung in result.facts["rungs"]] == [5, 4, 1]


def test_where_everything_diverges_the_best_score_stays(tmp_path: Path) -> None:
    run = make(tmp_path, by_id, by_id)

    def train(architecture: Architecture, epochs: float) -> dict[str, float]:
        raise DivergedError("the loss is not a number")

    run.train = train  # type: ignore[method-assign]
    assert climb(run, run.search(40)) is None  # type: ignore[arg-type]
    assert not (tmp_path / "ladder.json").exists()


def test_all_processes_choose_alike(tmp_path: Path) -> None:
    one, other = (
        Paper(tmp_path / name, by_id, convolutions, writes=writes)
        for name, writes in (("one", True), ("other", False))
    )
    (tmp_path / "one").mkdir()
    for run in (one, other):
        run.change(ladder__networks=16, ladder__epochs=12.0)
        climbed(run)
    assert one.trained == other.trained
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ladder.networks=1"], "ladder.networks=1 must be 0"),
        (["ladder.networks=8", "ladder.pool=4"], "ladder.pool=4 is less than ladder.networks=8"),
        (["ladder.networks=0", "ladder.rungs=2"], "ladder.rungs=2 has no effect"),
        (["ladder.networks=8", "ladder.keep=1"], "ladder.keep"),
    ],
)
def test_settings_that_cannot_be(words: list[str], told: str) -> None:
    with pytest.raises(Exception, match=told):
        load_recipe(["recipe=digits", *words])


def test_a_ladder_is_off_by_default() -> None:
    recipe = load_recipe(["recipe=digits"]).recipe
    assert recipe.ladder.networks == 0
    assert with_values(recipe, {"ladder.networks": 8}).ladder.networks == 8
