"""Figures as tables name them: never without the extractor and the number of images."""

from __future__ import annotations

from fewshot_core.recipe.schema import Recipe

NAMES = {
    "is": "IS",
    "is_std": "IS, standard deviation over its splits",
    "fid": "FID",
    "fid_train": "FID against the training images",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
}


def metric_text(recipe: Recipe, metric: str, part: str) -> str:
    """``FID (classifier, 5,000 images)``."""
    settings = recipe.metric
    count = settings.images if part == "validation" else settings.test_images
    name = NAMES.get(metric, metric)
    if metric == "reward":
        name = f"{settings.is_weight:g} IS − {settings.fid_weight:g} FID"
    return f"{name} ({settings.extractor}, {count:,} images)"
