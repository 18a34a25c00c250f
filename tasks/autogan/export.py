"""A generator as a folder of its own: weights, config, code, ONNX, samples and a card."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from fewshot_core.contexts import ExportContext, InheritedFacts
from fewshot_core.export.onnx import write_onnx
from fewshot_core.export.package import ExportError
from fewshot_core.export.usage import colour_of
from fewshot_core.runs.files import write_copy, write_json, write_tensors, write_text
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.autogan import network as source
from fewshot_tasks.autogan.card import inherited_card, retrained_card
from fewshot_tasks.autogan.pictures import write_grid
from fewshot_tasks.autogan.scorer import draw_fixed_noise, generate
from fewshot_tasks.autogan.settings import generator_shape
from fewshot_tasks.autogan.space import GeneratorSpace

CODE = "generator.py"
SAMPLES = 64


def hand_over(
    context: ExportContext,
    folder: Path,
    generator: source.Generator,
    architecture: Architecture,
    result: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
) -> None:
    """Fill the folder of an export of a retrained generator.

    Raises:
        ExportError: What was written computes other images.
    """
    differences = _fill(context, folder, generator, architecture)
    write_text(folder / "README.md", retrained_card(context, result, results, differences))


def hand_over_inherited(
    context: ExportContext,
    folder: Path,
    generator: source.Generator,
    architecture: Architecture,
    facts: InheritedFacts,
) -> None:
    """Fill the folder of an export of a generator with its supernet's weights.

    Raises:
        ExportError: What was written computes other images.
    """
    differences = _fill(context, folder, generator, architecture)
    write_text(folder / "README.md", inherited_card(context, facts, differences))


def _fill(
    context: ExportContext, folder: Path, generator: source.Generator, architecture: Architecture
) -> dict[str, float]:
    """All but the card; the largest difference of images by check."""
    recipe, space = context.recipe, context.space
    generator = generator.cpu().eval()
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
    return differences


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
