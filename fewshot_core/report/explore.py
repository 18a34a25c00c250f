"""The trials of a search to point at: two charts, a panel, and the same as a table."""

from __future__ import annotations

import json
from html import escape

from fewshot_core.report.account import account_of
from fewshot_core.report.charts import STAR, Trials, choose_marks, cost_chart, time_chart
from fewshot_core.report.facts import TrialFacts
from fewshot_core.report.markup import Cell, inline_svg, table
from fewshot_core.report.page import Page
from fewshot_core.report.words import score_name

ROWS = 300
"""Rows of the table; of more trials it has the front and those that were the best so far."""

DRAWN = 400_000
"""Characters of drawn architectures in a page; the found one and the front come first."""


def explore(page: Page) -> str:
    """The charts and their table; nothing without trials."""
    if not page.facts.trials:
        return ""
    trials, name = _trials(page), score_name(page.recipe)
    meaning = account_of(page.recipe, page.facts).score_meaning()
    left_out = trials.every - len(trials.shown)
    some = (
        f" {len(trials.shown):,} of the {trials.every:,} trials are shown: the front, every best "
        "so far, and an even choice of the others."
        if left_out
        else ""
    )
    return (
        f"{_key(trials)}"
        '<p class="note script">Point at a trial, or go with the arrow keys from one to the next; '
        "a click or Enter shows the command that trains it.</p>"
        '<div class="figures">'
        f"<figure>{cost_chart(trials, name)}<figcaption>Score against the FLOPs of the connected "
        "network. No network of the search that costs as much or less has a better score than "
        f"those on the Pareto front.{escape(some)}</figcaption></figure>"
        f"<figure>{time_chart(trials, name)}<figcaption>The score of every trial"
        f"{' with the whole budget' if page.facts.partial else ''} and the best so far. Score: "
        f"{escape(meaning)}.</figcaption></figure></div>"
        '<div id="panel" class="panel script" role="region" aria-live="polite" '
        'aria-label="The selected trial" hidden></div>'
        '<div id="tip" class="script" hidden></div>'
        f"{_table(page, trials)}"
    )


def explored(page: Page) -> str:
    """What the script needs: the trials, and drawings of those that matter."""
    if not page.facts.trials:
        return ""
    trials = _trials(page)
    value = {
        "command": page.command("retrain"),
        "found": trials.found,
        "trials": [
            [t.number, t.genotype, t.region, f"{t.score:.4g}", t.params, t.flops]
            for t in trials.shown
        ],
    }
    # A page ends a script at the first closing tag in it, wherever that stands.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'{_drawings(page, trials)}<script type="application/json" id="trials">{text}</script>'


def _trials(page: Page) -> Trials:
    return choose_marks(page.facts.trials, page.facts.found_trial())


def _drawings(page: Page, trials: Trials) -> str:
    if page.draw is None:
        return ""
    matter = {trials.found: 0} | {number: 1 for number in trials.front if number != trials.found}
    parts, left = [], DRAWN
    for trial in sorted(trials.shown, key=lambda t: (matter.get(t.number, 2), -t.score)):
        drawn = inline_svg(
            page.draw(trial.genotype), f"a{trial.number}", f"architecture of trial {trial.number}"
        )
        left -= len(drawn)
        if left < 0:
            break
        parts.append(f'<template id="drawing-{trial.number}">{drawn}</template>')
    return "".join(parts)


def _key(trials: Trials) -> str:
    """What the marks of both charts mean."""
    dot = '<circle class="{}" cx="0" cy="0" r="5"/>'
    line = '<path class="{}" d="M-9 0H9"/>'
    entries = [(dot.format("m"), "a trial")]
    entries.append((line.format("front") + dot.format("m f"), "Pareto front"))
    entries.append((line.format("best"), "best so far"))
    if trials.found is not None and any(t.number == trials.found for t in trials.shown):
        entries.append((f'<path class="m found" d="{STAR}"/>', "found"))
    if trials.below:
        what = f"{trials.below:,} below the axis"
        entries.append(('<path class="m low" d="M-5-4H5L0 5Z"/>', what))
    items = "".join(
        f'<li><svg viewBox="-10 -10 20 20" aria-hidden="true">{drawn}</svg>{text}</li>'
        for drawn, text in entries
    )
    return f'<ul class="key">{items}</ul>'


def _table(page: Page, trials: Trials) -> str:
    rows: list[TrialFacts] = list(trials.shown)
    what = "The trials as a table"
    if len(rows) > ROWS:
        matter = {*trials.front, *(t.number for t in trials.best), trials.found}
        rows = [trial for trial in rows if trial.number in matter]
        what = "The front and every best so far as a table"
    few_shot = account_of(page.recipe, page.facts).few_shot
    header = ["trial", "score", "parameters", "FLOPs", "on the front", "architecture"]
    cells: list[list[Cell]] = [
        [
            trial.number,
            f"{trial.score:.4g}",
            trial.params,
            trial.flops,
            "yes" if trial.number in trials.front else "",
            trial.genotype,
        ]
        for trial in rows
    ]
    if few_shot:  # whose supernet gave the score
        header.insert(-1, "region")
        for row, trial in zip(cells, rows, strict=True):
            row.insert(-1, trial.region)
    code = [i for i, name in enumerate(header) if name in ("region", "architecture")]
    shown = table(header, cells, code=code, caption="All of them: trials.csv.")
    return f"<details><summary>{what}</summary>{shown}</details>"
