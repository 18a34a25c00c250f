"""Scores of generators: the same noise for all of them, and batch-norm statistics of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from fewshot_core.data import ImageData, Images
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.schema import Recipe, recalibration_images
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet, recalibrate_norms
from fewshot_tasks.autogan.extractors import (
    Extractor,
    classifier,
    common_folder,
    inception,
    require_classes,
)
from fewshot_tasks.autogan.metric import Judge, Reference, join_features
from fewshot_tasks.autogan.network import to_bytes


class GanScorer:
    """Generates images and has them judged.

    A candidate of a supernet runs with batch-norm statistics of its own, measured on noise that is
    not scored; a standalone generator is scored as it is.

    Args:
        judge: Measures the images.
        noise: ``[N, latent]``, the same for every generator.
        calibration: Batches of noise for batch-norm statistics.
        batch_size: Images generated at once.
        accelerator: Its processes share the work; each has to ask for the same scores.
    """

    def __init__(
        self,
        judge: Judge,
        noise: Tensor,
        calibration: Sequence[Tensor],
        batch_size: int,
        accelerator: Accelerator,
    ) -> None:
        self.judge, self.noise, self.calibration = judge, noise, calibration
        self.batch_size, self.accelerator = batch_size, accelerator

    @torch.no_grad()
    def score(
        self, model: nn.Module, architecture: Architecture | None, share: float = 1.0
    ) -> dict[str, float]:
        def forward(z: Tensor) -> Tensor:
            with self.accelerator.autocast():
                images: Tensor = model(z) if architecture is None else model(z, architecture)
                return images

        calibration = [] if architecture is None else self.calibration
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        mine = self.noise[: self._count(share)].tensor_split(world)[rank]
        with recalibrate_norms(model, calibration, forward):
            images = generate(forward, mine, self.batch_size, self.accelerator.device)
        features = None if images is None else self.judge.features(images)
        parts = gather_object([features]) if world > 1 else [features]
        whole = [part for part in parts if part is not None]
        return self.judge.figures(join_features(whole) if len(whole) == len(parts) else None)

    def price(self, share: float) -> float:
        """In images that are generated; those of recalibration are always the same."""
        calibration = sum(len(z) for z in self.calibration)
        return (calibration + self._count(share)) / (calibration + len(self.noise))

    def score_many(
        self, model: Supernet, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, dict[str, float]]]:
        """One after the other: generators have little in common."""
        for architecture in architectures:
            yield architecture, self.score(model, architecture)

    def _count(self, share: float) -> int:
        # A split of the Inception score needs an image.
        count = math.ceil(share * len(self.noise) - 1e-9)
        return min(len(self.noise), max(self.judge.settings.splits, count))


@torch.no_grad()
def generate(
    forward: Callable[[Tensor], Tensor], noise: Tensor, batch_size: int, device: torch.device
) -> Tensor | None:
    """uint8 images ``[N, C, S, S]`` on the CPU; None where a generator gives no numbers."""
    images = []
    for z in noise.split(batch_size):
        pixels = forward(z.to(device))
        if not pixels.isfinite().all():
            return None
        images.append(to_bytes(pixels).cpu())
    return torch.cat(images)


def draw_fixed_noise(recipe: Recipe, count: int, *purpose: str) -> Tensor:
    """``[count, latent]``, a function of the run's seed and what it is for."""
    generator = torch.Generator().manual_seed(derive_seed(recipe.seed, "noise", *purpose))
    return torch.randn(count, recipe.network.latent, generator=generator)


def make_extractor(
    recipe: Recipe, data: ImageData, accelerator: Accelerator, folder: Path
) -> Extractor:
    """The extractor that the recipe names. Every process has to ask for it."""
    if recipe.metric.extractor == "classifier":
        return classifier(recipe.metric, data, accelerator, folder, recipe.seed)
    return inception(recipe.metric, accelerator)


NEIGHBOURS = 3
"""Of an image, in precision and recall: torch-fidelity's number."""


def check_metric(recipe: Recipe, data: ImageData, accelerator: Accelerator) -> None:
    """Find out whether generators can be measured. Every process has to call this.

    The weights of Inception are loaded once to see it, and downloaded where they are not there.

    Raises:
        RecipeError: The weights cannot be had, there are no classes to tell apart, or there are
            too few images to compare with.
    """
    if recipe.metric.extractor == "classifier":
        require_classes(data)
    else:
        inception(recipe.metric, accelerator)
    # A deviation takes two images, a neighbourhood one more than neighbours.
    least = NEIGHBOURS + 1 if recipe.metric.precision_recall else 2
    counts = {"validation images": len(data.validation), "metric.images": recipe.metric.images}
    if data.test_count is not None:
        counts["test images"] = data.test_count
    for name, count in counts.items():
        if count < least:
            raise RecipeError(
                f"{name} are too few to measure generators", found=count, allowed=f"{least} or more"
            )


def make_judge(
    recipe: Recipe, data: ImageData, part: str, accelerator: Accelerator, folder: Path
) -> Judge:
    """What measures against one part of the real images: ``validation`` or ``test``.

    Retrained generators may also be measured against the training images, which is what published
    distances are; no choice is made by it.
    """

    def reference(name: str, *parts: Images) -> Reference:
        images = torch.cat([part.pixels(torch.arange(len(part))) for part in parts])
        return Reference(f"{data.source}-{name}", images)

    if part == "validation":
        references = {"fid": reference(part, data.validation)}
    else:
        references = {"fid": reference(part, data.test())}
        if recipe.metric.against_train:
            references["fid_train"] = reference("train", data.train, data.validation)
    own = recipe.metric.extractor == "classifier"
    cache = Path(recipe.metric.cache).expanduser() if recipe.metric.cache else common_folder()
    return Judge(
        make_extractor(recipe, data, accelerator, folder),
        recipe.metric,
        references,
        folder if own else cache,
        writes=accelerator.is_main_process,
        cuda=accelerator.device.type == "cuda",
    )


def make_scorer(
    recipe: Recipe, data: ImageData, part: str, accelerator: Accelerator, folder: Path
) -> GanScorer:
    """The scorer of a search, or of what was retrained."""
    count = recipe.metric.images if part == "validation" else recipe.metric.test_images
    size = recipe.evaluator.batch_size
    recalibrate = draw_fixed_noise(recipe, recalibration_images(recipe.evaluator), "calibration")
    return GanScorer(
        make_judge(recipe, data, part, accelerator, folder),
        draw_fixed_noise(recipe, count, part),
        [z.to(accelerator.device) for z in recalibrate.split(size) if len(z)],
        size,
        accelerator,
    )
