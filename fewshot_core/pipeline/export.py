"""Export: hand over a retrained network as a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fewshot_core.contexts import ExportContext
from fewshot_core.errors import RunFolderError
from fewshot_core.export.card import model_card
from fewshot_core.export.onnx import onnx_latency, write_onnx
from fewshot_core.export.package import check_timm_folder, write_timm_folder
from fewshot_core.pipeline.opening import attach_to_read
from fewshot_core.pipeline.retrained import choose_retrained, load_retrained, read_retrained
from fewshot_core.pipeline.run import KeptRun
from fewshot_core.recipe.load import recipe_yaml
from fewshot_core.report.account import read_account
from fewshot_core.report.results import LABELS, format_spread, summarise
from fewshot_core.runs.files import read_json, write_json, write_text
from fewshot_core.runs.replacing import replacing

OF_A_RUN = (
    *("recipe", "overrides", "environment", "data", "costs", "latency", "regions", "splitting"),
    *("checkpoints", "study", "trials", "found", "pareto", "derived", "predictor", "estimate"),
    *("standalone", "ladder", "audit", "audit-scores", "scores", "ranking", "retrain", "metric"),
    *("pictures", "report", "images", "inputs", "study-name"),
)
"""Names, without their endings, of what runs keep in their folder."""


def export(options: Mapping[str, Any]) -> Path:
    """Export the retrained network ``options['label']``.

    Of several seeds the first is taken: choosing the best by its test result would turn the test
    images into a choice. The folder appears whole or not at all, and takes the place of nothing
    but an export that nobody has changed.

    Returns:
        The folder of the export.

    Raises:
        RunFolderError: Nothing was retrained, there is no such label, or ``options['out']`` is
            not free.
        ExportError: The export computes other logits than the network.
    """
    run = attach_to_read(options)
    try:
        return _export(run, options)
    finally:
        run.folder.close()


def _export(run: KeptRun, options: Mapping[str, Any]) -> Path:
    results = read_retrained(run)
    result = choose_retrained(results, options["label"])
    target = Path(options["out"] or run.folder.file("export"))
    _require_apart(target, run.folder.path)
    with replacing(target) as folder:
        architecture = run.root.space.parse(result["genotype"])
        network = load_retrained(run, result)
        _fill(run, folder, network, architecture, result, results)
    run.console.print(f"exported {LABELS.get(result['label'], result['label'])}: {target}")
    return target


def _require_apart(target: Path, run: Path) -> None:
    """Raise where an export would be, or would one day be taken for, a part of the run."""
    place, run = Path(os.path.realpath(target)), run.resolve()
    if run.is_relative_to(place):
        raise RunFolderError(
            f"out={target} is the run folder itself, or above it",
            fix=f"choose a folder of its own, such as {run / 'export'}",
        )
    if place.is_relative_to(run) and place.relative_to(run).parts[0].split(".")[0] in OF_A_RUN:
        raise RunFolderError(
            f"out={target} is where the run keeps files of its own",
            fix=f"choose another folder, such as {run / 'export'}",
        )


def _fill(
    run: KeptRun,
    folder: Path,
    network: torch.nn.Module,
    architecture: Any,
    result: dict[str, Any],
    results: list[dict[str, Any]],
) -> None:
    write_json(folder / "architecture.json", run.root.space.to_json(architecture))
    write_text(folder / "recipe.yaml", recipe_yaml(run.recipe))
    data, metric = run.images.facts(), run.task.description.metric  # an export needs no image
    described, environment = data.described, read_json(run.folder.file("environment.json"))
    model = run.task.export_model(architecture, run.recipe, data.shape)
    if model is None:
        context = ExportContext(
            recipe=run.recipe,
            run=run.folder.path,
            space=run.root.space,
            shape=data.shape,
            described=described,
            environment=environment,
        )
        run.task.hand_over(context, folder, network, architecture, result, results)
        return
    model_name, arguments, sources = model
    size = data.shape.input_size
    write_timm_folder(
        folder,
        network,
        model_name=model_name,
        arguments=arguments,
        sources=sources,
        input_size=size,
        mean=data.mean,
        std=data.std,
        classes=data.classes,
    )
    images = torch.randn(4, *size, generator=torch.Generator().manual_seed(0))
    differences = {
        "timm": check_timm_folder(folder, network, images),
        "onnx": write_onnx(folder / "model.onnx", network, images),
    }
    rows = [
        (LABELS.get(r["label"], r["label"]), format_spread(r["values"]), f"{r['params']:,}")
        for r in summarise(results, metric.name)
    ]
    write_text(
        folder / "README.md",
        model_card(
            model_name=model_name,
            account=read_account(run.folder.path, run.recipe, described),
            result=result,
            results=results,
            comparison=rows,
            metric=metric.name,
            data=described,
            classes=data.classes,
            environment=environment,
            differences=differences,
            latency=onnx_latency(folder / "model.onnx", images[:1]),
        ),
    )
