"""ONNX, checked against torch by onnxruntime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fewshot_core.export.package import ExportError


def write_onnx(path: Path, network: nn.Module, images: Tensor) -> float:
    """Write ``model.onnx`` with a free batch size and compare it with torch.

    Args:
        network: On the CPU, in ``eval()`` mode.
        images: Example images [B, C, H, W], normalised, B at least 2.

    Returns:
        The largest difference of the logits, at batch sizes B and 1.

    Raises:
        ExportError: The difference is more than rounding.
    """
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)
    difference = max(_difference(path, network, images), _difference(path, network, images[:1]))
    if difference > 1e-3:
        raise ExportError("the exported ONNX model computes other logits", found=difference)
    return difference


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    """The exporter narrates its steps; a user of ours has no use for that."""
    names = ("torch.onnx", "onnxscript", "onnx_ir")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@torch.no_grad()
def _difference(path: Path, network: nn.Module, images: Tensor) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images.numpy()})
    return float(np.abs(np.asarray(logits) - network(images).numpy()).max())
