"""The ONNX file of a network quantised to 8 bits, and what it loses and gains by it."""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fewshot_core.costs.latency import WARM_UP
from fewshot_core.export.onnx import set_facts
from fewshot_core.export.package import ExportError
from fewshot_core.runs.files import write_copy

CALIBRATION = 512
"""Training images that ranges of activations are taken of."""

PAIRS = 51
"""Of runs, one of each network right after the other."""


class _Batches:
    """Calibration images, one batch a call, as onnxruntime's ``CalibrationDataReader`` wants."""

    def __init__(self, name: str, batches: Sequence[Tensor]) -> None:
        self._name, self._batches = name, iter(batches)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        images = next(self._batches, None)
        return None if images is None else {self._name: images.numpy()}


def write_int8(source: Path, target: Path, batches: Sequence[Tensor]) -> None:
    """Write a quantised copy of an ONNX file, in the format QDQ.

    Batch norm behind a convolution is folded into it before. Weights have a scale for each
    channel, and one bit less than 8: on processors without VNNI sums of full products would
    saturate, and the same file would give other labels there.

    Args:
        source: The file of the network in float32.
        target: The file to be written; it says of itself what the source does.
        batches: Normalised training images [B, C, H, W] without augmentation.

    Raises:
        ExportError: onnxruntime cannot quantise the network.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    original = onnx.load(source)
    facts = {entry.key: entry.value for entry in original.metadata_props}
    with tempfile.TemporaryDirectory() as place, _quiet():
        prepared, quantised = Path(place) / "prepared.onnx", Path(place) / "int8.onnx"
        try:
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(quantised),
                _Batches(original.graph.input[0].name, batches),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
            )
        except Exception as error:  # of a library: which ones, it does not say
            raise ExportError(
                "onnxruntime cannot quantise this network",
                found=f"{type(error).__name__}: {error}",
                fix="export without int8=true",
            ) from error
        model = onnx.load(quantised)
        if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
            raise ExportError("onnxruntime quantised nothing", fix="export without int8=true")
        set_facts(model, facts)
        onnx.save(model, quantised)
        write_copy(target, quantised)


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime advises, on the root logger, what was done here already."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


class OnnxNetwork(nn.Module):
    """An ONNX file of one input and one output as a module, for a task's scorer."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        self._session = open_session(path, threads)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W], on the device of the images."""
        name = self._session.get_inputs()[0].name
        (logits,) = self._session.run(None, {name: images.float().cpu().numpy()})
        return torch.from_numpy(logits).to(images.device)


def open_session(path: Path, threads: int) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU, with so many threads in an operator."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def time_pairs(
    paths: tuple[Path, Path], image: Tensor, threads: int, pairs: int = PAIRS
) -> list[tuple[float, float]]:
    """Milliseconds of two ONNX files, run in turn, so that what disturbs one disturbs the other.

    Args:
        paths: The files, which take ``image`` [1, C, H, W].
        threads: Of onnxruntime, within an operator.
        pairs: That are measured; a few more come before and do not count.
    """
    sessions = [open_session(path, threads) for path in paths]
    feed: Mapping[str, Any] = {sessions[0].get_inputs()[0].name: image.numpy()}
    found: list[tuple[float, float]] = []
    for run in range(WARM_UP + pairs):
        times = [0.0, 0.0]
        # Who comes first takes turns too: the second finds the processor as the first left it.
        for which in (0, 1) if run % 2 else (1, 0):
            began = time.perf_counter()
            sessions[which].run(None, feed)
            times[which] = 1000 * (time.perf_counter() - began)
        if run >= WARM_UP:
            found.append((times[0], times[1]))
    return found


def compare_times(
    pairs: Sequence[tuple[float, float]],
) -> tuple[tuple[float, float], float, tuple[float, float]]:
    """Both medians, the median of the ratios (second by first), and its quartiles."""
    ratios = [second / first for first, second in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
    return (first, second), middle, (low, high)
