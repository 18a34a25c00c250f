"""The four numbers that a report begins with, each beside what it is to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.ticker import EngFormatter

from fewshot_core.costs.table import Limits
from fewshot_core.evaluators.words import find_words
from fewshot_core.metrics import Metric
from fewshot_core.recipe.places import is_local_model
from fewshot_core.recipe.stock_names import PRETRAINED, stock_name
from fewshot_core.report.account import account_of, count_in_words
from fewshot_core.report.facts import Retrained, RunFacts
from fewshot_core.report.page import Page
from fewshot_core.report.words import gap_between
from fewshot_core.runs.retrained import (
    FOUND,
    base_label,
    in_folder,
    kind_of_label,
    settings_of_label,
)
from fewshot_core.trust.verdict import judge

GOOD, BAD, OPEN = "good", "bad", "open"
"""How a number is marked, beside its words: colour alone says nothing."""

RIVALS = {
    "random": "random architectures",
    "largest": "the largest",
    "most-flops": "the one with the most FLOPs",
}
MEASURES = {"flops": "FLOPs", "params": "parameters", "latency": "latency"}
VERDICTS = {
    "trusted": ("May be trusted", GOOD),
    "refuted": ("Not to be trusted", BAD),
    "open": ("Not shown to be right", OPEN),
}


@dataclass(frozen=True)
class Tile:
    """A number of the first screen.

    Attributes:
        label: What it is.
        value: The number, or the words that stand for one that is not known.
        known: Whether it is; what is not known is set small.
        lines: What it is compared with, a sentence each.
        command: What makes it known, for a shell.
        state: ``good``, ``bad``, ``open``, or empty: no judgement.
    """

    label: str
    value: str
    known: bool = True
    lines: Sequence[str] = ()
    command: str = ""
    state: str = ""


def tiles(page: Page) -> list[Tile]:
    """Test value, cost, what was spent, and trust."""
    return [_tested(page), _cost(page), _spent(page.facts), _trust(page)]


# -- test value ----------------------------------------------------------------------------------


def _tested(page: Page) -> Tile:
    facts, metric = page.facts, page.metric
    named = page.metric_text or metric.name
    label = f"Test {named}"
    rows = facts.retrained
    # The run's own settings come first; those of another launch are named.
    mine = sorted((row for row in rows if base_label(row.label) == FOUND), key=_has_settings)
    if not mine:
        if facts.found is None:
            return Tile(label, "Not known yet", known=False, lines=["The search has not ended."])
        lines = ["Other networks of this run have been trained."] if rows else []
        going = page.doing is not None  # its folder is in use
        return Tile(
            f"{label} of the network",
            "Not trained yet",
            known=False,
            lines=[*lines, "The run goes on."] if going else lines,
            command="" if going else page.command("retrain"),
        )
    first, settings = mine[0], settings_of_label(mine[0].label)
    others = [row for row in rows if row != first and settings_of_label(row.label) == settings]
    compared = [_against(first, row, metric) for row in others if _rival(row)]
    state = ""
    if compared and all(clear for _, _, clear in compared):
        better = {better for _, better, _ in compared}
        state = GOOD if better == {True} else BAD if better == {False} else ""
    lines = [line for line, _, _ in compared]
    if not compared:
        lines = ["Nothing was trained to compare it with."]
    seeds = count_in_words(len(first.values), "seed")
    return Tile(
        f"{label}, {', '.join(filter(None, [seeds, settings]))}",
        _joined(first.spread, metric),
        lines=lines,
        state=state,
    )


def _rival(row: Retrained) -> str:
    """What a network is called that the found one is compared with; empty: it is not.

    Of a stock model its cost is said too: without a limit on it a larger one is no rival.
    """
    stock = stock_name(base_label(row.label))
    if stock is None:
        return RIVALS.get(kind_of_label(row.label), "")
    name, start = stock
    if is_local_model(name):
        weights = " with its weights" if start == PRETRAINED else ""
        return f"the model {in_folder(name)}{weights}, {engineering(row.flops)} FLOPs"
    weights = ", published weights" if start == PRETRAINED else ""
    return f"timm's {name}{weights}, {engineering(row.flops)} FLOPs"


def _has_settings(row: Retrained) -> bool:
    return bool(settings_of_label(row.label))


def _against(
    first: Retrained, other: Retrained, metric: Metric
) -> tuple[str, bool | None, bool | None]:
    """A line about a rival; whether the first is better, and whether that is clear."""
    value = f"{_rival(other)} ({_joined(other.spread, metric)})"
    if other.genotype == first.genotype and other.architectures == 1:
        return f"The same architecture as {value}.", None, None
    gap = gap_between(first.values, other.values, metric)
    if gap.better is None:
        said = f"Equal on average to {value}"
    else:
        points = " points" if metric.unit == "%" else ""
        better = "better" if gap.better else "worse"
        said = f"{abs(gap.value):.2f}{points} {better} than {value}"
    sure = {
        None: "one seed shows no spread",
        True: "a clear difference",
        False: "no clear difference",
    }[gap.clear]
    return f"{said}, {sure}.", gap.better, gap.clear


def _joined(spread: str, metric: Metric) -> str:
    """A spread that stays on one line."""
    return f"{spread}{' %' if metric.unit == '%' else ''}".replace(" ", "\u00a0")


# -- cost ----------------------------------------------------------------------------------------


def _cost(page: Page) -> Tile:
    found, constraint = page.facts.found, page.recipe.constraint
    limits = Limits(constraint.flops, constraint.params, constraint.latency).given
    if found is None:
        lines = [f"Limit: {_amount(name, limit)}" for name, limit in limits]
        first = limits[0][0] if limits and limits[0][0] != "latency" else "flops"
        if page.facts.trials:
            best = max(page.facts.trials, key=lambda trial: trial.score)
            cost = _amount(first, getattr(best, first))
            lines.insert(0, f"The best score so far, trial {best.number}: {cost}.")
        return Tile("Cost", "Not known yet", known=False, lines=["No search has ended.", *lines])
    costs = found["costs"]
    lines, within = [], True
    for name, limit in limits:
        cost = costs.get(f"connected_{name}")
        if cost is not None:
            within = within and cost <= limit
            lines.append(f"{100 * cost / limit:.0f} % of the limit of {_amount(name, limit)}.")
    first = limits[0][0] if limits and f"connected_{limits[0][0]}" in costs else "flops"
    rest = [name for name in ("flops", "params", "latency") if name != first]
    also = [_amount(name, costs[f"connected_{name}"]) for name in rest if _has(costs, name)]
    if not limits:
        lines.append("No limit was set.")
    largest = next(
        (row for row in page.facts.retrained if kind_of_label(row.label) == "largest"), None
    )
    if largest is not None and first in ("flops", "params"):
        most = largest.flops if first == "flops" else largest.params
        lines.append(f"The largest architecture: {_amount(first, most)}.")
    if also:
        lines.append(f"Besides: {', '.join(also)}.")
    state = "" if not limits else GOOD if within else BAD
    return Tile("Cost", _amount(first, costs[f"connected_{first}"]), lines=lines, state=state)


def _has(costs: Mapping[str, float], name: str) -> bool:
    return f"connected_{name}" in costs


def _amount(name: str, value: float) -> str:
    """``476 k FLOPs``, ``12.3 ms``."""
    if name == "latency":
        return f"{value:.3g} ms latency"
    return f"{engineering(value)} {MEASURES[name]}"


def engineering(value: float) -> str:
    """``476 k``: three digits at most, with a prefix."""
    digits = f"{float(f'{value:.3g}'):g}"
    return EngFormatter(sep="\u00a0")(float(digits)).strip()


# -- spent ---------------------------------------------------------------------------------------


def _spent(facts: RunFacts) -> Tile:
    label = "Training images seen"
    spent = facts.spent
    lines = []
    if facts.shares:
        lines.append("Without the supernets, which another run has trained.")
    if not spent and facts.found is None:
        return Tile(label, "Nothing so far", known=False, lines=lines)
    if not spent:
        return Tile(label, "0", lines=lines or ["Nothing was trained in this run."])
    images, seconds = (sum(values) for values in zip(*spent.values(), strict=True))
    lines.insert(0, f"{duration(seconds)} of training.")
    if len(spent) > 1:
        parts = (f"{part} {engineering(count)}" for part, (count, _) in spent.items())
        lines.append(f"Of these: {', '.join(parts)}.")
    else:
        lines.append(f"All of them: {next(iter(spent))}.")
    return Tile(label, engineering(images), lines=lines)


def duration(seconds: float) -> str:
    """``less than 1 s``, ``57 s``, ``3 min``, ``2.5 h``."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.3g} h"


# -- trust ---------------------------------------------------------------------------------------


def _trust(page: Page) -> Tile:
    recipe, facts = page.recipe, page.facts
    label = "Scores of the search"
    if facts.audit is not None:
        judgement = judge(facts.audit.evidence())
        value, state = VERDICTS[judgement.state]
        tau = facts.audit.of_scores
        lines = []
        if judgement.state == "trusted" or facts.audit.evidence().of_equal_cost:
            right = round(50 * (1 + tau.tau))
            lines.append(
                f"Of two trained networks of about equal cost the better one had the higher score "
                f"in about {right} % of the pairs; a coin has 50 %."
            )
        lines.append(f"{count_in_words(len(facts.audit.values), 'network')} trained to find out.")
        return Tile(label, value, lines=lines, state=state)
    if facts.found is None and not facts.trials:
        return Tile(label, "No scores yet", known=False, lines=["The search has not ended."])
    if not find_words(account_of(recipe, facts).evaluator).audited:
        line = "An audit has nothing to say about scores of this kind."
        return Tile(label, "Not audited", known=False, lines=[line])
    line = "No network was trained from scratch to compare the scores with."
    if facts.found is None and recipe.audit.networks:
        line = f"The audit comes after the search: {recipe.audit.networks} trainings from scratch."
    return Tile(label, "Not checked", known=False, lines=[line], state=OPEN)
