"""An opened run acts on nothing, and a training from scratch is scored as it was asked for."""

from __future__ import annotations

import dataclasses
import inspect
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from fewshot_core.costs.table import CostTable
from fewshot_core.pipeline import standalone
from fewshot_core.pipeline.images import RunImages
from fewshot_core.pipeline.opening import start
from fewshot_core.pipeline.run import KeptRun, Run
from fewshot_core.pipeline.standalone import train_standalone
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.console import Console
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.split_rule import SplitDecision
from fewshot_core.testing.toys import toy_space
from tests.tools.process import words_of
from tests.tools.tiny import TINY


class Untouched:
    """Something that acts: who looks at it or calls it has failed."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was touched")


def made(path: Path, **fields: Any) -> Run:
    """A run whose parts that can act may not be touched, but for those given."""
    root = Region.root(toy_space(2, 5))
    costs = dict.fromkeys(("params", "flops"), 1.0)
    options = {d.name: dict.fromkeys(d.options, costs) for d in root.space.decisions}
    acting: Any = Untouched()
    known = {
        "recipe": Recipe(),
        "folder": RunFolder(path),
        "console": acting,
        "task": acting,
        "root": root,
        "images": acting,
        "accelerator": acting,
        "worker": acting,
        "team": acting,
        "stop": StopRequest(),
        "splitting": SplitDecision(False, 1.0),
        "tree": RegionTree(root),
        "costs": CostTable(root.space, costs, options),
    }
    return Run(**known | fields)


def test_what_a_run_says_of_itself_acts_on_nothing(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    names = [name for name, value in inspect.getmembers(Run) if isinstance(value, property)]
    assert {"writes", "limits"} <= set(names)
    for name in names:
        getattr(run, name)
    architecture = next(iter(run.root.enumerate()))
    assert run.accepts()(architecture)
    assert run.front_cost(architecture) == 1.0 + len(run.root.space.decisions)
    assert run.price(architecture) == (run.front_cost(architecture),) * 2
    assert not (tmp_path / "run").exists()


def test_nothing_of_it_is_computed_later_or_exchanged(tmp_path: Path) -> None:
    run = made(tmp_path)
    methods = [value for name, value in inspect.getmembers(Run) if not name.startswith("_")]
    assert not any(isinstance(value, cached_property) for value in methods)
    for field in dataclasses.fields(run):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(run, field.name, None)
    assert issubclass(Run, KeptRun)


def test_images_are_read_when_they_are_asked_for_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def load(settings: Any, seed: int, *, kept: Any) -> Any:
        read.append(seed)
        return SimpleNamespace(resize=lambda size: f"{size} pixels")

    monkeypatch.setattr("fewshot_core.pipeline.images.load_images", load)
    recipe = Recipe(seed=3)
    images = RunImages(recipe, RunFolder(tmp_path), Console(writes=False))
    assert read == []
    assert images.data() is images.data() is images.search_data()
    assert read == [3]
    small = with_values(recipe, {"data.search_size": 4})
    images = RunImages(small, RunFolder(tmp_path), Console(writes=False))
    assert images.search_data() == "4 pixels"


@pytest.mark.parametrize(("every_image", "count"), [(True, None), (False, 7)])
def test_a_truth_uses_every_validation_image_and_a_score_those_of_the_evaluator(
    every_image: bool, count: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, trained = [], []

    def scorer(recipe: Recipe, data: Any, part: str, accelerator: Any, folder: Path) -> Any:
        used.append((recipe.evaluator.images, part))
        return SimpleNamespace(score=lambda model, architecture: {"accuracy": 90.0})

    recipe = with_values(Recipe(), {"evaluator.images": 7})
    data = SimpleNamespace(shape=None, train=None)
    run = made(
        tmp_path,
        recipe=recipe,
        images=SimpleNamespace(data=lambda: data, facts=lambda: data),
        task=SimpleNamespace(
            network=lambda architecture, recipe, shape: nn.Linear(1, 1), scorer=scorer
        ),
    )
    monkeypatch.setattr(standalone, "fit", lambda run, *args: trained.append(args))
    architecture = Architecture("s", (1,))
    metrics = train_standalone(run, architecture, 3.0, every_image=every_image)
    assert metrics == {"accuracy": 90.0}
    assert used == [(count, "validation")]
    assert recipe.evaluator.images == 7
    assert trained[0][4].folder.name == f"{architecture.id}-3"
    train_standalone(run, architecture, 5 / 3)
    assert trained[1][4].folder.name == f"{architecture.id}-1.66667"
    assert trained[1][2].epochs == pytest.approx(5 / 3)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "only 40 validation images tell networks apart"),  # a fifth of 200
        ({"evaluator.images": 16}, "only 16 validation images"),
        ({"data.validation": 0.5}, ""),  # 100, see HELD_LEAST
        ({"evaluator": "counting", "audit.networks": 0}, ""),  # it measures nothing
    ],
)
def test_few_validation_images_are_told(
    settings: dict[str, object], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(load_recipe(words_of(TINY | settings, run=tmp_path / "run"))).folder.close()
    said = " ".join(capsys.readouterr().out.split())
    assert ("validation images tell networks apart" in said) == bool(told)
    assert told in said
