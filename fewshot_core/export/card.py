"""The model card: what the network is, its numbers, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fewshot_core.recipe.schema import DataSettings
from fewshot_core.report.account import Account, channels_text, classes_text, count_of, data_name
from fewshot_core.runs.retrained import GIVEN, TRIAL, kind_of_label

SHOWN_CLASSES = 20
"""More class names than this are left to config.json."""


def model_card(
    *,
    model_name: str,
    account: Account,
    result: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    comparison: Sequence[tuple[str, str, str]],
    metric: str,
    data: Mapping[str, Any],
    classes: Sequence[str],
    environment: Mapping[str, Any],
    differences: Mapping[str, float],
    latency: float,
) -> str:
    """Markdown.

    Args:
        account: What the run did.
        result: The retraining that is exported, as in ``retrain.json``.
        results: All retrainings that stand there.
        comparison: Rows (architecture, test metric, parameters).
        data: What the run records of its images.
        classes: Their names.
        differences: Largest difference of the logits by check.
        latency: Milliseconds for one image by onnxruntime, on the CPU of this machine.
    """
    rows = "\n".join(f"| {name} | {value} | {params} |" for name, value, params in comparison)
    size, settings = data["image_size"], account.recipe.data
    shape = f"[batch, {data['channels']}, {size}, {size}]"
    mode = "L" if data["channels"] == 1 else "RGB"
    return f"""---
tags: [image-classification, timm, neural-architecture-search]
library_name: timm
---
# {model_name}

{account.origin(result["label"], labels_of(result, results))} Its architecture:

    {result["genotype"]}

| | |
| --- | --- |
| test {metric} | {result["test"][metric]:.2f} |
| parameters | {result["params"]:,} |
| FLOPs: multiply-adds of convolutions and linear layers, one image | {result["flops"]:,} |
| FLOPs as fvcore totals them (with batch norm and pooling) | {result["fvcore_flops"]:,} |
| latency of one image, onnxruntime on the CPU that exported it | {latency:.2f} ms |
| images seen in training | {result["images_seen"]:,} in {result["training_seconds"]:.0f} s |
| data | {images_text(settings, data)} |
| images | {size}x{size} pixels, {channels_text(data["channels"])} |

## How the numbers came about

{account.scoring()}

{training_text(account, result, results)}

| architecture | test {metric} | parameters |
| --- | --- | --- |
{rows}

Machine: {environment["processor"]}, {environment["accelerator"]}, torch
{environment["packages"]["torch"]}, timm {environment["packages"]["timm"]}; {environment["date"]}.

## Use

```python
import runpy, timm, torch
from PIL import Image

runpy.run_path("{model_name}.py")  # registers the model with timm; needs only torch and timm
model = timm.create_model("local-dir:.", pretrained=True).eval()
prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
image = Image.open("your image").convert("{mode}")  # {channels_text(data["channels"])}
with torch.inference_mode():
    logits = model(prepare(image).unsqueeze(0))
```

Run it in this folder, or give the folder's path in both lines. An image of another size is scaled,
its shorter side to {size} pixels (bicubic), and cropped in the centre to {size}x{size}; it is
normalised as `config.json` says. `model.onnx` takes `images` {shape}, normalised likewise, and
gives `logits`. Their order is that of the classes: {name_classes(classes)}.

Checked at export, largest difference of the logits: timm folder {differences["timm"]:.1e}, ONNX by
onnxruntime {differences["onnx"]:.1e}. Weights are safetensors: opening them runs no code. The
registering Python file is code; read it before you run it.
"""


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
    return (
        f"Every network of the table was trained from scratch on {account.trained_on()} and then "
        f"measured {account.on} the {count_of(account.data, 'test')}test images, which had no part "
        f"in the search or in the training. {each}{given}"
    )


def name_classes(classes: Sequence[str]) -> str:
    """Names of classes, or the first of them where there are many."""
    if len(classes) > SHOWN_CLASSES:
        first, more = ", ".join(classes[:SHOWN_CLASSES]), len(classes) - SHOWN_CLASSES
        return f"{first} and {more} more, all in `label_names` of `config.json`"
    return ", ".join(classes)
