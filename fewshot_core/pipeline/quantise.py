"""Quantise the ONNX file of an export with images of its run, and measure what that does."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import is_initialized

from fewshot_core.data.stream import calibration_batches
from fewshot_core.export.int8 import (
    CALIBRATION,
    OnnxNetwork,
    compare_times,
    time_pairs,
    write_int8,
)
from fewshot_core.export.int8_facts import Int8Facts
from fewshot_core.pipeline.run import KeptRun
from fewshot_core.runs.folder import processor_name
from fewshot_core.seeds import derive_seed

BATCH = 64


def quantise(run: KeptRun, source: Path, target: Path) -> Int8Facts:
    """Write ``target``, and measure both files with the scorer of retrained networks.

    Args:
        run: The run; its training images calibrate, its test images measure.
        source: The ONNX file in float32.
        target: Where the one in int8 shall be.

    Raises:
        ExportError: onnxruntime cannot quantise the network.
        DataError: The images cannot be read, or are others than those of the run.
    """
    data, threads = run.images.data(), torch.get_num_threads()
    seed = derive_seed(run.recipe.seed, "int8")
    batches = [
        images
        for images, _ in calibration_batches(
            data.train, CALIBRATION, BATCH, seed, data.mean, data.std
        )
    ]
    write_int8(source, target, batches)
    # An accelerator that this process has already is as good: the networks run by onnxruntime.
    accelerator = Accelerator() if is_initialized() else Accelerator(cpu=True)
    scorer = run.task.scorer(run.recipe, data, "test", accelerator, run.folder.file("metric"))
    paths = (source, target)
    before, after = (dict(scorer.score(OnnxNetwork(path, threads), None)) for path in paths)
    pairs = time_pairs(paths, batches[0][:1], threads)
    milliseconds, ratio, quartiles = compare_times(pairs)
    return Int8Facts(
        float32=before,
        int8=after,
        calibrated=sum(len(images) for images in batches),
        milliseconds=milliseconds,
        ratio=ratio,
        quartiles=quartiles,
        pairs=len(pairs),
        threads=threads,
        processor=processor_name(),
        sizes=(source.stat().st_size, target.stat().st_size),
    )
