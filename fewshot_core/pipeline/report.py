"""Report: pictures and one page about a run, from what its folder holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fewshot_core.errors import RunFolderError
from fewshot_core.metrics import metric_text
from fewshot_core.pipeline.retrain import LABELS, format_spread, results_table, summarise
from fewshot_core.pipeline.session import Session
from fewshot_core.recipe.load import recipe_yaml
from fewshot_core.report import plots
from fewshot_core.report.canvas import save_picture, svg_text
from fewshot_core.report.facts import Retrained, RunFacts, read_facts
from fewshot_core.report.html import render
from fewshot_core.report.page import Page, Picture
from fewshot_core.report.words import score_name, uses_validation, with_unit
from fewshot_core.runs.files import read_json, write_text

FURTHER = ("is", "fid_train", "kid", "precision", "recall")
"""Metrics that stand beside the one that retrained models are compared by."""

Pictures = Callable[[Session], Iterable[tuple[str, str, Figure]]]


def report(options: Mapping[str, Any]) -> None:
    """Write the report of the run that ``options`` names, and print its main table.

    Raises:
        RunFolderError: There is no run, nothing in it to report on, or a file is damaged.
    """
    session = Session.attach(options, computes=False)
    if session.folder.main:
        path = write_report(session)
        results = _results(session)
        if results is not None:
            metric = results["metric"]
            named = metric_text(session.task, session.recipe, metric, "test")
            session.console.print(results_table(results["results"], metric, named))
        session.console.print(f"report: {path}")
    session.folder.close()


def write_report(session: Session) -> Path:
    """Write ``pictures/`` and ``report.html``; neither images nor weights are read.

    Returns:
        The page.

    Raises:
        RunFolderError: There is nothing to report on yet, or a file is damaged.
    """
    run = session.folder.path
    results = _results(session)
    metric = str(results["metric"]) if results is not None else session.task.metric
    facts = read_facts(run, _retrained(session, results, metric))
    if not facts.trials and not facts.retrained:
        raise RunFolderError(
            f"{run} holds nothing to report on: no finished search and no retrained network",
            fix=f"run tools/search.py recipe={session.recipe.recipe} run={run} to its end",
        )
    pictures = []
    for name, caption, figure in draw(session, facts, metric):
        save_picture(figure, session.folder.file("pictures"), name)
        pictures.append(Picture(name, svg_text(figure, transparent=True), caption))
    space = session.root.space
    page = Page(
        run=run,
        recipe=session.recipe,
        recipe_text=recipe_yaml(session.recipe),
        metric=metric,
        facts=facts,
        drawing=_drawing(session, facts),
        pictures=pictures,
        metric_text=metric_text(session.task, session.recipe, metric, "test"),
        canonical=lambda genotype: space.canonical(space.parse(genotype)).id,
    )
    path = session.folder.file("report.html")
    write_text(path, render(page))
    return path


def draw(session: Session, facts: RunFacts, metric: str) -> Iterator[tuple[str, str, Figure]]:
    """Name, caption and figure of every picture that the facts allow."""
    scores = score_name(session.recipe)
    test = metric_text(session.task, session.recipe, metric, "test")
    audited = metric_text(session.task, session.recipe, metric, "validation")
    validation = f"{_count(facts, 'validation')}validation images"
    scored_on = f" on the {validation}" if uses_validation(session.recipe) else ""
    if facts.retrained:
        yield (
            "results",
            f"Test {test} of every seed, measured once on the {_count(facts, 'test')}test images "
            "after training from scratch.",
            plots.test_results(facts.retrained, with_unit(f"test {test}", metric)),
        )
    if facts.trials:
        whole = " with the whole budget" if facts.partial else ""
        yield (
            "search",
            f"The score of every trial{whole}{scored_on} and the best so far.",
            plots.search_progress(facts.trials, scores),
        )
        found = facts.found["id"] if facts.found else None
        yield (
            "cost",
            "Score against the FLOPs of the connected network; nothing cheaper beats the networks "
            "on the Pareto front.",
            plots.score_against_cost(facts.trials, "flops", scores, found),
        )
    if facts.audit is not None:
        truth = f"validation {audited},\n{facts.audit.epochs:g} epochs from scratch"
        yield (
            "audit",
            f"{len(facts.audit.values)} networks trained from scratch, measured on the "
            f"{validation}: by their score, and by their parameters where these differ; Kendall's "
            "τ with its 95 % bootstrap interval.",
            plots.audit_scatter(facts.audit, scores, with_unit(truth, metric)),
        )
    if any(region.state and region.state.history for region in facts.regions):
        yield (
            "training",
            "Loss on training images of the root supernet and of every region's, which starts "
            "where the supernet it inherits from ends.",
            plots.loss_curves(facts.regions),
        )
    if facts.ranking is not None and facts.ranking.clouds:
        yield (
            "ranking",
            f"True values (column {facts.ranking.column} of the truth table) by the rank that the "
            "supernets' validation accuracy predicts, each distinct network once.",
            plots.rank_clouds(facts.ranking.clouds, f"true value ({facts.ranking.column})"),
        )
    own: Pictures | None = getattr(session.task, "pictures", None)
    if own is not None:
        yield from own(session)


def _count(facts: RunFacts, part: str) -> str:
    count = facts.data.get(part)
    return f"{count:,} " if isinstance(count, int) else ""


def _results(session: Session) -> dict[str, Any] | None:
    path = session.folder.file("retrain.json")
    if not path.exists():
        return None
    results: dict[str, Any] = read_json(path)
    if not isinstance(results, dict) or not results.get("results") or "metric" not in results:
        raise RunFolderError(f"{path} is damaged", fix="delete it and run tools/retrain.py again")
    return results


def _retrained(session: Session, results: Mapping[str, Any] | None, metric: str) -> list[Retrained]:
    if results is None:
        return []
    others = _others(session, results["results"], metric)
    return [
        Retrained(
            row["label"],
            LABELS.get(row["label"], row["label"]),
            row["values"],
            format_spread(row["values"]),
            row["params"],
            row["flops"],
            row["genotype"],
            {text: spreads[row["label"]] for text, spreads in others.items()},
        )
        for row in summarise(results["results"], metric)
    ]


def _others(
    session: Session, results: list[dict[str, Any]], metric: str
) -> dict[str, dict[str, str]]:
    """Further metrics by their text, then spreads by label; none of a task that names none."""
    if not hasattr(session.task, "metric_text"):
        return {}
    scores = [s for s in results[0]["test"] if s != metric and s in FURTHER]
    return {
        metric_text(session.task, session.recipe, score, "test"): {
            row["label"]: format_spread(row["values"]) for row in summarise(results, score)
        }
        for score in scores
    }


def _drawing(session: Session, facts: RunFacts) -> Picture | None:
    """What was found, or else what was retrained by hand."""
    if facts.found is not None:
        what, genotype = "found", str(facts.found["genotype"])
    elif facts.retrained and facts.retrained[0].label == "given":
        what, genotype = "given by hand", facts.retrained[0].genotype
    else:
        return None
    space = session.root.space
    svg = session.task.draw(space, space.parse(genotype))
    return Picture("architecture", svg, f"The architecture {what}: {genotype}")
