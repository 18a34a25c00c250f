"""Supernets that are trained at rates by complexity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from fewshot_core.errors import RecipeError
from fewshot_core.pipeline.opening import start
from fewshot_core.pipeline.supernets import train_supernet
from fewshot_core.pipeline.training import with_pace
from fewshot_core.recipe.load import load_recipe
from fewshot_core.training.objective import PacedObjective
from tests.tools.process import words_of
from tests.tools.tiny import GAN, TINY


def weights(path: Path, **settings: object) -> dict[str, torch.Tensor]:
    run = start(
        load_recipe(words_of(TINY | settings | {"split": "none"}, run=path), drop_unread=True)
    )
    try:
        return train_supernet(run, run.root, None)[0].state_dict()
    finally:
        run.folder.close()


def test_the_recipe_decides_how_rates_fall(tmp_path: Path) -> None:
    cosine = weights(tmp_path / "cosine")
    paced = weights(tmp_path / "paced", **{"supernet.schedule": "complexity"})
    again = weights(tmp_path / "again", **{"supernet.schedule": "complexity"})
    assert any(not torch.equal(cosine[name], paced[name]) for name in cosine)
    assert all(torch.equal(again[name], paced[name]) for name in again)


@pytest.mark.parametrize("tiny", [TINY, GAN], ids=["cells", "generators"])
def test_objectives_of_the_tasks_can(tiny: dict[str, object], tmp_path: Path) -> None:
    words = words_of(tiny | {"regions.schedule": "complexity"}, run=tmp_path / "run")
    run = start(load_recipe(words))  # which tries every objective with its settings
    try:
        settings = run.recipe.regions
        model = run.task.supernet(run.root, run.recipe, run.images.data().shape)
        objective = run.task.objective(model, settings, 2, run.worker)
        assert isinstance(objective, PacedObjective)
        assert objective.pace is None
        paced = cast(Any, with_pace(run, objective, settings))
        assert paced.pace is not None
        assert with_pace(run, objective, replace(settings, schedule="cosine")) is objective

        with pytest.raises(RecipeError, match="no learning rate by complexity"):
            with_pace(run, cast(Any, object()), settings)
    finally:
        run.folder.close()
