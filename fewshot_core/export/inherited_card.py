"""The card of a network that was not trained on its own: it has the weights of its supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fewshot_core.contexts import InheritedFacts
from fewshot_core.export.card import images_text, name_classes
from fewshot_core.export.front_matter import front_matter
from fewshot_core.export.licenses import license_text
from fewshot_core.export.published import Published
from fewshot_core.export.usage import onnx_snippet, timm_snippet
from fewshot_core.report.account import Account, channels_text


def inherited_card(
    facts: InheritedFacts,
    *,
    model_name: str,
    account: Account,
    data: Mapping[str, Any],
    classes: Sequence[str],
    differences: Mapping[str, float],
    latency: float,
    published: Published,
) -> str:
    """Markdown. It has no test result, because nobody has measured one.

    Args:
        facts: What is known of the network.
        model_name: The name of the timm model.
        account: What the run did.
        data: What the run records of its images, ``image_size`` as supernets see them.
        classes: Their names.
        differences: Largest difference of the logits by check.
        latency: Milliseconds for one image by onnxruntime, on the CPU of this machine.
        published: License and the like.
    """
    size = data["image_size"]
    shape = f"[batch, {data['channels']}, {size}, {size}]"
    measured = "\n".join(
        f"| validation {name} | {value:.4g} |" for name, value in facts.metrics.items()
    )
    name = published.repository.rpartition("/")[2] or model_name
    front = front_matter(
        model_name=name,
        account=account,
        labels=[facts.label],
        license=published.license,
        task="image-classification",
        library="timm",
        tags=["timm", "onnx"],
        measured=[],
    )
    return f"""{front}
# {name}, with the weights of a supernet

{origin_text(account, facts)} Its architecture:

    {facts.genotype}

| | |
| --- | --- |
{measured}
| test result | not measured |
{costs_rows(facts)}
| latency of one image, onnxruntime on the CPU that exported it | {latency:.2f} ms |
| data | {images_text(account.recipe.data, data)} |
| images | {size}x{size} pixels, {channels_text(data["channels"])} |

## How the numbers came about

{numbers_text(account, facts, "training images")}

## Use

From an image file to its label, in this folder. Any file that Pillow opens will do as `image.png`.
With timm:

{timm_snippet(model_name, data["channels"])}

With onnxruntime, numpy and Pillow alone:

{onnx_snippet()}

`model.onnx` takes `images` {shape}, normalised as `config.json` and its own metadata say, and gives
`logits`. Their order is that of the classes: {name_classes(classes)}.

Checked at export, largest difference of the logits: timm folder {differences["timm"]:.1e}, ONNX by
onnxruntime {differences["onnx"]:.1e}. Weights are safetensors: opening them runs no code. The
registering Python file is code; read it before you run it.

{license_text(published.license)} The registering Python file is part of fewshot-nas (Apache-2.0).
"""


def origin_text(account: Account, facts: InheritedFacts) -> str:
    """How the network was chosen, and whose weights it has."""
    return (
        f"**These weights were not trained for this network alone.** {account.chosen(facts.label)} "
        f"It has the weights of the supernet of region `{facts.region.id}`, which it shared in "
        "training with the other networks of that region. Trained from scratch it would have "
        "others."
    )


def costs_rows(facts: InheritedFacts) -> str:
    """Parameters and FLOPs as rows of a table."""
    params, flops = facts.costs["connected_params"], facts.costs["connected_flops"]
    return (
        f"| parameters | {params:,.0f} |\n"
        "| FLOPs: multiply-adds of convolutions and linear layers, one image | "
        f"{flops:,.0f} |"
    )


def numbers_text(account: Account, facts: InheritedFacts, inputs: str) -> str:
    """How the numbers came about.

    Args:
        account: What the run did.
        facts: What is known of the network.
        inputs: What batch norm was measured on: ``training images``.
    """
    norms = (
        f"Batch norm was measured anew on {facts.calibrated:,} {inputs}, for this network alone."
        if facts.calibrated
        else "Batch norm has the running statistics of the supernet, over all its networks."
    )
    return (
        f"{account.scoring([facts.label])}\n\n{norms} The validation images are those that the "
        "search compared networks by, so that the best of many has a flattered result on them. The "
        "test images were not read for this export."
    )
