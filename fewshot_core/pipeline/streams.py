"""Training batches as a recipe wants them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from accelerate import Accelerator

from fewshot_core.data import BatchStream, ImageData, Images
from fewshot_core.data.augment import Augment
from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.recipe.schema import Recipe, RetrainSettings, TrainingSettings


def training_stream(
    recipe: Recipe,
    data: ImageData,
    images: Images,
    settings: TrainingSettings,
    seed: int,
    accelerator: Accelerator,
    tell: Callable[[str], None] = warnings.warn,
) -> BatchStream | PrefetchedStream:
    """Training batches of this process; shifts and squares shrink with the images.

    Args:
        recipe: Its section ``data`` says what is done to images.
        data: Gives normalisation and the size that the settings are about.
        images: What is trained on.
        settings: Batch size, and what only retraining does to images.
        seed: Decides order and augmentation.
        accelerator: Which process this is, of how many.
        tell: Is told where there are fewer workers than the recipe wants.
    """
    how, scale = recipe.data, images.input_size[1] / data.image_size
    augment = Augment(how.scale, how.jitter)
    if isinstance(settings, RetrainSettings):
        augment = Augment(how.scale, how.jitter, settings.augment, settings.erase)
    stream = BatchStream(
        images,
        batch_size=settings.batch_size,
        seed=seed,
        mean=data.mean,
        std=data.std,
        flip=how.flip,
        pad=round(how.pad * scale),
        cutout=round(how.cutout * scale),
        augment=augment,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
        device="cpu" if how.workers else accelerator.device,
    )
    return PrefetchedStream(stream, how.workers, tell) if how.workers else stream
