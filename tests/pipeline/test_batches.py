"""Batches that leave batch norm a single value, or a process something it cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from fewshot_core.errors import RecipeError
from fewshot_core.pipeline.batches import SECTIONS, _check_share
from fewshot_core.pipeline.opening import start
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.trainings import RetrainSettings, TrainingSettings
from tests.tools.process import words_of
from tests.tools.tiny import MOBILE, TINY

PIXEL = MOBILE | {"network.stem_stride": 2}
"""Mobile networks whose last feature maps have one pixel."""


def open_derivation(tiny: dict[str, object], tmp_path: Path, **changes: object) -> None:
    AcceleratorState._reset_state()
    settings = {key.replace("__", "."): value for key, value in changes.items()}
    start(load_recipe(words_of(tiny | settings, run=tmp_path / "run"))).folder.close()


@pytest.mark.parametrize("key", SECTIONS)
def test_one_image_on_a_map_of_one_pixel_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=rf"^{key}\.batch_size=1 .*one pixel.*2 images"):
        open_derivation(PIXEL, tmp_path, **{f"{key}__batch_size": 1})
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize(("recalibrate", "size"), [(1, 64), (7, 2)])
def test_so_is_a_batch_of_one_that_statistics_are_measured_with(
    recalibrate: int, size: int, tmp_path: Path
) -> None:
    changes = {"evaluator__recalibrate": recalibrate, "evaluator__batch_size": size}
    with pytest.raises(RecipeError, match=rf"recalibrate={recalibrate} .*batch_size={size} .*one"):
        open_derivation(PIXEL, tmp_path, **changes)


@pytest.mark.parametrize(
    ("tiny", "changes"),
    [
        (PIXEL, {"supernet__batch_size": 2, "evaluator__recalibrate": 2}),
        (TINY, {"supernet__batch_size": 1, "evaluator__recalibrate": 1}),  # maps of four pixels
    ],
    ids=["two images", "four pixels"],
)
def test_two_values_are_enough(
    tiny: dict[str, object], changes: dict[str, object], tmp_path: Path
) -> None:
    open_derivation(tiny, tmp_path, **changes)


@pytest.mark.parametrize(
    ("settings", "world", "said"),
    [
        (TrainingSettings(batch_size=3, micro_batch=2), 1, "a piece of one image"),
        (TrainingSettings(batch_size=10, micro_batch=2), 2, "on 2 processes.*of one image"),
        (TrainingSettings(batch_size=6), 4, "cannot be divided among 4 processes"),
        (RetrainSettings(batch_size=6, mixup=0.2), 2, "3 images.*allowed: a multiple of 4"),
        (RetrainSettings(batch_size=2, cutmix=0.2), 2, "1 images.*allowed: a multiple of 4"),
        (TrainingSettings(batch_size=4, micro_batch=2), 1, ""),
        (TrainingSettings(batch_size=5, micro_batch=3), 1, ""),  # 3 and 2
        (TrainingSettings(batch_size=1, micro_batch=2), 1, ""),
        (RetrainSettings(batch_size=8, mixup=0.2), 2, ""),
    ],
)
def test_what_a_process_gets(settings: TrainingSettings, world: int, said: str) -> None:
    if not said:
        _check_share("retrain", settings, world)
        return
    with pytest.raises(RecipeError, match=said):
        _check_share("retrain", settings, world)
