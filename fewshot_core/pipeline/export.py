"""Export: hand over a retrained network as a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fewshot_core.contexts import ExportContext, InheritedFacts
from fewshot_core.data.inventory import IMAGES, read_inventory
from fewshot_core.errors import RecipeError, RunFolderError
from fewshot_core.export.card import model_card
from fewshot_core.export.hub import upload
from fewshot_core.export.inherited_card import inherited_card
from fewshot_core.export.licenses import license_fields
from fewshot_core.export.onnx import onnx_latency, write_onnx
from fewshot_core.export.package import check_timm_folder, write_timm_folder
from fewshot_core.export.published import Published
from fewshot_core.export.usage import facts_of_model
from fewshot_core.pipeline.faults import at_work
from fewshot_core.pipeline.images import ImageFacts
from fewshot_core.pipeline.inheriting import (
    Inherited,
    as_searched,
    inherit_network,
    require_inheritable,
)
from fewshot_core.pipeline.opening import attach, attach_to_read
from fewshot_core.pipeline.quantise import quantise
from fewshot_core.pipeline.retrained import choose_retrained, load_retrained, require_retrained
from fewshot_core.pipeline.run import KeptRun, Run
from fewshot_core.pipeline.selection import Selected, found_architecture, select
from fewshot_core.pipeline.stock import Stock, Trained, read_trained, timm_name
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.load import recipe_yaml
from fewshot_core.report.account import read_account
from fewshot_core.report.results import format_spread, label_text, summarise
from fewshot_core.runs.files import read_json, write_json, write_text
from fewshot_core.runs.replacing import replacing
from fewshot_core.runs.retrained import FOUND, settings_of_label

ONNX = "model.onnx"
"""The network for onnxruntime, in the folder of an export."""

RETRAINED, INHERITED = "retrained", "inherited"
"""Whose weights an export has: a training's from scratch, or the supernet's."""

OF_A_RUN = (
    *("recipe", "overrides", "environment", "data", "costs", "latency", "regions", "splitting"),
    *("checkpoints", "study", "trials", "found", "pareto", "derived", "estimate"),
    *("standalone", "ladder", "audit", "audit-scores", "scores", "ranking", "retrain", "metric"),
    *("pictures", "report", "images", "classes", "inputs", "study-name", "reused", "survey"),
    *("one-shot", "predictor", "predictor-scores", "ensemble-scores"),
)
"""Names, without their endings, of what runs keep in their folder."""


def export(options: Mapping[str, Any]) -> Path:
    """Export the retrained network ``options['label']``, or any with its supernet's weights.

    Of several seeds the first is taken: choosing the best by its test result would turn the test
    images into a choice. The folder appears whole or not at all, and takes the place of nothing
    but an export that nobody has changed.

    With ``options['weights']`` of ``inherited`` nothing has to be retrained: the network of what
    the search found, or of ``trial``, ``front`` or ``architecture``, gets the weights of its
    supernet (:mod:`fewshot_core.pipeline.inheriting`).

    Returns:
        The folder.

    Raises:
        RecipeError: The words do not go together.
        RunFolderError: Nothing was retrained, there is no such label, or ``options['out']`` is
            not free.
        ExportError: The export computes other logits than the network.
        RecipeError: ``options['int8']`` of a network that is no classifier.
        HubError: The export is whole, and the Hub did not take it.
    """
    if options.get("weights", RETRAINED) == INHERITED:
        return _export_inherited(options)
    run = attach_to_read(options)
    try:
        if options.get("int8"):
            _require_classifier(run)
        target = _export(run, options)
    finally:
        run.folder.close()
    _upload(run, target, options)
    return target


def _export(run: KeptRun, options: Mapping[str, Any]) -> Path:
    results = require_retrained(run)
    result = choose_retrained(results, _label_of(run, results, options))
    run = replace(run, recipe=with_values(run.recipe, result.get("settings") or {}))
    target = Path(options["out"] or run.folder.file("export"))
    _require_apart(target, run.folder.path)
    with replacing(target) as folder:
        trained = read_trained(run.root.space, result["genotype"])
        network = load_retrained(run, result)
        published = _published(run, options)
        exported = _Exported(run, folder, network, trained, result, results, published)
        _fill(exported, int8=options.get("int8", False))
    run.console.print(f"exported {label_text(result['label'])}: {target}")
    return target


def _upload(run: KeptRun, target: Path, options: Mapping[str, Any]) -> None:
    if options.get("push_to_hub"):
        address = upload(target, options["push_to_hub"], options.get("private", False))
        run.console.print(f"uploaded to {address}")


def _require_classifier(run: KeptRun) -> None:
    if run.task.generates:
        raise RecipeError(
            "int8=true is for classifiers: what a generator loses by 8 bits no accuracy tells",
            fix="export without int8=true",
        )


def _published(run: KeptRun, options: Mapping[str, Any]) -> Published:
    inventory = run.folder.file(IMAGES)
    digest = read_inventory(inventory).digest if inventory.exists() else ""
    license, repository = options.get("license", ""), options.get("push_to_hub", "")
    return Published(license, digest, repository)


def _label_of(run: KeptRun, results: list[dict[str, Any]], options: Mapping[str, Any]) -> str:
    """The label of the results that the words of the tool mean; empty: the usual one."""
    selected = select(run, options)
    if selected is None:
        return str(options["label"])
    if options["label"]:
        raise RecipeError(
            f"label={options['label']} and {selected.label}: which of them?",
            fix="give one of these words",
        )
    labels = [r["label"] for r in results if r["id"] == selected.architecture.id]
    if not labels:
        raise RunFolderError(
            f"{selected.label} has not been retrained",
            found=", ".join(dict.fromkeys(str(r["label"]) for r in results)),
            fix=f"run fewshot retrain run={run.folder.path} with the same word first, or export it "
            "with weights=inherited",
        )
    return min(map(str, labels), key=lambda label: (bool(settings_of_label(label)), label))


def _export_inherited(options: Mapping[str, Any]) -> Path:
    if options.get("label"):
        raise RecipeError(
            f"label={options['label']} names a retrained network, and weights=inherited exports "
            "one that is not",
            fix="leave one of the two out; trial=, front= and architecture= choose another network",
        )
    if options.get("int8"):
        raise RecipeError(
            "int8=true measures what it loses on the test images, which are for networks that were "
            "trained on their own",
            fix="leave weights=inherited out, or int8=true",
        )
    run = attach(options)
    with at_work(run):
        require_inheritable(run)
        selected = select(run, options)
        wanted = selected.architecture if selected else found_architecture(run)
        target = Path(options["out"] or run.folder.file("export"))
        _require_apart(target, run.folder.path)
        with replacing(target) as folder:
            inherited = inherit_network(run, wanted)
            small = replace(run, recipe=as_searched(run.recipe, run))
            _fill_inherited(small, folder, inherited, selected, _published(run, options))
        named = selected.label if selected else FOUND
        run.console.print(f"exported {label_text(named)}, with the supernet's weights: {target}")
    _upload(run, target, options)
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


@dataclass(frozen=True)
class _Exported:
    """A network on its way into a folder, as :class:`Published` says it shall be."""

    run: KeptRun
    folder: Path
    network: torch.nn.Module
    trained: Trained
    result: dict[str, Any]
    results: list[dict[str, Any]]
    published: Published


def _fill(exported: _Exported, int8: bool) -> None:
    run, folder, trained = exported.run, exported.folder, exported.trained
    write_text(folder / "recipe.yaml", recipe_yaml(run.recipe))
    data = run.images.facts()  # without int8 an export needs no image
    if isinstance(trained, Stock):
        _fill_with_classifier(exported, data, (timm_name(exported.network), {}, ()), int8)
        return
    write_json(folder / "architecture.json", run.root.space.to_json(trained))
    model = run.task.export_model(trained, run.recipe, data.shape)
    if model is not None:
        _fill_with_classifier(exported, data, model, int8)
        return
    context = _context(run, data, exported.published)
    run.task.hand_over(
        context,
        folder,
        exported.network,
        trained,
        exported.result,
        exported.results,
    )


def _context(run: KeptRun, data: ImageFacts, published: Published) -> ExportContext:
    return ExportContext(
        recipe=run.recipe,
        run=run.folder.path,
        space=run.root.space,
        shape=data.shape,
        described=data.described,
        environment=read_json(run.folder.file("environment.json")),
        published=published,
    )


def _fill_with_classifier(
    exported: _Exported,
    data: ImageFacts,
    model: tuple[str, dict[str, Any], Sequence[Path]],
    int8: bool,
) -> None:
    run, folder, metric = exported.run, exported.folder, exported.run.task.description.metric
    size, license = data.shape.input_size, exported.published.license
    written = _write_model(folder, exported.network, model, data, size, license)
    rows = [
        (label_text(r["label"]), format_spread(r["values"]), f"{r['params']:,}")
        for r in summarise(exported.results, metric.name)
    ]
    onnx = folder / ONNX
    write_text(
        folder / "README.md",
        model_card(
            model_name=written.name,
            account=read_account(run.folder.path, run.recipe, data.described),
            result=exported.result,
            results=exported.results,
            comparison=rows,
            metric=metric,
            data=data.described,
            classes=data.classes,
            environment=read_json(run.folder.file("environment.json")),
            differences=written.differences,
            latency=written.latency,
            published=exported.published,
            int8=quantise(run, onnx, folder / "model.int8.onnx") if int8 else None,
        ),
    )


@dataclass(frozen=True)
class _Written:
    """A model in a folder: its timm name, what its checks came to, and milliseconds an image."""

    name: str
    differences: dict[str, float]
    latency: float


def _write_model(
    folder: Path,
    network: torch.nn.Module,
    model: tuple[str, dict[str, Any], Sequence[Path]],
    data: ImageFacts,
    size: tuple[int, int, int],
    license: str,
) -> _Written:
    """Write a network as a timm folder and as ONNX, and check both.

    Args:
        folder: Where to.
        network: In ``eval()`` mode, on the CPU.
        model: What :meth:`fewshot_core.task.Task.export_model` says.
        data: What is known of the images.
        size: Channels, height and width of an image.
        license: Of the weights; empty: not stated.
    """
    model_name, arguments, sources = model
    write_timm_folder(
        folder,
        network,
        model_name=model_name,
        arguments=arguments,
        sources=sources,
        license=license_fields(license).get("license", ""),
        input_size=size,
        mean=data.mean,
        std=data.std,
        classes=data.classes,
    )
    facts = facts_of_model(classes=data.classes, input_size=size, mean=data.mean, std=data.std)
    images = torch.randn(4, *size, generator=torch.Generator().manual_seed(0))
    onnx = folder / ONNX
    differences = {
        "timm": check_timm_folder(folder, network, images),
        "onnx": write_onnx(onnx, network, images, facts=facts),
    }
    return _Written(model_name, differences, onnx_latency(onnx, images[:1]))


def _fill_inherited(
    run: Run, folder: Path, inherited: Inherited, chosen: Selected | None, published: Published
) -> None:
    """Fill the folder of an export with inherited weights.

    Args:
        run: The run, with the sizes of its supernets.
        folder: The folder.
        inherited: The network.
        chosen: How it was chosen by hand; None: the search found it.
        published: License and the like.
    """
    architecture, data = inherited.architecture, run.images.facts()
    shape = run.images.search_data().shape
    write_json(folder / "architecture.json", run.root.space.to_json(architecture))
    write_text(folder / "recipe.yaml", recipe_yaml(run.recipe))
    facts = InheritedFacts(
        label=FOUND if chosen is None else chosen.label,
        genotype=run.root.space.genotype(architecture),
        region=inherited.region,
        metrics=inherited.metrics,
        calibrated=inherited.calibrated,
        costs=run.task.costs(run.recipe, shape).costs(architecture),
    )
    model = run.task.export_model(architecture, run.recipe, shape)
    if model is None:
        context = _context(run, data, published)
        run.task.hand_over_inherited(context, folder, inherited.network, architecture, facts)
        return
    written = _write_model(
        folder, inherited.network, model, data, shape.input_size, published.license
    )
    card = inherited_card(
        facts,
        model_name=written.name,
        account=read_account(run.folder.path, run.recipe, data.described),
        data=data.described | {"image_size": shape.input_size[1]},
        classes=data.classes,
        differences=written.differences,
        latency=written.latency,
        published=published,
    )
    write_text(folder / "README.md", card)
