"""Export: hand over a retrained network as a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fewshot_core.contexts import ExportContext
from fewshot_core.data.inventory import IMAGES, read_inventory
from fewshot_core.errors import RecipeError, RunFolderError
from fewshot_core.export.card import model_card
from fewshot_core.export.hub import upload
from fewshot_core.export.licenses import license_fields
from fewshot_core.export.onnx import onnx_latency, write_onnx
from fewshot_core.export.package import check_timm_folder, write_timm_folder
from fewshot_core.export.published import Published
from fewshot_core.export.usage import facts_of_model
from fewshot_core.pipeline.images import ImageFacts
from fewshot_core.pipeline.opening import attach_to_read
from fewshot_core.pipeline.quantise import quantise
from fewshot_core.pipeline.retrained import choose_retrained, load_retrained, read_retrained
from fewshot_core.pipeline.run import KeptRun
from fewshot_core.recipe.load import recipe_yaml
from fewshot_core.report.account import read_account
from fewshot_core.report.results import LABELS, format_spread, summarise
from fewshot_core.runs.files import read_json, write_json, write_text
from fewshot_core.runs.replacing import replacing
from fewshot_core.spaces.space import Architecture

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
        RecipeError: ``options['int8']`` of a network that is no classifier.
        HubError: The export is whole, and the Hub did not take it.
    """
    run = attach_to_read(options)
    try:
        if options["int8"]:
            _require_classifier(run)
        target = _export(run, options)
    finally:
        run.folder.close()
    if options["push_to_hub"]:
        address = upload(target, options["push_to_hub"], options["private"])
        run.console.print(f"uploaded to {address}")
    return target


def _export(run: KeptRun, options: Mapping[str, Any]) -> Path:
    results = read_retrained(run)
    result = choose_retrained(results, options["label"])
    target = Path(options["out"] or run.folder.file("export"))
    _require_apart(target, run.folder.path)
    with replacing(target) as folder:
        architecture = run.root.space.parse(result["genotype"])
        network = load_retrained(run, result)
        exported = _Exported(
            run, folder, network, architecture, result, results, _published(run, options)
        )
        _fill(exported, int8=options["int8"])
    run.console.print(f"exported {LABELS.get(result['label'], result['label'])}: {target}")
    return target


def _require_classifier(run: KeptRun) -> None:
    if run.task.generates:
        raise RecipeError(
            "int8=true is for classifiers: what a generator loses by 8 bits no accuracy tells",
            fix="export without int8=true",
        )


def _published(run: KeptRun, options: Mapping[str, Any]) -> Published:
    inventory = run.folder.file(IMAGES)
    digest = read_inventory(inventory).digest if inventory.exists() else ""
    return Published(options["license"], digest, options["push_to_hub"])


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


@dataclass(frozen=True)
class _Exported:
    """A network on its way into a folder, as :class:`Published` says it shall be."""

    run: KeptRun
    folder: Path
    network: torch.nn.Module
    architecture: Architecture
    result: dict[str, Any]
    results: list[dict[str, Any]]
    published: Published


def _fill(exported: _Exported, int8: bool) -> None:
    run, folder = exported.run, exported.folder
    write_json(folder / "architecture.json", run.root.space.to_json(exported.architecture))
    write_text(folder / "recipe.yaml", recipe_yaml(run.recipe))
    data = run.images.facts()  # without int8 an export needs no image
    model = run.task.export_model(exported.architecture, run.recipe, data.shape)
    if model is not None:
        _fill_with_classifier(exported, data, model, int8)
        return
    context = ExportContext(
        recipe=run.recipe,
        run=run.folder.path,
        space=run.root.space,
        shape=data.shape,
        described=data.described,
        environment=read_json(run.folder.file("environment.json")),
        published=exported.published,
    )
    run.task.hand_over(
        context,
        folder,
        exported.network,
        exported.architecture,
        exported.result,
        exported.results,
    )


def _fill_with_classifier(
    exported: _Exported,
    data: ImageFacts,
    model: tuple[str, dict[str, Any], Sequence[Path]],
    int8: bool,
) -> None:
    run, folder, network = exported.run, exported.folder, exported.network
    model_name, arguments, sources = model
    size, metric = data.shape.input_size, run.task.description.metric
    write_timm_folder(
        folder,
        network,
        model_name=model_name,
        arguments=arguments,
        sources=sources,
        license=license_fields(exported.published.license).get("license", ""),
        input_size=size,
        mean=data.mean,
        std=data.std,
        classes=data.classes,
    )
    facts = facts_of_model(classes=data.classes, input_size=size, mean=data.mean, std=data.std)
    images = torch.randn(4, *size, generator=torch.Generator().manual_seed(0))
    onnx = folder / "model.onnx"
    differences = {
        "timm": check_timm_folder(folder, network, images),
        "onnx": write_onnx(onnx, network, images, facts=facts),
    }
    rows = [
        (LABELS.get(r["label"], r["label"]), format_spread(r["values"]), f"{r['params']:,}")
        for r in summarise(exported.results, metric.name)
    ]
    write_text(
        folder / "README.md",
        model_card(
            model_name=model_name,
            account=read_account(run.folder.path, run.recipe, data.described),
            result=exported.result,
            results=exported.results,
            comparison=rows,
            metric=metric,
            data=data.described,
            classes=data.classes,
            environment=read_json(run.folder.file("environment.json")),
            differences=differences,
            latency=onnx_latency(onnx, images[:1]),
            published=exported.published,
            int8=quantise(run, onnx, folder / "model.int8.onnx") if int8 else None,
        ),
    )
