"""The metadata of a model card, as the Hugging Face Hub reads it: YAML before the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from fewshot_core.export.licenses import license_fields
from fewshot_core.recipe.schema import DataSettings
from fewshot_core.report.account import Account, data_name

HUB_NAMES = {
    "torch/cifar10": "uoft-cs/cifar10",
    "torch/cifar100": "uoft-cs/cifar100",
    "torch/fashion_mnist": "zalando-datasets/fashion_mnist",
    "torch/mnist": "ylecun/mnist",
}
"""What the Hub calls data sets that torchvision has."""

KINDS = {"images": "imagefolder", "wds": "webdataset", "hfds": "arrow"}
"""What Hugging Face's ``datasets`` calls the way in which other images are stored."""


@dataclass(frozen=True)
class Measured:
    """A test result.

    Attributes:
        metric: Its identifier, such as ``accuracy``.
        name: What the card calls it.
        value: Of the very weights that are exported.
        split: The part of the images that it is on.
    """

    metric: str
    name: str
    value: float
    split: str = "test"


def front_matter(
    *,
    model_name: str,
    account: Account,
    labels: Sequence[str],
    license: str,
    task: str,
    library: str | None,
    tags: Sequence[str],
    measured: Sequence[Measured],
) -> str:
    """The YAML, between its lines of dashes.

    Args:
        account: What the run did.
        labels: The labels of the architecture among those that were retrained.
        license: As :func:`fewshot_core.export.licenses.check_license` allows it.
        task: The task of the Hub, such as ``image-classification``.
        library: What loads the weights; None: nothing that the Hub knows.
        tags: More tags; how the network was found is added.
        measured: Results on the test images.
    """
    settings, fields = account.recipe.data, license_fields(license)
    known = hub_name(settings)
    found = ["few-shot-nas"] if account.found_by_few_shot(labels) else []
    results = [
        EvalResult(
            task_type=task,
            dataset_type=known or KINDS.get(settings.source, settings.source),
            dataset_name=data_name(settings),
            dataset_split=one.split,
            dataset_args=_args(account.data.get(one.split)),
            metric_type=one.metric,
            metric_name=one.name,
            metric_value=round(one.value, 4),
        )
        for one in measured
    ]
    data = ModelCardData(
        license=fields.get("license"),
        license_name=fields.get("license_name"),
        library_name=library,
        pipeline_tag=task,
        tags=[task, *tags, "neural-architecture-search", *found],
        datasets=[known] if known else None,
        metrics=[one.metric for one in measured],
        model_name=model_name,
        eval_results=results,
    )
    return f"---\n{data.to_yaml()}\n---"


def _args(count: object) -> dict[str, int] | None:
    return {"images": count} if isinstance(count, int) else None


def hub_name(settings: DataSettings) -> str | None:
    """What the Hub calls the images; None where it does not know them."""
    root = settings.root
    if settings.source == "hfds" and root is not None and not Path(root).expanduser().exists():
        return root
    return HUB_NAMES.get(settings.source)
