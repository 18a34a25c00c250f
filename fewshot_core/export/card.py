"""The model card: what the network is, its numbers, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fewshot_core.export.front_matter import Measured, front_matter
from fewshot_core.export.int8_facts import Int8Facts, int8_text
from fewshot_core.export.licenses import license_text
from fewshot_core.export.published import Published
from fewshot_core.export.usage import onnx_snippet, timm_snippet
from fewshot_core.metrics import Metric
from fewshot_core.recipe.schema import DataSettings
from fewshot_core.recipe.stock_names import stock_name
from fewshot_core.report.account import Account, channels_text, classes_text, count_of, data_name
from fewshot_core.runs.retrained import (
    GIVEN,
    TRIAL,
    how_trained,
    kind_of_label,
    license_of_start,
    start_of_result,
    starts_of,
)

SHOWN_CLASSES = 20
"""More class names than this are left to config.json."""

NORMAL = 1.96
"""Of the normal distribution, 95 % lie within so many deviations."""


def model_card(
    *,
    model_name: str,
    account: Account,
    result: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    comparison: Sequence[tuple[str, str, str]],
    metric: Metric,
    data: Mapping[str, Any],
    classes: Sequence[str],
    environment: Mapping[str, Any],
    differences: Mapping[str, float],
    latency: float,
    published: Published,
    int8: Int8Facts | None = None,
) -> str:
    """Markdown, with the metadata that the Hugging Face Hub reads.

    Args:
        account: What the run did.
        result: The retraining that is exported, as in ``retrain.json``.
        results: All retrainings that stand there.
        comparison: Rows (architecture, test metric, parameters).
        metric: What networks are compared by.
        data: What the run records of its images.
        classes: Their names.
        differences: Largest difference of the logits by check.
        latency: Milliseconds for one image by onnxruntime, on the CPU of this machine.
        published: License and the like.
        int8: What was measured of ``model.int8.onnx``; None: there is none.
    """
    rows = "\n".join(f"| {name} | {value} | {params} |" for name, value, params in comparison)
    size, settings = data["image_size"], account.recipe.data
    shape = f"[batch, {data['channels']}, {size}, {size}]"
    labels, value = labels_of(result, results), result["test"][metric.name]
    named = f"test {metric.text or metric.name}{f' ({metric.unit})' if metric.unit else ''}"
    front = front_matter(
        model_name=published.repository.rpartition("/")[2] or model_name,
        account=account,
        labels=labels,
        license=published.license,
        task="image-classification",
        library="timm",
        tags=["timm", "onnx"],
        measured=[Measured(metric.name, named, value)],
    )
    quantised = "" if int8 is None else f"\n## int8\n\n{int8_text(int8, metric)}\n"
    stock = stock_name(result["genotype"]) is not None
    code = "" if stock else "\nThe registering Python file is code; read it before you run it."
    source = "The registering Python file is part of fewshot-nas (Apache-2.0)."
    if stock:
        source = f"The model is timm's own (`{model_name}`)."
    source = f"{source} {license_of_start(start_of_result(result))}".rstrip()
    return f"""{front}
# {published.repository.rpartition("/")[2] or model_name}

{account.origin(result["label"], labels, how_trained(starts_of([result])))} Its architecture:

    {result["genotype"]}

| | |
| --- | --- |
| test {metric.name} | {value:.2f} |
| parameters | {result["params"]:,} |
| FLOPs: multiply-adds of convolutions and linear layers, one image | {result["flops"]:,} |
| FLOPs as fvcore totals them (with batch norm and pooling) | {result["fvcore_flops"]:,} |
| latency of one image, onnxruntime on the CPU that exported it | {latency:.2f} ms |
| images seen in training | {result["images_seen"]:,} in {result["training_seconds"]:.0f} s |
| images | {size}x{size} pixels, {channels_text(data["channels"])} |
| license of the weights | {published.license.removeprefix("other:") or "not stated"} |

## Use

From an image file to its label, in this folder{_download(published)}. Any file that Pillow opens
will do as `image.png`. With timm:

{timm_snippet(model_name, data["channels"], registers=not stock)}

With onnxruntime, numpy and Pillow alone:

{onnx_snippet()}

An image of another size is scaled, its shorter side to {size} pixels (bicubic), and cropped in the
centre to {size}x{size}; it is {channels_text(data["channels"])}, normalised as `config.json` and
the metadata of `model.onnx` say. `model.onnx` takes `images` {shape} and gives `logits`. Their
order is that of the classes: {name_classes(classes)}.

Checked at export, largest difference of the logits: timm folder {differences["timm"]:.1e}, ONNX by
onnxruntime {differences["onnx"]:.1e}. Weights are safetensors: opening them runs no code.{code}
{quantised}
## Intended use and limits

{limits_text(account, metric, value)}

{license_text(published.license)} {source}

## Data

{images_text(settings, data)}.{digest_text(published)}

## How the numbers came about

{found_text(account, labels)}{account.scoring(labels)}

{training_text(account, result, results)}

| architecture | test {metric.name} | parameters |
| --- | --- | --- |
{rows}

Machine: {environment["processor"]}, {environment["accelerator"]}, torch
{environment["packages"]["torch"]}, timm {environment["packages"]["timm"]}; {environment["date"]}.
"""


def limits_text(account: Account, metric: Metric, value: float) -> str:
    """What the network is for, and what its number does not say."""
    count = account.data.get("test")
    spread = ""
    if metric.unit == "%" and isinstance(count, int) and count:
        low, high = share_interval(value / 100, count)
        spread = (
            f" On {count:,} test images, {metric.name} of {value:.1f} % may, by the draw of the "
            f"images alone, stand for {100 * low:.1f} to {100 * high:.1f} % (95 % interval, "
            "Wilson)."
        )
    classes = count_of(account.data, "classes")
    return (
        f"Made to tell the {classes}classes of {data_name(account.recipe.data)} apart, in images "
        "like those. It answers with one of these classes whatever it is shown, an image of none "
        "of them included, and its probabilities are not calibrated. How it does on images from "
        f"elsewhere, or on groups within these, was not measured.{spread}"
    )


def share_interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``count`` draws (Wilson, JASA 1927)."""
    square = NORMAL**2 / count
    middle = (share + square / 2) / (1 + square)
    half = NORMAL / (1 + square) * (share * (1 - share) / count + square / count / 4) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def found_text(account: Account, labels: Sequence[str]) -> str:
    """That a network was found by few-shot NAS, with a blank behind; nothing where it was not."""
    if not account.found_by_few_shot(labels):
        return ""
    return (
        f"The network was found by few-shot NAS: the supernet was split into {account.supernets}, "
        "and each architecture was scored by the one of its region. "
    )


def digest_text(published: Published) -> str:
    """The digest of the images, with a blank before."""
    if not published.digest:
        return ""
    return (
        f" Digest of the list of all images, with class, part and content of each: "
        f"`{published.digest}` (BLAKE2b)."
    )


def _download(published: Published) -> str:
    if not published.repository:
        return ""
    return f' (`huggingface_hub.snapshot_download("{published.repository}")` makes one)'


def labels_of(result: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The labels of an architecture among all that were retrained, each once."""
    return list(dict.fromkeys(str(r["label"]) for r in results if r["id"] == result["id"]))


def images_text(settings: DataSettings, data: Mapping[str, Any]) -> str:
    """``digits: 1,151 training, 287 validation and 359 test images, 10 classes``."""
    counts = f"{data['train']:,} training, {data['validation']:,} validation"
    classes = data["classes"]
    kinds = f"{classes} classes" if settings.labelled else classes_text(settings, classes)
    return f"{data_name(settings)}: {counts} and {count_of(data, 'test')}test images, {kinds}"


def training_text(
    account: Account, result: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
) -> str:
    """On what the networks of the table were trained and measured, and which seed this one is."""
    seeds = [r["seed"] for r in results if r["label"] == result["label"]]
    each = (
        f"These weights are of seed {result['seed']}, the only one: nothing is known of the spread."
        if len(seeds) == 1
        else f"These weights are of seed {result['seed']}, the first of {len(seeds)}, and not the "
        "best: no seed was chosen by its result. The table gives mean and standard deviation over "
        "the seeds."
    )
    given = (
        " What is given by hand, or as a trial by its number, was chosen by somebody; if by test "
        "results, its own flatters it."
        if any(kind_of_label(str(r["label"])) in (GIVEN, TRIAL) for r in results)
        else ""
    )
    trained = f"{how_trained(starts_of(results))} on {account.trained_on()}"
    return (
        f"Every network of the table was {trained} and then "
        f"measured {account.on} the {count_of(account.data, 'test')}test images, which had no part "
        f"in the search or in the training. {each}{given}"
    )


def name_classes(classes: Sequence[str]) -> str:
    """Names of classes, or the first of them where there are many."""
    if len(classes) > SHOWN_CLASSES:
        first, more = ", ".join(classes[:SHOWN_CLASSES]), len(classes) - SHOWN_CLASSES
        return f"{first} and {more} more, all in `label_names` of `config.json`"
    return ", ".join(classes)
