"""The audit: may the scores be trusted? A few trainings from scratch tell, where no table exists.

Who has a budget chooses among networks that cost about the same, and bigger networks being better
makes any score look good. So the networks that are trained cost about as much as the one found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fewshot_core.metrics import Metric
from fewshot_core.pipeline.candidates import COST, Candidate, about_equal, score_candidates
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.standalone import train_standalone
from fewshot_core.runs.files import write_json
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.loop import DivergedError
from fewshot_core.trust.equal_cost import choose_spread
from fewshot_core.trust.ranking import bootstrap_tau, kendall
from fewshot_core.trust.scores import write_table
from fewshot_core.trust.verdict import BASELINES, Evidence, judge, span


def audit(run: Run, done: list[Trial], found: Architecture) -> dict[str, Any] | None:
    """Train ``audit.networks`` scored architectures of about equal cost and correlate.

    They are spread evenly over the ranks of their scores, trained on the training part and measured
    on the validation part. Beside Kendall's tau of the scores, with a 95 % bootstrap interval,
    stands that of the costs. Written to ``audit.csv`` and ``audit.json``. Every process of a run
    has to call it: all of them choose the same networks and train them together.

    Args:
        run: The run.
        done: The trials of its search.
        found: What the search hands over.

    Returns:
        What ``audit.json`` holds; None where there are fewer than three networks to train.
    """
    settings, metric = run.recipe.audit, run.task.description.metric
    candidates = score_candidates(run, about_equal(run, done, found))
    chosen = [
        candidates[i] for i in choose_spread([c.score for c in candidates], settings.networks)
    ]
    if len(chosen) < 3:
        run.console.print(f"audit: not made, networks to compare: {len(chosen)} (least: 3)")
        return None
    measured = run.team.deal(chosen, lambda candidate: _train(run, candidate))
    rows = []
    for candidate, metrics in zip(chosen, measured, strict=True):
        if metrics is None:
            continue
        rows.append(
            {
                "architecture": run.root.space.genotype(candidate.architecture),
                "trial": candidate.trial,
                "score": candidate.score,
                metric.name: metrics[metric.name],
                **{name: int(candidate.costs[name]) for name in BASELINES},
            }
        )
    if len(rows) < 3:
        run.console.print(f"audit: not made, networks trained to the end: {len(rows)} (least: 3)")
        return None
    result = {
        "epochs": settings.epochs,
        "metric": metric.name,
        "better": metric.better,
        "candidates": len(candidates),
        "asked": settings.networks,
        "diverged": len(chosen) - len(rows),
        **figures(rows, metric, int(run.costs.costs(found)[COST]), settings.networks),
    }
    if run.writes:
        write_table(run.folder.file("audit.csv"), rows, list(rows[0]))
        write_json(run.folder.file("audit.json"), result)
    low, high = result["interval"]
    costs = [f"of {BASELINES[name]} {tau:.2f}" for name, tau in result["baselines"].items()]
    run.console.print(
        f"audit: trained {len(rows)} networks of "
        f"{span(result['cost']['lowest'], result['cost']['highest'])} FLOPs; tau of the scores "
        f"{result['tau']:.2f} [{low:.2f}, {high:.2f}], {', '.join(costs)}"
    )
    run.console.print(f"  {result['verdict']}")
    return result


def _train(run: Run, candidate: Candidate) -> dict[str, float] | None:
    """What a network reached; None where its training diverged."""
    try:
        return train_standalone(
            run, candidate.architecture, run.recipe.audit.epochs, every_image=True
        )
    except DivergedError as error:
        run.console.print(f"audit: a network is left out: {error.what}")
        return None


def figures(
    rows: Sequence[Mapping[str, Any]], metric: Metric, found: int, asked: int = 0
) -> dict[str, Any]:
    """What trained networks show about their scores.

    Args:
        rows: For each network ``score``, the metric and the costs.
        metric: What was measured.
        found: Cost of the network that the search found.
        asked: Number of networks that the recipe asks for; 0: unknown.

    Returns:
        Figures and verdict, ready for JSON.
    """
    truth = [metric.to_score(row[metric.name]) for row in rows]
    scores = [row["score"] for row in rows]
    costs = [row[COST] for row in rows]
    tau, (low, high) = kendall(scores, truth), bootstrap_tau(scores, truth)
    baselines = {name: kendall([row[name] for row in rows], truth) for name in BASELINES}
    evidence = Evidence(
        networks=len(rows),
        tau=tau,
        low=low,
        high=high,
        baselines=baselines,
        lowest=min(costs),
        highest=max(costs),
        middle=found,
        differ=len(set(truth)) > 1,
        asked=asked,
    )
    judgement = judge(evidence)
    return {
        "networks": len(rows),
        "cost": {"measure": COST, "found": found, "lowest": min(costs), "highest": max(costs)},
        "tau": tau,
        "interval": [low, high],
        "baselines": baselines,
        "trust": judgement.state,
        "verdict": judgement.sentence,
    }
