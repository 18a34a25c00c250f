"""ONNX, checked against torch by onnxruntime."""

from __future__ import annotations

import contextlib
import io
import logging
import statistics
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fewshot_core.costs.latency import RUNS, WARM_UP
from fewshot_core.export.package import ExportError
from fewshot_core.runs.files import write_atomic


def write_onnx(
    path: Path,
    network: nn.Module,
    inputs: Tensor,
    names: tuple[str, str] = ("images", "logits"),
    facts: Mapping[str, str] | None = None,
) -> float:
    """Write ``model.onnx`` with a free batch size and compare it with torch.

    Args:
        network: On the CPU, in ``eval()`` mode.
        inputs: Example inputs [B, ...], such as normalised images, B at least 2.
        names: The names of input and output.
        facts: What the file says of itself, in ``metadata_props``.

    Returns:
        The largest difference of the outputs, at batch sizes B and 1.

    Raises:
        ExportError: The difference is more than rounding.
    """
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (inputs,),
            dynamo=True,
            input_names=[names[0]],
            output_names=[names[1]],
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    set_facts(model, facts or {})
    _write(path, model.SerializeToString())
    difference = max(_difference(path, network, part) for part in (inputs, inputs[:1]))
    if difference > 1e-3:
        raise ExportError(f"the exported ONNX model computes other {names[1]}", found=difference)
    return difference


def set_facts(model: Any, facts: Mapping[str, str]) -> None:
    """Let an ``onnx.ModelProto`` say these things of itself, beside what it says already."""
    said = {entry.key: entry.value for entry in model.metadata_props} | dict(facts)
    del model.metadata_props[:]
    for key, value in said.items():
        model.metadata_props.add(key=key, value=value)


def _write(path: Path, model: bytes) -> None:
    # Serialized before: an error of the exporter is no error of the disk.
    def write(beside: Path) -> None:
        beside.write_bytes(model)

    write_atomic(path, write)


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
def _difference(path: Path, network: nn.Module, inputs: Tensor) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    return float(np.abs(np.asarray(outputs) - network(inputs).numpy()).max())


def onnx_latency(path: Path, image: Tensor) -> float:
    """Median milliseconds of onnxruntime on this machine's CPU, for ``image`` [1, C, H, W].

    With onnxruntime's own choice of threads.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    times = []
    for run in range(WARM_UP + RUNS):
        began = time.perf_counter()
        session.run(None, {"images": image.numpy()})
        if run >= WARM_UP:
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)
