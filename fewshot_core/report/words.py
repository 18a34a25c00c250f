"""What a report says in plain words: the summary, and the verdict of the audit."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import ttest_ind

from fewshot_core.evaluators.words import find_words
from fewshot_core.metrics import Metric
from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.planning import tell_plan
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.stock_names import stock_name
from fewshot_core.report.account import (
    Account,
    account_of,
    count_in_words,
    count_of,
    data_name,
    epochs_text,
)
from fewshot_core.report.facts import AuditFacts, Correlation, Retrained, RunFacts
from fewshot_core.runs.retrained import (
    FOUND,
    GIVEN,
    TRIAL,
    base_label,
    how_trained,
    kind_of_label,
    settings_of_label,
)
from fewshot_core.tasks import load_description
from fewshot_core.trust.verdict import BASELINES, judge, span

LEVEL = 0.05
"""Two groups of seeds differ clearly where Welch's t-test gives a p below this."""


@dataclass(frozen=True)
class Verdict:
    """What the audit says about the scores."""

    trusted: bool
    headline: str
    text: str


def score_name(recipe: Recipe) -> str:
    """Axis label of a score."""
    return Account(recipe).score_label()


def heading(recipe: Recipe, facts: RunFacts) -> str:
    """What the page is about, from what was done and not from what the recipe calls itself."""
    images = data_name(recipe.data)
    if facts.found is None:
        return f"Networks of {images}; no search has ended."
    method = account_of(recipe, facts).method()
    return f"{method[:1].upper()}{method[1:]}, strategy {recipe.strategy.name}, on {images}."


def describe_recipe(recipe: Recipe, facts: RunFacts) -> str:
    """The recipe's own words, marked as such; nothing where they speak of other images."""
    changed = [word for word in facts.overrides if word and not word.startswith("#")]
    if not recipe.description or any(word.startswith("data") for word in changed):
        return ""
    note = "" if not changed else f" Typed beside it: {' '.join(changed)}."
    return f"The recipe's description of itself: “{recipe.description}”.{note}"


def summary(recipe: Recipe, facts: RunFacts, metric: Metric) -> list[str]:
    """What was found, and how good it is; a sentence each."""
    account = account_of(recipe, facts)
    sentences = []
    if facts.found is not None:
        costs, score = facts.found["costs"], facts.found["score"]
        what = (
            f"a network with {costs['connected_params']:,.0f} parameters and "
            f"{costs['connected_flops']:,.0f} FLOPs"
        )
        scored = "" if score is None else f"; its score is {score:.4g} ({account.score_meaning()})"
        if facts.ladder is not None:
            sentences += _describe_ladder(account, facts, f"{what}{scored}")
        else:
            sentences.append(f"{_describe_search(account, facts)} {what}{scored}.")
        planned = tell_plan(recipe)
        if planned is not None:
            sentences.append(f"{planned[:1].upper()}{planned[1:]}.")
        if facts.reused is not None:
            sentences.append(facts.reused.sentence.replace("`", ""))
    rows = _found_first(facts.retrained)
    if rows:
        sentences += _describe_retrained(account, rows, metric)
        sentences[:0] = _better_stock(rows, metric)
    if facts.found is not None and not any(base_label(row.label) == FOUND for row in rows):
        subject = "The found one" if rows else "It"
        sentences.append(
            f"{subject} has not been retrained yet, so nothing is known of its test {metric.name}."
        )
    return sentences


def _describe_ladder(account: Account, facts: RunFacts, what: str) -> list[str]:
    """How scores and trainings from scratch came to what is handed over."""
    assert facts.ladder is not None
    name, last = facts.ladder["metric"], facts.ladder["rungs"][-1]
    metric = load_description(account.recipe.task).find_metric(name)
    unit = f" {metric.unit}" if metric.unit else ""
    found = facts.ladder["found"]
    origin = {
        "random": " It was drawn at random: there were too few scores.",
        "model": " A model of the results so far had proposed it.",
    }.get(found["origin"], "")
    trials = f"{len(facts.trials):,} trials" if facts.trials else "no trials with a score"
    return [
        f"After {trials} the last choice was made by {account.ladder()}: {what}.{origin}",
        f"On the last rung it had the best validation {metric.name} after "
        f"{epochs_text(last['epochs'])}, {found[name]:.4g}{unit}"
        + ("; to be the best of several flatters that number." if last["networks"] > 1 else "."),
    ]


def _describe_search(account: Account, facts: RunFacts) -> str:
    naming = [region.named for region in facts.derived if region.named]
    if naming:
        who = count_in_words(len(naming), "region") if account.few_shot else "the supernet"
        whose = "their" if account.few_shot else "its"
        best = "The one with the best score is" if sum(naming) > 1 else "It is"
        named = count_in_words(sum(naming), "architecture")
        return f"By {whose} preferences, {who} named {named}. {best}"
    distinct = len({trial.id for trial in facts.trials})
    partial = f" and {facts.partial:,} with a part of the budget" if facts.partial else ""
    failed = f"; {facts.failed:,} more gave no number" if facts.failed else ""
    return (
        f"In {len(facts.trials):,} trials ({distinct:,} different architectures{failed}){partial} "
        "the search found"
    )


def _found_first(rows: Sequence[Retrained]) -> list[Retrained]:
    """What a user asks about first, and what the others are compared with."""
    return sorted(rows, key=lambda row: (base_label(row.label) != FOUND, row.label != FOUND))


def _better_stock(rows: Sequence[Retrained], metric: Metric) -> list[str]:
    """That a stock model does better than what the search found: the first thing to know."""
    means = {row.label: metric.to_score(statistics.mean(row.values)) for row in rows}
    stock = [row for row in rows if stock_name(base_label(row.label)) is not None]
    if "found" not in means or not stock:
        return []
    best = max(stock, key=lambda row: means[row.label])
    if means[best.label] <= means["found"]:
        return []
    unit = f" {metric.unit}" if metric.unit else ""
    return [
        f"{_capital(best.name)} did better than what the search found: {_value(best, unit)} with "
        f"{best.flops:,} FLOPs. To export it: fewshot export, with label={best.label}."
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _describe_retrained(account: Account, rows: Sequence[Retrained], metric: Metric) -> list[str]:
    first, *others = rows
    unit = f" {metric.unit}" if metric.unit else ""
    named = account.named(metric, "test")
    subject, verb = _subject(first)
    subject = "it" if first.label == FOUND else subject[:1].lower() + subject[1:]
    count = count_of(account.data, "test")
    trained = how_trained([first.start]).capitalize()
    sentences = [
        f"{trained}, {subject} {verb} {_value(first, unit)} {named} {account.on} the {count}"
        f"test images, which had no part in the search or in the training."
    ]
    for other in others:
        subject, verb = _subject(other)
        if other.genotype == first.genotype and other.architectures == 1:
            sentences.append(f"{subject} is the same architecture.")
            continue
        compared = comparison(first.values, other.values, metric, _name(first))
        sentences.append(f"{subject} {verb} {_value(other, unit)}: {compared}.")
    kinds = {kind_of_label(row.label) for row in rows}
    if GIVEN in kinds:
        sentences.append(
            "What is given by hand is no result of the search; if it was chosen by test results, "
            "its own flatters it."
        )
    if TRIAL in kinds:
        sentences.append(
            "A trial by its number was chosen by hand among those of the search; if by test "
            "results, its own flatters it."
        )
    return sentences


def _subject(row: Retrained) -> tuple[str, str]:
    """What a sentence about a row begins with, and its verb."""
    if row.architectures > 1:
        base = base_label(row.label)
        every = {"random": "Random architectures"}.get(base, f"Architectures ({row.name})")
        return f"{every}{_settings(row)}, another for each seed,", "reach"
    name = {
        "random": "A random architecture",
        "largest": "The architecture with the most parameters",
        "most-flops": "The architecture with the most FLOPs",
        "one-shot": "The choice of the one-shot supernet",
        "given": "The architecture given by hand",
        "found": "The found one",
    }.get(base_label(row.label))
    if name is None:
        return row.name[:1].upper() + row.name[1:], "reaches"
    return f"{name}{_settings(row)}", "reaches"


def _settings(row: Retrained) -> str:
    """`` (retrain.epochs=30)``: what its training differs from the recipe in, or nothing."""
    settings = settings_of_label(row.label)
    return f" ({settings})" if settings else ""


def _name(row: Retrained) -> str:
    """What a comparison calls the row that it starts from."""
    if base_label(row.label) == FOUND:
        return f"the found one{_settings(row)}"
    return f"the one {row.name}"


def _value(row: Retrained, unit: str) -> str:
    return f"{row.spread}{unit} ({count_in_words(len(row.values), 'seed')})"


@dataclass(frozen=True)
class Gap:
    """How far the means of two groups of seeds lie apart.

    Attributes:
        value: The first mean less the second.
        better: Whether the first is better; None: they are equal to two digits.
        clear: Whether the difference is clear given the spread; None: one seed says nothing of it.
    """

    value: float
    better: bool | None
    clear: bool | None


def gap_between(found: Sequence[float], other: Sequence[float], metric: Metric) -> Gap:
    """Compare the test values of two groups of seeds by Welch's t-test."""
    value = statistics.mean(found) - statistics.mean(other)
    better = None if abs(value) < 0.005 else metric.to_score(value) > 0
    if min(len(found), len(other)) < 2:
        return Gap(value, better, None)
    if statistics.stdev(found) == statistics.stdev(other) == 0:
        return Gap(value, better, value != 0)
    return Gap(value, better, float(ttest_ind(found, other, equal_var=False).pvalue) < LEVEL)


def comparison(
    found: Sequence[float], other: Sequence[float], metric: Metric, name: str = "the found one"
) -> str:
    """Whether the first one is better, as far as the seeds can tell."""
    gap = gap_between(found, other, metric)
    points = " points" if metric.unit == "%" else ""
    what = f"{name} is {abs(gap.value):.2f}{points} {'higher' if gap.value > 0 else 'lower'}"
    if metric.lower:
        what += f", which is {'better' if gap.better else 'worse'}"
    if gap.better is None:
        what = f"{name} is the same on average"
    if gap.clear is None:
        return f"{what}, but one seed says nothing about the spread"
    return f"{what}, {'a' if gap.clear else 'no'} clear difference given the spread of the seeds"


def warn_unaudited(recipe: Recipe, facts: RunFacts) -> str:
    """What to know of scores that no audit has looked at; nothing where there is nothing to say."""
    asked = recipe.audit.networks
    if asked:
        return (
            f"The recipe asks for an audit of {asked} networks, and there is none: the search was "
            "stopped before it, or had fewer than three networks to compare."
        )
    if not find_words(plugin_of("evaluator", recipe.evaluator)).audited:
        return ""
    return (
        "Whether the scores may be trusted was not checked. An audit trains some networks from "
        "scratch: start a new run with audit.networks=12."
    )


def verdict(audit: AuditFacts, facts: RunFacts, on: str = "on") -> Verdict:
    """The sentence of :func:`fewshot_core.trust.verdict.judge`, and how it came about.

    Args:
        audit: What the audit measured.
        facts: The run.
        on: How the metric stands to images, as of :attr:`Account.on`.
    """
    evidence = audit.evidence()
    judgement = judge(evidence)
    trusted = judgement.state == "trusted"
    name, best = max(audit.of_costs.items(), key=lambda item: item[1].tau)
    baseline = BASELINES.get(name, name)
    among = f" of {audit.candidates:,} candidates" if audit.candidates is not None else ""
    cost = span(evidence.lowest, evidence.highest)
    found = "" if audit.found is None else f" (the found one has {audit.found:,.0f})"
    lost = f"; {audit.diverged} more diverged and are left out" if audit.diverged else ""
    equal = all(len(set(values)) == 1 for values in audit.costs.values())
    counting = (
        "They all have as many parameters and FLOPs, so counting those says nothing."
        if equal
        else f"Of {baseline}, the best baseline, it is {format_correlation(best)}."
    )
    parts = [
        f"{evidence.networks} networks of {cost} connected FLOPs{found}, spread over the ranks of "
        f"the scores{among}, were trained from scratch for {epochs_text(audit.epochs)} and "
        f"measured {on} the {count_of(facts.data, 'validation')}validation images{lost}. "
        f"Kendall's τ (1: the same order, 0: chance) between the scores and these results is "
        f"{format_correlation(audit.of_scores)}. {counting}"
    ]
    if trusted and best.tau >= audit.of_scores.low:
        parts.append(
            f"That the scores order better than {baseline} is not certain, because the interval "
            "includes the baseline's τ."
        )
    return Verdict(trusted, judgement.sentence, " ".join(parts))


def format_correlation(value: Correlation) -> str:
    """``0.31 (95 % interval −0.20 to 0.75)``."""
    if math.isnan(value.low):
        return f"{value.tau:z.2f}".replace("-", "−")
    text = f"{value.tau:z.2f} (95 % interval {value.low:z.2f} to {value.high:z.2f})"
    return text.replace("-", "−")
