"""Pictures: grids of samples, and distances against training steps."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn
from torchvision.utils import make_grid

from fewshot_core.contexts import Moment, Moments, PictureContext
from fewshot_core.report.canvas import LINES, ShownFigure, new_figure, styled, with_legend
from fewshot_core.report.results import label_text
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.files import write_atomic
from fewshot_core.runs.retrained import base_label, settings_of_label
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import recalibrate_norms
from fewshot_tasks.autogan.metric import Judge
from fewshot_tasks.autogan.scorer import generate

ROWS = 8
SHOWN = ("found", "given", "one-shot", "random", "largest", "most-flops")
"""Labels in the order of the grids; three are shown."""

PANELS = 4
"""Grids beside each other, at most."""

TITLE = 28
"""Characters of a line above a grid, or of a legend of two columns."""

CURVE = "distances"
"""The note of a training that keeps [step, Frechet distance, Inception score]."""


@dataclass
class SampleWatch:
    """At every checkpoint of a retraining: a grid of samples, and how far they are from real ones.

    Args:
        noise: ``[64, latent]``, of the grids: the same at every checkpoint.
        scored: ``[N, latent]``, of the figures; none where there is no judge.
        real: Training images, uint8 ``[N, C, S, S]``, to be looked at beside the samples.
        judge: Measures against validation images.
    """

    noise: Tensor
    scored: Tensor
    real: Tensor
    judge: Judge | None
    batch_size: int
    device: torch.device

    def __call__(self, state: StageState, model: nn.Module, folder: Path) -> None:
        model.eval()
        images = generate(model, self.noise, self.batch_size, self.device)
        if images is None:  # the training loop says so, with the step
            return
        write_grid(grid_path(folder, state), images)
        if not real_path(folder).exists():
            write_grid(real_path(folder), self.real)
        if self.judge is None:
            return
        scored = generate(model, self.scored, self.batch_size, self.device)
        if scored is not None:
            figures = self.judge.measure(scored)
            state.notes.setdefault(CURVE, []).append([state.step, figures["fid"], figures["is"]])


@dataclass
class SupernetWatch:
    """At every checkpoint of a supernet: samples of some of its generators, a row for each.

    Args:
        architectures: The generators, the same at every checkpoint.
        noise: ``[N, latent]``, the same for all of them.
        calibration: Batches of noise for the batch-norm statistics of each.
    """

    architectures: Sequence[Architecture]
    noise: Tensor
    calibration: Sequence[Tensor]
    device: torch.device

    def __call__(self, state: StageState, model: nn.Module, folder: Path) -> None:
        rows = [self._row(model, architecture) for architecture in self.architectures]
        shown = [row for row in rows if row is not None]
        if shown:
            write_grid(grid_path(folder, state), torch.cat(shown), columns=len(self.noise))

    @torch.no_grad()
    def _row(self, model: nn.Module, architecture: Architecture) -> Tensor | None:
        def forward(z: Tensor) -> Tensor:
            images: Tensor = model(z, architecture)
            return images

        with recalibrate_norms(model, [z.to(self.device) for z in self.calibration], forward):
            return generate(forward, self.noise, len(self.noise), self.device)


def grid_path(folder: Path, state: StageState) -> Path:
    """Where the samples of a checkpoint are drawn."""
    return folder / "samples" / f"step-{state.step:08d}.png"


def real_path(folder: Path) -> Path:
    """Where the real images are drawn that samples of a training stand beside."""
    return folder / "samples" / "real.png"


def write_grid(path: Path, images: Tensor, columns: int = ROWS, least: int = 512) -> None:
    """Write uint8 images ``[N, C, S, S]`` as one PNG, enlarged by whole pixels to be seen."""
    factor = max(1, least // (columns * images.shape[-1]))
    grid = make_grid(images, nrow=columns, padding=max(1, 2 // factor), pad_value=255)
    pixels = grid.permute(1, 2, 0).numpy().repeat(factor, 0).repeat(factor, 1)
    write_atomic(path, lambda beside: Image.fromarray(pixels).save(beside, format="png"))


def pictures(context: PictureContext) -> Iterator[tuple[str, str, Figure]]:
    """Name, caption and figure of what was trained, from what the run folder holds."""
    yield from _draw_supernets(context)
    yield from _draw_retrained(context)


def _draw_supernets(context: PictureContext) -> Iterator[tuple[str, str, Figure]]:
    grids = {region: _grids(stage.folder) for region, stage in context.supernets.items()}
    last = {region: found[-1][1] for region, found in grids.items() if found}
    if last:
        yield (
            "supernets",
            "Samples of supernets at their last checkpoint: a row for each of up to eight "
            "generators drawn from the region, the same noise in every row.",
            sample_panels(dict(list(last.items())[:PANELS])),
        )


def find_moments(context: PictureContext) -> Moments | None:
    """The samples of the first generator that was drawn more than once while it was trained."""
    names, trainings = _of_labels(context)
    for label in SHOWN:
        grids = _grids(trainings[label].folder) if label in trainings else []
        if len(grids) < 2:
            continue
        measured = {int(step): (fid, score) for step, fid, score in _curve(trainings[label])}
        real = real_path(trainings[label].folder)
        return Moments(
            f"{ROWS * ROWS} samples of a generator ({names[label]}, first seed) while it was "
            "trained, always from the same noise.",
            [Moment(step, path, _measured(context, measured.get(step))) for step, path in grids],
            real if real.exists() else None,
            "progress",
        )
    return None


def _measured(context: PictureContext, values: tuple[float, float] | None) -> str:
    """``FID 12.3, IS 4.56 (classifier, 1,000 images against the validation images)``."""
    if values is None:
        return ""
    metric: Any = context.recipe.metric
    return (
        f"FID {values[0]:.3g}, IS {values[1]:.3g} ({metric.extractor}, {metric.watch_images:,} "
        "images against the validation images)"
    )


def _of_labels(context: PictureContext) -> tuple[dict[str, str], dict[str, StageCheckpoint]]:
    """Names and trainings by label without settings."""
    # With other settings than the run's a label has these behind it; the run's own come first.
    names: dict[str, str] = {}
    trainings: dict[str, StageCheckpoint] = {}
    for label in sorted(context.trainings, key=lambda label: bool(settings_of_label(label))):
        names.setdefault(base_label(label), label_text(label))
        trainings.setdefault(base_label(label), context.trainings[label])
    return names, trainings


def _curve(stage: StageCheckpoint) -> list[list[float]]:
    curve: list[list[float]] = stage.state().notes.get(CURVE, [])
    return curve


def _draw_retrained(context: PictureContext) -> Iterator[tuple[str, str, Figure]]:
    names, trainings = _of_labels(context)
    grids = {label: _grids(stage.folder) for label, stage in trainings.items()}
    last = {label: grids[label][-1][1] for label in SHOWN if grids.get(label)}
    if last:
        shown = list(last)[:3]
        panels = {names[label]: last[label] for label in shown}
        text = "Samples of retrained generators from the same noise, none of them chosen: "
        text += f"{' beside '.join(panels)}; the first seed of each."
        real = real_path(trainings[shown[0]].folder)
        if real.exists():  # a run of an earlier version has none
            panels["real"] = real
            text += " Real: training images drawn at random, and none of them chosen either."
        yield "samples", text, sample_panels(panels)
    first = next((label for label in SHOWN if len(grids.get(label, ())) > 1), None)
    if first is not None:
        chosen = _pick_spread(grids[first], PANELS)
        yield (
            "progress",
            f"Samples of a generator ({names[first]}) while it was trained, from the same noise.",
            sample_panels({f"step {step:,}": path for step, path in chosen}),
        )
    curves = {names[label]: _curve(stage) for label, stage in trainings.items()}
    if any(curves.values()):
        metric: Any = context.recipe.metric
        seen = ", which are trained on as well" if context.recipe.retrain.use_validation else ""
        yield (
            "distance",
            f"FID ({metric.extractor}, {metric.watch_images:,} images against the validation "
            f"images{seen}) at the checkpoints of the trainings, first seed of each; lower is "
            "better.",
            distance_curves(curves, f"FID ({metric.extractor}, {metric.watch_images:,} images)"),
        )


@styled
def sample_panels(grids: Mapping[str, Path]) -> Figure:
    """Grids beside each other."""
    figure = ShownFigure((2.9 * len(grids), 3.2), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(grids), squeeze=False)[0]
    for axes, (name, path) in zip(panels, grids.items(), strict=True):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        axes.imshow(pixels, interpolation="nearest")
        axes.set_title(textwrap.fill(name, TITLE), loc="left")
        axes.set_axis_off()
    return figure


@styled
def distance_curves(curves: Mapping[str, list[list[float]]], name: str) -> Figure:
    """Distance against discriminator steps, a line for each generator."""
    figure, (axes,) = new_figure()
    for place, (label, points) in enumerate(curves.items()):
        if points:
            steps, distances, _ = np.array(points, dtype=float).T
            colour = LINES[place % len(LINES)]
            axes.plot(steps, distances, color=colour, marker="o", markersize=4, label=label)
    axes.set(xlabel="discriminator steps", ylabel=name)
    axes.set_ylim(bottom=0)
    return with_legend(figure, axes, columns=2 if max(map(len, curves)) <= TITLE else 1)


def _grids(folder: Path) -> list[tuple[int, Path]]:
    paths = sorted((folder / "samples").glob("step-*.png"))
    return [(int(path.stem.removeprefix("step-")), path) for path in paths]


def _pick_spread(grids: list[tuple[int, Path]], count: int) -> list[tuple[int, Path]]:
    """The first, the last, and some between them."""
    count = min(count, len(grids))
    return [grids[i * (len(grids) - 1) // max(1, count - 1)] for i in range(count)]
