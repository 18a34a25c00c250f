"""What a report says in plain words: names of scores, the summary, and the verdict of the audit."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import ttest_ind

from fewshot_core.metrics import LOWER_IS_BETTER, UNITS, metric_text
from fewshot_core.recipe.schema import Recipe
from fewshot_core.registry import load_task
from fewshot_core.report.facts import AuditFacts, Correlation, Retrained, RunFacts
from fewshot_core.trust import BASELINES, judge, span

PROXIES = {"synflow": "SynFlow", "naswot": "NASWOT"}
LEVEL = 0.05
"""Two groups of seeds differ clearly where Welch's t-test gives a p below this."""


@dataclass(frozen=True)
class Verdict:
    """What the audit says about the scores."""

    trusted: bool
    headline: str
    text: str


def with_unit(text: str, metric: str) -> str:
    """A label with its unit: accuracies are in %, other metrics have none."""
    return f"{text} (%)" if metric == "accuracy" else text


def score_name(recipe: Recipe) -> str:
    """Axis label of a score."""
    settings = recipe.evaluator
    if settings.name == "table":
        return f"{settings.column} in {Path(str(settings.table)).name}"
    if settings.name in PROXIES:
        return f"{PROXIES[settings.name]}, untrained network"
    named = _named(recipe, settings.score, "validation")
    kind = f"{'negative ' if settings.score in LOWER_IS_BETTER else ''}validation {named}"
    names = {"inherited": "supernet", "predictor": "predicted"}
    how = names.get(settings.name, f"{settings.epochs:g} epochs")
    return with_unit(f"{kind}, {how}", settings.score)


def score_meaning(recipe: Recipe, facts: RunFacts) -> str:
    """What a score was measured on and with which weights."""
    settings = recipe.evaluator
    if settings.name == "table":
        return f"column {settings.column} of {settings.table}"
    if settings.name in PROXIES:
        return f"{PROXIES[settings.name]} of the untrained network; only its order means anything"
    count = images(facts, "validation")
    if settings.images is not None:
        count = f"{settings.images:,} of the {count}"
    kind = _named(recipe, settings.score, "validation")
    if settings.score in UNITS:
        kind += f" in {UNITS[settings.score]}"
    if settings.score in LOWER_IS_BETTER:
        kind += " with its sign turned"
    weights = (
        "the supernet's weights, without training of its own"
        if settings.name == "inherited"
        else f"weights trained from scratch for {settings.epochs:g} epochs"
    )
    return f"{kind} on {count} validation images with {weights}"


def _named(recipe: Recipe, metric: str, part: str) -> str:
    return metric_text(load_task(recipe.task), recipe, metric, part)


def uses_validation(recipe: Recipe) -> bool:
    """Whether scores are measured on the validation images."""
    return recipe.evaluator.name in ("inherited", "standalone")


def counted(number: int, noun: str) -> str:
    """``1 region``, ``1,200 regions``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def images(facts: RunFacts, part: str) -> str:
    """``287``, or nothing where data.json does not say."""
    count = facts.data.get(part)
    return f"{count:,}" if isinstance(count, int) else ""


def summary(recipe: Recipe, facts: RunFacts, metric: str) -> list[str]:
    """What was found, and how good it is; a sentence each."""
    sentences = []
    if facts.found is not None:
        costs = facts.found["costs"]
        distinct = len({trial.id for trial in facts.trials})
        partial = f" and {facts.partial:,} with a part of the budget" if facts.partial else ""
        searched = (
            f"In {len(facts.trials):,} trials ({distinct:,} different architectures){partial} the "
            "search found"
        )
        naming = [region.named for region in facts.derived if region.named]
        if naming:
            searched = (
                f"By their preferences, {counted(len(naming), 'region')} named "
                f"{counted(sum(naming), 'architecture')}. The one with the best score is"
            )
        sentences.append(
            f"{searched} a network with {costs['connected_params']:,.0f} parameters and "
            f"{costs['connected_flops']:,.0f} FLOPs; its score is {facts.found['score']:.4g} "
            f"({score_meaning(recipe, facts)})."
        )
    if facts.retrained:
        sentences += _retrained(facts, metric, _named(recipe, metric, "test"))
    elif facts.found is not None:
        sentences.append(
            f"It has not been retrained yet, so nothing is known of its test {metric}."
        )
    return sentences


def _retrained(facts: RunFacts, metric: str, named: str) -> list[str]:
    first, *others = facts.retrained
    unit = " %" if metric == "accuracy" else ""
    subject = {"found": "it", "given": "the architecture given by hand"}.get(
        first.label, first.name
    )
    sentences = [
        f"Retrained from scratch, {subject} reaches {_value(first, unit)} {named} on the "
        f"{images(facts, 'test')} test images, which were used once, after all choices."
    ]
    for other in others:
        sentences.append(
            f"{_subject(other)} reaches {_value(other, unit)}: "
            f"{comparison(first.values, other.values, metric)}."
        )
    return sentences


def _subject(row: Retrained) -> str:
    return {
        "random": "A random architecture",
        "largest": "The architecture with the most parameters",
        "one-shot": "The choice of the one-shot supernet",
    }.get(row.label, row.name[:1].upper() + row.name[1:])


def _value(row: Retrained, unit: str) -> str:
    seeds = "1 seed" if len(row.values) == 1 else f"{len(row.values)} seeds"
    return f"{row.spread}{unit} ({seeds})"


def comparison(found: Sequence[float], other: Sequence[float], metric: str) -> str:
    """Whether the found one is better, as far as the seeds can tell."""
    gap = statistics.mean(found) - statistics.mean(other)
    points = " points" if metric == "accuracy" else ""
    what = f"the found one is {abs(gap):.2f}{points} {'higher' if gap > 0 else 'lower'}"
    if abs(gap) < 0.005:
        what = "the found one is the same on average"
    if min(len(found), len(other)) < 2:
        return f"{what}, but one seed says nothing about the spread"
    if statistics.stdev(found) == statistics.stdev(other) == 0:
        clear = gap != 0
    else:
        clear = float(ttest_ind(found, other, equal_var=False).pvalue) < LEVEL
    return f"{what}, {'a' if clear else 'no'} clear difference given the spread of the seeds"


def verdict(audit: AuditFacts, facts: RunFacts) -> Verdict:
    """The sentence of :func:`fewshot_core.trust.judge`, and how it came about."""
    evidence = audit.evidence()
    judgement = judge(evidence)
    trusted = judgement.state == "trusted"
    name, best = max(audit.of_costs.items(), key=lambda item: item[1].tau)
    baseline = BASELINES.get(name, name)
    among = f" of {audit.candidates:,} candidates" if audit.candidates is not None else ""
    cost = span(evidence.lowest, evidence.highest)
    found = "" if audit.found is None else f" (the found one has {audit.found:,.0f})"
    equal = all(len(set(values)) == 1 for values in audit.costs.values())
    counting = (
        "They all have as many parameters and FLOPs, so counting those says nothing."
        if equal
        else f"Of {baseline}, the best baseline, it is {spoken(best)}."
    )
    parts = [
        f"{evidence.networks} networks of {cost} connected FLOPs{found}, spread over the ranks of "
        f"the scores{among}, were trained from scratch for {audit.epochs:g} epochs and measured "
        f"on the {images(facts, 'validation')} validation images. Kendall's τ (1: the same order, "
        f"0: chance) between the scores and these results is {spoken(audit.of_scores)}. {counting}"
    ]
    if trusted and best.tau >= audit.of_scores.low:
        parts.append(
            f"That the scores order better than {baseline} is not certain, because the interval "
            "includes the baseline's τ."
        )
    return Verdict(trusted, judgement.sentence, " ".join(parts))


def spoken(value: Correlation) -> str:
    """``0.31 (95 % interval −0.20 to 0.75)``."""
    if math.isnan(value.low):
        return f"{value.tau:z.2f}".replace("-", "−")
    text = f"{value.tau:z.2f} (95 % interval {value.low:z.2f} to {value.high:z.2f})"
    return text.replace("-", "−")
