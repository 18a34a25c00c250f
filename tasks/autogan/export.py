"""A retrained generator as a folder of its own: weights, config, code, ONNX, samples and a card."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from fewshot_core.contexts import ExportContext
from fewshot_core.export.card import (
    digest_text,
    found_text,
    images_text,
    labels_of,
    training_text,
)
from fewshot_core.export.front_matter import Measured, front_matter
from fewshot_core.export.licenses import license_text
from fewshot_core.export.onnx import write_onnx
from fewshot_core.export.package import ExportError
from fewshot_core.export.usage import colour_of
from fewshot_core.report.account import channels_text, data_name, read_account
from fewshot_core.report.results import LABELS, format_spread, summarise
from fewshot_core.runs.files import write_copy, write_json, write_tensors, write_text
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.autogan import network as source
from fewshot_tasks.autogan.adversaries import AdversarialNetwork
from fewshot_tasks.autogan.metrics import name_metric
from fewshot_tasks.autogan.pictures import write_grid
from fewshot_tasks.autogan.scorer import draw_fixed_noise, generate
from fewshot_tasks.autogan.settings import DESCRIPTION, generator_shape
from fewshot_tasks.autogan.space import GeneratorSpace

CODE = "generator.py"
SAMPLES = 64


def hand_over(
    context: ExportContext,
    folder: Path,
    network: AdversarialNetwork,
    architecture: Architecture,
    result: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
) -> None:
    """Fill the folder of an export.

    Raises:
        ExportError: What was written computes other images.
    """
    recipe, generator = context.recipe, network.result.cpu().eval()
    space = context.space
    assert isinstance(space, GeneratorSpace)
    shape = generator_shape(recipe.network, context.shape)
    write_tensors(folder / "generator.safetensors", generator.state_dict(), format="pt")
    write_copy(folder / CODE, Path(source.__file__))
    write_json(
        folder / "config.json",
        {
            "vector": list(space.encode(architecture)),
            "generator": shape,
            "noise": "standard normal",
            "images": "in [-1, 1]; to_bytes() in generator.py makes uint8 of them",
        },
    )
    noise = draw_fixed_noise(recipe, SAMPLES, "samples")
    differences = {
        "folder": _check_folder(folder, generator, noise),
        "onnx": write_onnx(
            folder / "model.onnx",
            generator,
            noise[:4],
            ("noise", "images"),
            {
                "noise": "standard normal",
                "input_size": json.dumps([recipe.network.latent]),
                "output_size": json.dumps(context.shape.input_size),
                "range": "[-1, 1]",
                "colour": colour_of(context.shape.channels),
            },
        ),
    }
    images = generate(generator, noise, SAMPLES, torch.device("cpu"))
    assert images is not None, "a generator that was scored has numbers"
    write_grid(folder / "samples.png", images)
    write_text(folder / "README.md", card(context, result, results, differences))


def write_images(folder: Path, images: Tensor) -> None:
    """Write uint8 images ``[N, C, S, S]`` as ``000000.png`` and so on, as torch-fidelity reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")


@torch.no_grad()
def _check_folder(folder: Path, generator: source.Generator, noise: Tensor) -> float:
    """Load the folder as a user would; the largest difference of the images."""
    spec = importlib.util.spec_from_file_location("exported_generator", folder / CODE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    difference = float((module.load(folder)(noise) - generator(noise)).abs().max())
    if difference > 1e-5:
        raise ExportError("the exported folder computes other images", found=difference)
    return difference


def card(
    context: ExportContext,
    result: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    differences: Mapping[str, float],
) -> str:
    """The card, as Markdown."""
    recipe, data = context.recipe, context.described
    account, environment = read_account(context.run, recipe, data), context.environment
    metric = DESCRIPTION.metric
    measured = [
        Measured(shown.name, name_metric(shown, recipe, "test"), value, _split(shown.name))
        for shown, value in ((DESCRIPTION.find_metric(n), v) for n, v in result["test"].items())
        if shown == metric or shown.beside
    ]
    numbers = "\n".join(f"| {one.name} | {one.value:.4g} |" for one in measured)
    rows = "\n".join(
        f"| {LABELS.get(row['label'], row['label'])} | {format_spread(row['values'])} | "
        f"{row['params']:,} |"
        for row in summarise(results, metric.name)
    )
    named = name_metric(metric, recipe, "test")
    comparable = (
        "They are by the Inception network of 2015, as published ones are; `docs/autogan.md` says "
        "what else a comparison needs."
        if recipe.metric.extractor == "inception"
        else "They are by a small classifier that was trained on this data, so they compare with "
        "each other and with nothing that is published."
    )
    size, latent = data["image_size"], recipe.network.latent
    seen = f"{result['images_seen']:,} in {result['training_seconds']:.0f} s"
    average = (
        ""
        if not recipe.gan.ema
        else f"They are a moving average over training (decay {recipe.gan.ema}). "
    )
    published, labels = context.published, labels_of(result, results)
    repository = published.repository.rpartition("/")[2]
    front = front_matter(
        model_name=repository or f"generator-{result['id']}",
        account=account,
        labels=labels,
        license=published.license,
        task="unconditional-image-generation",
        library=None,
        tags=["gan", "onnx", "pytorch"],
        measured=measured,
    )
    return f"""{front}
# {repository or f"Generator {result['genotype']}"}

{account.origin(result["label"], labels)}
It is of the space of AutoGAN, and makes images of {size}x{size} pixels,
{channels_text(data["channels"])}, of {latent} random numbers.

![samples](samples.png)

| | |
| --- | --- |
{numbers}
| parameters | {result["params"]:,} |
| FLOPs: multiply-adds of convolutions and linear layers, one image | {result["flops"]:,} |
| images seen by the discriminator | {seen} |
| license of the weights | {published.license.removeprefix("other:") or "not stated"} |

Distances are to the test images unless it says otherwise. {comparable}

## Use

```python
import torch
import generator  # the file in this folder; it needs torch and safetensors

model = generator.load()
images = generator.to_bytes(model(torch.randn(16, {latent})))  # uint8
```

`model.onnx` takes `noise` [batch, {latent}] and gives `images` in [-1, 1].

Checked at export, largest difference of the images: this folder {differences["folder"]:.1e}, ONNX
by onnxruntime {differences["onnx"]:.1e}. Weights are safetensors: opening them runs no code.
`generator.py` is code; read it before you run it.

## Intended use and limits

For studies of architectures of generators, on images like those of {data_name(recipe.data)}. It
makes images of nothing else, and cannot be told what to show. Whether images of the training data
come out again, or how its images differ among groups within these, was not measured.

{license_text(published.license)} `generator.py` is part of fewshot-nas (Apache-2.0).

## Data

{images_text(recipe.data, data)}.{digest_text(published)}

## How the numbers came about

{found_text(account, labels)}{account.scoring(labels)}

{training_text(account, result, results)}
{average}No checkpoint was chosen by its score, and the noise is the same for all.

| generator | {named} | parameters |
| --- | --- | --- |
{rows}

Machine: {environment["processor"]}, {environment["accelerator"]}, torch
{environment["packages"]["torch"]}; {environment["date"]}.
"""


def _split(metric: str) -> str:
    """The part of the images that a metric of the test is against."""
    return "train" if metric == "fid_train" else "test"
