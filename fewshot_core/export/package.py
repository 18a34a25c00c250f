"""A folder that plain timm loads."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from fewshot_core.errors import FewshotError
from fewshot_core.runs.files import write_json, write_tensors, write_text


class ExportError(FewshotError):
    """What was exported does not compute what was trained."""


def write_timm_folder(
    folder: Path,
    network: nn.Module,
    *,
    model_name: str,
    arguments: dict[str, Any],
    sources: Sequence[Path],
    input_size: tuple[int, int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    classes: tuple[str, ...],
    crop: float = 1.0,
    license: str = "",
) -> None:
    """Write ``config.json``, ``model.safetensors`` and the file that registers the model.

    Args:
        model_name: The name it is registered under with timm.
        arguments: Its keyword arguments.
        sources: Python files that together register it and need only torch and timm besides; none
            for a model that timm has.
        input_size: (channels, height, width) of the training images.
        mean, std: Normalisation per channel, for images in [0, 1].
        classes: Their names.
        crop: Side of the central part of a resized image that the network is shown, as a share.
        license: Of the weights; empty: not stated.
    """
    write_tensors(folder / "model.safetensors", network.state_dict(), format="pt")
    if sources:
        write_text(folder / f"{model_name}.py", join_sources(sources))
    registered = _read_registered(folder, model_name)
    # A network of somebody else may pool in a layer of another name; timm reads the file without.
    pool = getattr(network, "global_pool", None)
    pool = getattr(pool, "pool_type", pool)
    write_json(
        folder / "config.json",
        {
            "architecture": model_name,
            "num_classes": len(classes),
            "num_features": network.num_features,
            **({} if pool is None else {"global_pool": pool}),
            "label_names": list(classes),
            "model_args": arguments,
            "pretrained_cfg": {
                "custom_load": False,
                "input_size": list(input_size),
                "fixed_input_size": False,
                "interpolation": "bicubic",
                "crop_pct": crop,
                "crop_mode": "center",
                "mean": list(mean),
                "std": list(std),
                "num_classes": len(classes),
                "first_conv": registered.first_conv,
                "classifier": registered.classifier,
                **({"license": license} if license else {}),
            },
        },
    )


def join_sources(sources: Sequence[Path]) -> str:
    """One Python file of several that import from one another, in an order in which that works.

    What a file imports from an earlier one is above it already, so that those lines go; and so do
    later ``__future__`` imports, which may only stand at the top.
    """
    names = {source.stem for source in sources}
    joined = []
    for number, source in enumerate(sources):
        text = source.read_text(encoding="utf-8")
        lines = text.splitlines(keepends=True)
        for node in ast.parse(text).body:
            if not isinstance(node, ast.ImportFrom):
                continue
            module = str(node.module)
            if module.rpartition(".")[2] in names or (number and module == "__future__"):
                for line in range(node.lineno - 1, node.end_lineno or node.lineno):
                    lines[line] = ""
        joined.append("".join(lines))
    return "\n\n".join(joined)


@torch.no_grad()
def check_timm_folder(folder: Path, network: nn.Module, images: Tensor) -> float:
    """Load the folder as a user would and return the largest difference of the logits.

    Raises:
        ExportError: They differ by more than rounding.
    """
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    difference = float((loaded(images) - network.cpu().eval()(images)).abs().max())
    if difference > 1e-5:
        raise ExportError("the exported timm folder computes other logits", found=difference)
    return difference


def _read_registered(folder: Path, model_name: str) -> Any:
    """What timm knows of the model: the names of its first and last layer among them."""
    if not timm.is_model(model_name):
        _import_file(folder / f"{model_name}.py")
    return timm.get_pretrained_cfg(model_name)


def _import_file(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)  # timm looks it up
    spec.loader.exec_module(module)
