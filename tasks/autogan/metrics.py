"""What is measured on generators, and what tables call it."""

from __future__ import annotations

from fewshot_core.metrics import LOWER, Metric
from fewshot_core.recipe.schema import Recipe

REWARD = Metric("reward")
METRICS = (
    Metric("fid", LOWER, text="FID"),
    Metric("is", text="IS", beside=True),
    Metric("is_std", LOWER, text="IS, standard deviation over its splits", score=False),
    Metric("fid_train", LOWER, text="FID against the training images", score=False, beside=True),
    REWARD,
    Metric("kid", LOWER, text="KID", score=False, beside=True),
    Metric("precision", text="precision", score=False, beside=True),
    Metric("recall", text="recall", score=False, beside=True),
)
"""The first is what retrained generators are compared by."""


def name_metric(metric: Metric, recipe: Recipe, part: str) -> str:
    """``FID (classifier, 5,000 images)``: never without the extractor and the number of images."""
    settings = recipe.metric
    count = settings.images if part == "validation" else settings.test_images
    name = metric.text
    if metric == REWARD:
        name = f"{settings.is_weight:g} IS − {settings.fid_weight:g} FID"
    return f"{name} ({settings.extractor}, {count:,} images)"
