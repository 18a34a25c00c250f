"""What would stop a later stage is found before the first step, and leaves no run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fewshot_core.training import loop as training
from tests.data.forms import images, write_folder

from .process import launch, run_here, words_of
from .refusals import refused
from .tiny import GAN, TINY


def _no_step(*arguments: Any) -> Any:
    raise AssertionError("a training began")


def forbid_training() -> None:
    """In a tool's process: a step is a failure."""
    training._Run._step = _no_step  # type: ignore[method-assign]


def folder(root: Path) -> None:
    write_folder(root / "images", images(6))


def damaged_test_part(root: Path) -> None:
    write_folder(root / "images" / "train", images(6))
    write_folder(root / "images" / "test", images(2))
    for name in ("cat/000.png", "dog/002.png"):
        (root / "images" / "test" / name).write_bytes(b"damaged")


ON_IMAGES = {"data": "images", "data.root": "images"}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[Path], None], tuple[str, ...]]] = {
    "augmentation": (TINY, {"retrain.augment": "rnd-m9"}, folder, ("augment=rnd-m9",)),
    "teacher": (TINY, {"retrain.teacher": "local-dir:gone"}, folder, ("retrain.teacher=", "gone")),
    "optimiser": (TINY, {"retrain.optimizer": "adamm"}, folder, ("adamm",)),
    "test images": (TINY, ON_IMAGES, damaged_test_part, ("cat/000.png", "dog/002.png")),
    "preferences": (
        TINY,
        ON_IMAGES | {"strategy": "setn", "data.validation": 0.75, "data.test": 0.5},
        folder,
        ("too few images",),
    ),
    "Inception": (
        GAN,
        {"metric": "inception", "metric.weights": "gone.pth"},
        folder,
        ("gone.pth",),
    ),
    "classes": (
        GAN,
        ON_IMAGES | {"data.labelled": "false", "data.image_size": 8},
        folder,
        ("metric.extractor=classifier needs images of two classes or more", "inception"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_before_the_first_step(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training._Run, "_step", _no_step)
    base, changes, prepare, parts = CASES[case]
    prepare(tmp_path)
    settings = {k: v for k, v in base.items() if k != "data.limit" and not k.startswith("audit")}
    if "metric" in changes:
        del settings["metric.steps"]
    if changes.get("strategy") == "setn":
        settings = {k: v for k, v in settings.items() if not k.startswith(("strategy", "search"))}
    given = words_of(settings | changes, run="run")
    refused(run_here("search", given, tmp_path), *parts)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stage", ["regions", "retrain"])
def test_batches_of_later_stages_are_divided_beforehand(stage: str, tmp_path: Path) -> None:
    given = words_of(TINY | {"threads": 1, f"{stage}.batch_size": 33}, run="run")
    main, other = (one.wait() for one in launch(2, "search", given, tmp_path, forbid_training))
    refused(main, "batch_size", "found: 33", "a multiple of 2")
    assert other.code == 2
    assert not (tmp_path / "run").exists()


def test_a_table_without_all_rows(truth: Path, tmp_path: Path) -> None:
    changes = {"evaluator": "table", "evaluator.table": truth, "evaluator.column": "accuracy"}
    settings = {k: v for k, v in TINY.items() if not k.startswith(("supernet", "split", "regions",
                "audit", "evaluator"))}  # fmt: skip
    done = run_here("search", words_of(settings | changes, run="run"), tmp_path)
    refused(done, "has no row for 15,575 of the 15,625 architectures", "search a smaller space")
    assert not (tmp_path / "run").exists()
