"""The three guides, run as they are written: on made images, and with everything made small.

Every command block of a guide is one flow, in a folder of its own. A word of the guide is left out
only where a word below says the same setting smaller.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.shared import once
from tests.tools.process import succeed
from tests.tools.tiny import GAN

from .pages import DOCS, blocks

SIDE, CLASSES, EACH = 24, ("circle", "cross", "stripes"), 40

MOBILE: dict[str, object] = {
    "threads": 1,
    "data.image_size": 16,
    "data.validation": 0.2,
    "network.width": 0.25,
    "network.head": 16,
    "supernet.epochs": 1,
    "supernet.batch_size": 16,
    "regions.epochs": 0.5,
    "evaluator.recalibrate": 32,
    "strategy.population": 4,
    "strategy.sample": 2,
    "search.trials": 6,
    "audit.networks": 0,
    "retrain.batch_size": 16,
    "retrain.epochs": 0.5,
    "retrain.seeds": 1,
}
"""Of networks for photographs. All else is chosen for the images, as a user has it chosen."""


LARGER: dict[str, object] = {key: MOBILE[key] for key in MOBILE if key != "regions.epochs"} | {
    "split": "none",
    "supernet.warmup_epochs": 0,
    "retrain.warmup_epochs": 0,
    "data.workers": 0,
    "search.trials": 4,
}
"""With a recipe for ImageNet among them, which is for many epochs and reads with processes."""

SWEEP: dict[str, object] = {
    "threads": 1,
    "data.limit": 200,
    "network.channels": 4,
    "supernet.epochs": 1,
    "split": "none",
    "evaluator.recalibrate": 64,
    "search.trials": 5,
    "strategy.population": 4,
    "strategy.sample": 2,
    "audit.networks": 0,
    "retrain.epochs": 0.1,
    "retrain.seeds": 1,
}
"""Of sweeps over digits."""

SPLIT: dict[str, object] = {key: SWEEP[key] for key in SWEEP if key != "split"} | {
    "regions.epochs": 0.1
}
"""Of those that say how long regions are trained."""

GENERATORS = {key: GAN[key] for key in GAN if key != "recipe"}
"""Of generators."""


@dataclass(frozen=True)
class Flow:
    """A block of commands.

    Attributes:
        page: The guide.
        place: Which of its blocks with commands.
        small: What makes its searches small.
        left: Files that stand in its folder afterwards.
    """

    page: str
    place: int
    small: Mapping[str, object]
    left: tuple[str, ...]


FLOWS = (
    Flow("own_images", 0, MOBILE, ("runs/mine/report.html", "runs/mine/export/model.onnx")),
    Flow("own_images", 1, LARGER, ("runs/two/found.json", "runs/imagenet/found.json")),
    Flow("comparing", 0, SWEEP, ("runs/digits-sweep/sweep.json", "compare.svg")),
    Flow("comparing", 1, SPLIT, ("runs/digits-sweep/seed=2+strategy=random/found.json",)),
    Flow("autogan", 0, GENERATORS, ("runs/autogan_digits/export/generator.py",)),
    Flow("autogan", 1, GENERATORS, ("runs/mine/report.html", "runs/mine/export/generator.py")),
)


def make_images(folder: Path) -> None:
    """``images`` and ``images.zip``: a folder of small pictures for each of three classes."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:SIDE, :SIDE] - SIDE // 2
    shapes = (x**2 + y**2 < 60, (abs(x) < 3) | (abs(y) < 3), (x + y) % 6 < 3)
    for name, shape in zip(CLASSES, shapes, strict=True):
        for number in range(EACH):
            pixels = rng.integers(0, 90, (SIDE, SIDE, 3)) + 150 * shape[..., None]
            path = folder / "images" / name / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    with zipfile.ZipFile(folder / "images.zip", "w") as file:
        for path in sorted((folder / "images").rglob("*.png")):
            file.write(path, path.relative_to(folder / "images"))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "guide_images", make_images)


def flow_words(flow: Flow, name: str, words: Sequence[str], images: Path) -> list[str]:
    """The words of a command with our images in place of a user's, and small where it searches."""
    mine = [word.replace("/my/images", str(images / "images")) for word in words]
    if name != "search":
        return mine
    kept = [word for word in mine if word.partition("=")[0] not in flow.small]
    return [*kept, *(f"{key}={value}" for key, value in flow.small.items())]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: f"{flow.page}-{flow.place}")
def test_a_guide_runs_as_it_is_written(flow: Flow, images: Path, tmp_path: Path) -> None:
    block = [found for found in blocks(DOCS / f"{flow.page}.md") if found][flow.place]
    for name, words in block:
        done = succeed(name, flow_words(flow, name, words, images), tmp_path)
        assert done.out
    assert [path for path in flow.left if not (tmp_path / path).is_file()] == []


def test_every_block_of_a_guide_is_run() -> None:
    for page in {flow.page for flow in FLOWS}:
        there = sum(bool(found) for found in blocks(DOCS / f"{page}.md"))
        assert [flow.place for flow in FLOWS if flow.page == page] == list(range(there))
