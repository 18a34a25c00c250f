"""The model card: what the network is, its numbers, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def model_card(
    *,
    model_name: str,
    genotype: str,
    result: Mapping[str, Any],
    comparison: Sequence[tuple[str, str, str]],
    metric: str,
    data: Mapping[str, Any],
    environment: Mapping[str, Any],
    recipe: str,
    seeds: str,
    differences: Mapping[str, float],
    latency: float,
) -> str:
    """Markdown.

    Args:
        result: The retraining that is exported, as in ``retrain.json``.
        comparison: Rows (architecture, test metric, parameters).
        seeds: A sentence on the seeds.
        differences: Largest difference of the logits by check.
        latency: Milliseconds for one image by onnxruntime, on the CPU of this machine.
    """
    rows = "\n".join(f"| {name} | {value} | {params} |" for name, value, params in comparison)
    size = data["image_size"]
    shape = f"[batch, {data['channels']}, {size}, {size}]"
    parts = f"{data['train']:,} training and {data['validation']:,} validation images"
    return f"""---
tags: [image-classification, timm, neural-architecture-search]
library_name: timm
---
# {model_name}

Found by few-shot neural architecture search (recipe `{recipe}`) and trained from scratch. Its
architecture:

    {genotype}

| | |
| --- | --- |
| test {metric} | {result["test"][metric]:.2f} |
| parameters | {result["params"]:,} |
| FLOPs: multiply-adds of convolutions and linear layers, one image | {result["flops"]:,} |
| FLOPs as fvcore totals them (with batch norm and pooling) | {result["fvcore_flops"]:,} |
| latency of one image, onnxruntime on the CPU that exported it | {latency:.2f} ms |
| images seen in training | {result["images_seen"]:,} in {result["training_seconds"]:.0f} s |
| data | {data["source"]}: {parts}, {data["classes"]} classes |

## How the numbers came about

The search scored architectures on validation images held out of the training images. This network
and the ones beside it were then trained from scratch, and all were measured on the test images
once, at the end. {seeds}

| architecture | test {metric} | parameters |
| --- | --- | --- |
{rows}

Machine: {environment["processor"]}, {environment["accelerator"]}, torch
{environment["packages"]["torch"]}, timm {environment["packages"]["timm"]}; {environment["date"]}.

## Use

```python
import runpy, timm

runpy.run_path("{model_name}.py")  # registers the model with timm; needs only torch and timm
model = timm.create_model("local-dir:.", pretrained=True).eval()
```

Run it in this folder, or give the folder's path in both lines. Images are resized to {size}x{size}
and normalised as `config.json` says; `timm.data.resolve_model_data_config(model)` reads it.
`model.onnx` takes `images` {shape}, normalised likewise, and gives `logits`.

Checked at export, largest difference of the logits: timm folder {differences["timm"]:.1e}, ONNX by
onnxruntime {differences["onnx"]:.1e}. Weights are safetensors: opening them runs no code. The
registering Python file is code; read it before you run it.
"""
