"""Report: pictures and one page about a run, from what its folder holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fewshot_core.contexts import PictureContext
from fewshot_core.errors import RunFolderError
from fewshot_core.metrics import Metric
from fewshot_core.pipeline.opening import attach_to_read
from fewshot_core.pipeline.regions import read_tree
from fewshot_core.pipeline.run import KeptRun
from fewshot_core.pipeline.stock import read_trained
from fewshot_core.recipe.load import recipe_yaml
from fewshot_core.recipe.schema import Recipe
from fewshot_core.report import plots
from fewshot_core.report.account import (
    account_of,
    count_in_words,
    count_of,
    epochs_text,
    with_unit,
)
from fewshot_core.report.canvas import LINES, save_picture, svg_text
from fewshot_core.report.facts import (
    RegionFacts,
    Retrained,
    RunFacts,
    facts_of_trials,
    read_facts,
)
from fewshot_core.report.html import DRAWN_BY_PAGE, render
from fewshot_core.report.moments import read_slides
from fewshot_core.report.page import Doing, Page, Picture
from fewshot_core.report.results import format_spread, label_text, results_table, summarise
from fewshot_core.report.results_of_run import read_spent
from fewshot_core.report.tested import Tested, read_tested
from fewshot_core.report.words import describe_recipe, score_name
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.files import read_json, write_text
from fewshot_core.runs.retrained import (
    FOUND,
    GIVEN,
    base_label,
    kind_of_label,
    settings_of_label,
    start_of_result,
    without_places,
)
from fewshot_core.training.validation import CURVE


def report(options: Mapping[str, Any]) -> Path:
    """Write the report of the run that ``options`` names, and print its main table.

    Returns:
        The page.

    Raises:
        RunFolderError: There is no run, nothing in it to report on, or a file is damaged.
    """
    run = attach_to_read(options)
    try:
        return _report(run)
    finally:
        run.folder.close()


def _report(run: KeptRun) -> Path:
    path = write_report(run)
    results = _results(run)
    if results is not None:
        metric = run.task.description.find_metric(results["metric"])
        named = run.task.name_metric(metric, run.recipe, "test")
        run.console.print(results_table(results["results"], metric.name, named))
    run.console.print(f"report: {path}")
    return path


def write_report(run: KeptRun) -> Path:
    """Write ``pictures/`` and ``report.html``; neither images nor weights are read.

    Returns:
        The page.

    Raises:
        RunFolderError: There is nothing to report on yet, or a file is damaged.
    """
    path = run.folder.path
    facts, metric = facts_of(run)
    if facts.found is None and not facts.trials and not facts.retrained:
        raise RunFolderError(
            f"{path} holds nothing to report on: no finished search and no retrained network",
            fix=f"run fewshot search recipe={run.recipe.recipe} run={path} to its end",
        )
    pictures = []
    for name, caption, figure in draw(run, facts, metric):
        save_picture(figure, run.folder.file("pictures"), name)
        pictures.append(Picture(name, svg_text(figure, transparent=True), caption))
    return _write_page(run, facts, metric, pictures)


def write_live_report(run: KeptRun, doing: Doing, trials: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``report.html`` of a run that goes on, with the pictures that the page itself shows.

    Args:
        run: The run.
        doing: What it is at.
        trials: Rows of the trials so far, where their table has not been written.

    Returns:
        The page.

    Raises:
        RunFolderError: A file is damaged, or cannot be written.
    """
    facts, metric = facts_of(run)
    if not run.folder.file("trials.csv").exists():
        facts = replace(facts, **facts_of_trials(trials))
    pictures = [
        Picture(name, svg_text(figure, transparent=True), caption)
        for name, caption, figure in draw(run, facts, metric)
        if name not in DRAWN_BY_PAGE
    ]
    return _write_page(run, facts, metric, pictures, doing)


def _write_page(
    run: KeptRun,
    facts: RunFacts,
    metric: Metric,
    pictures: Sequence[Picture],
    doing: Doing | None = None,
) -> Path:
    space, recipe = run.root.space, run.recipe
    # What a recipe says of its own images is nothing to print over others.
    shown = recipe if describe_recipe(recipe, facts) else replace(recipe, description="")
    moments = run.task.moments(_picture_context(run))
    page = Page(
        run=run.folder.path,
        recipe=recipe,
        recipe_text=recipe_yaml(shown),
        metric=metric,
        facts=facts,
        drawing=_drawing(run, facts),
        pictures=pictures,
        metric_text=run.task.name_metric(metric, run.recipe, "test"),
        canonical=lambda genotype: space.canonical(space.parse(genotype)).id,
        draw=lambda genotype: run.task.draw(space, space.parse(genotype)),
        doing=doing,
        slides=None if moments is None else read_slides(moments),
    )
    written = run.folder.file("report.html")
    write_text(written, render(page))
    return written


def facts_of(run: KeptRun) -> tuple[RunFacts, Metric]:
    """What the folder of a run holds, and the metric that its retrained networks are compared by.

    Raises:
        RunFolderError: A file is damaged.
    """
    results = _results(run)
    task = run.task.description
    metric = task.metric if results is None else task.find_metric(results["metric"])
    facts = read_facts(run.folder.path, _sum_up_retrained(run, results, metric))
    spent, tested = read_spent(run.folder.path, run.recipe), _read_tested(run, results)
    return replace(facts, spent=spent, tested=tested), metric


def draw(run: KeptRun, facts: RunFacts, metric: Metric) -> Iterator[tuple[str, str, Figure]]:
    """Name, caption and figure of every picture that the facts allow."""
    recipe, account = run.recipe, account_of(run.recipe, facts)
    scores = score_name(recipe)
    test, audited = account.named(metric, "test"), account.named(metric, "validation")
    if facts.retrained:
        several = any(len(row.values) > 1 for row in facts.retrained)
        bars = "; a bar: their mean and standard deviation" if several else ""
        yield (
            "results",
            f"Test {test} of every seed {account.on} the {count_of(facts.data, 'test')}test images "
            f"after training{bars}.",
            plots.test_results(facts.retrained, with_unit(f"test {test}", metric)),
        )
    if facts.trials:
        whole = " with the whole budget" if facts.partial else ""
        found = facts.found_trial()
        yield (
            "search",
            f"The score of every trial{whole} and the best so far. Score: "
            f"{account.score_meaning()}.",
            plots.search_progress(facts.trials, scores),
        )
        yield (
            "cost",
            "Score against the FLOPs of the connected network. No network of the search that costs "
            "as much or less has a better score than those on the Pareto front.",
            plots.score_against_cost(facts.trials, "flops", scores, found.id if found else None),
        )
    if facts.audit is not None:
        epochs = epochs_text(facts.audit.epochs)
        truth = f"validation {audited},\n{epochs} from scratch"
        differ = len(set(facts.audit.costs["connected_params"])) > 1
        by = "by their score, and by their parameters" if differ else "by their score"
        yield (
            "audit",
            f"{len(facts.audit.values)} networks trained from scratch for {epochs}, "
            f"measured {account.on} the {count_of(facts.data, 'validation')}validation "
            f"images: {by}; Kendall's τ with its 95 % bootstrap interval.",
            plots.audit_scatter(facts.audit, scores, with_unit(truth, metric)),
        )
    trained = [region for region in facts.regions if region.state and region.state.history]
    if trained:
        yield "training", training_caption(trained), plots.loss_curves(facts.regions)
    curves = {} if run.task.generates else _retraining_states(run)
    if curves:
        yield "retraining", retraining_caption(recipe, curves), plots.retraining_curves(curves)
    if facts.ranking is not None and facts.ranking.clouds:
        shared = run.shares_equal
        yield (
            "ranking",
            f"True values (column {facts.ranking.column} of the truth table) by the rank that the "
            "supernets' validation accuracy predicts"
            + (", each distinct network once." if shared else "."),
            plots.rank_clouds(facts.ranking.clouds, f"true value ({facts.ranking.column})"),
        )
    yield from run.task.pictures(_picture_context(run))


def _picture_context(run: KeptRun) -> PictureContext:
    regions = dict.fromkeys([run.root, *read_tree(run.folder, run.root).leaves()])
    trainings = _trainings(run, _results(run))
    return PictureContext(
        recipe=run.recipe,
        supernets={region.id: run.folder.checkpoint(region) for region in regions},
        trainings={label: seeds[0] for label, seeds in trainings.items()},
    )


def _trainings(run: KeptRun, results: Mapping[str, Any] | None) -> dict[str, list[StageCheckpoint]]:
    """The trainings behind the results, by label; one for each seed.

    Before there are results: that of what was found, if it is going on.
    """
    found: dict[str, list[StageCheckpoint]] = {}
    for result in results["results"] if results is not None else ():
        trained = read_trained(run.root.space, result["genotype"])
        training = run.folder.retraining(trained, result["seed"], result.get("settings"))
        found.setdefault(result["label"], []).append(training)
    path = run.folder.file("found.json")
    if results is None and path.exists():
        trained = read_trained(run.root.space, read_json(path)["genotype"])
        training = run.folder.retraining(trained, 0)
        if training.folder.exists():
            found[FOUND] = [training]
    return found


def _read_tested(run: KeptRun, results: Mapping[str, Any] | None) -> list[Tested]:
    """What retrained classifiers said of the test images; the found one first, if it is there."""
    found = {
        label: read_tested(label, label_text(label), [one.folder for one in trainings])
        for label, trainings in _trainings(run, results).items()
    }
    order = sorted(found, key=lambda label: (base_label(label) != FOUND, settings_of_label(label)))
    return [tested for label in order if (tested := found[label]) is not None]


def training_caption(trained: Sequence[RegionFacts]) -> str:
    """Whose losses are drawn, and where the curves start."""
    children = [region for region in trained if region.parent is not None]
    root = len(children) < len(trained)
    if not children:
        return "Loss of the supernet on training images."
    of = f"of {count_in_words(len(children), 'region')}"
    whose = f"the root supernet and of the supernets {of}" if root else f"the supernets {of}"
    inherits = any("inherited" in r.state.notes for r in children if r.state is not None)
    start = (
        "each starts where the one that it inherits from ends"
        if inherits
        else "none inherits from another"
    )
    return f"Loss of {whose} on training images; {start}."


def _retraining_states(run: KeptRun) -> dict[str, StageState]:
    """Where the first training of every label stands, by the label without settings."""
    found: dict[str, StageState] = {}
    trainings = _trainings(run, _results(run))
    # With other settings than the run's a label has these behind it; the run's own come first.
    for label in sorted(trainings, key=lambda label: bool(settings_of_label(label))):
        state = trainings[label][0].state()
        if state.history:
            found.setdefault(base_label(without_places(label)), state)
    return dict(list(found.items())[: len(LINES)])


def retraining_caption(recipe: Recipe, curves: Mapping[str, StageState]) -> str:
    """What the curves of retrained networks show."""
    text = "Loss of retrained networks on training images, running mean; the first seed of each."
    if any(state.notes.get(CURVE) for state in curves.values()):
        return (
            f"{text} Dashed: on validation images, at the checkpoints of the trainings, which do "
            "not see these; nothing was chosen by it."
        )
    if recipe.retrain.use_validation:
        text += " Validation images are trained on as well; none are left to measure on."
    return text


def _results(run: KeptRun) -> dict[str, Any] | None:
    path = run.folder.file("retrain.json")
    if not path.exists():
        return None
    results: dict[str, Any] = read_json(path)
    if not isinstance(results, dict) or not results.get("results") or "metric" not in results:
        raise RunFolderError(f"{path} is damaged", fix="delete it and run fewshot retrain again")
    return results


def _sum_up_retrained(
    run: KeptRun, results: Mapping[str, Any] | None, metric: Metric
) -> list[Retrained]:
    if results is None:
        return []
    others = _others(run, results["results"], metric)
    return [
        Retrained(
            row["label"],
            label_text(row["label"]),
            row["values"],
            format_spread(row["values"]),
            row["params"],
            row["flops"],
            row["genotype"],
            {text: spreads[row["label"]] for text, spreads in others.items()},
            len(row["ids"]),
            start_of_result(row),
        )
        for row in summarise(results["results"], metric.name)
    ]


def _others(
    run: KeptRun, results: list[dict[str, Any]], metric: Metric
) -> dict[str, dict[str, str]]:
    """The metrics that stand beside the one compared by: by their text, then spreads by label."""
    task = run.task
    return {
        task.name_metric(other, run.recipe, "test"): {
            row["label"]: format_spread(row["values"]) for row in summarise(results, other.name)
        }
        for other in task.description.metrics
        if other.beside and other != metric and other.name in results[0]["test"]
    }


def _drawing(run: KeptRun, facts: RunFacts) -> Picture | None:
    """What was found, or else what was retrained by hand."""
    if facts.found is not None:
        what, genotype = "found", str(facts.found["genotype"])
    elif facts.retrained and kind_of_label(facts.retrained[0].label) == GIVEN:
        what, genotype = "given by hand", facts.retrained[0].genotype
    else:
        return None
    space = run.root.space
    svg = run.task.draw(space, space.parse(genotype))
    key = f" {run.task.drawing_key}" if run.task.drawing_key else ""
    return Picture("architecture", svg, f"The architecture {what}: {genotype}.{key}")
