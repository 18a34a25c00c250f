from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from fewshot_core.pipeline.session import Session
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.console import Console
from fewshot_core.runs.folder import RunFolder
from fewshot_core.spaces.space import Architecture


@pytest.mark.parametrize(("epochs", "images", "name"), [(3.0, None, "3"), (None, 7, "5")])
def test_a_truth_uses_every_validation_image_and_a_score_those_of_the_evaluator(
    epochs: float | None,
    images: int | None,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used, trained = [], []

    def scorer(recipe: Recipe, data: Any, part: str, accelerator: Any, folder: Path) -> Any:
        used.append((recipe.evaluator.images, part))
        return SimpleNamespace(score=lambda model, architecture: {"accuracy": 90.0})

    recipe = Recipe()
    recipe.evaluator.images = 7
    session = Session(recipe, RunFolder(tmp_path), None, Console(main=False))  # type: ignore[arg-type]
    session.__dict__["data"] = SimpleNamespace(shape=None, train=None)
    session.__dict__["task"] = SimpleNamespace(
        network=lambda architecture, recipe, shape: nn.Linear(1, 1), scorer=scorer
    )
    monkeypatch.setattr(Session, "fit", lambda self, *args: trained.append(args))
    architecture = Architecture("s", (1,))
    assert session.train_standalone(architecture, epochs) == {"accuracy": 90.0}
    assert used == [(images, "validation")]
    assert recipe.evaluator.images == 7
    assert trained[0][4].folder.name == f"{architecture.id}-{name}"
    if epochs is None:
        session.train_standalone(architecture, share=1 / 3)
        assert trained[1][4].folder.name == f"{architecture.id}-1.66667"
        assert trained[1][2].epochs == pytest.approx(5 / 3)
