"""The audit: are the supernet's scores worth anything? A few trainings from scratch tell."""

from __future__ import annotations

from typing import Any

from fewshot_core.pipeline.session import Session
from fewshot_core.ranking import bootstrap_tau, kendall
from fewshot_core.runs.files import write_json
from fewshot_core.scores import write_table
from fewshot_core.search import Trial
from fewshot_core.space import Architecture

BASELINES = ("connected_params", "connected_flops")


def audit(session: Session, done: list[Trial]) -> dict[str, Any] | None:
    """Train ``audit.networks`` scored architectures from scratch and correlate.

    They are spread evenly over the ranks of the search's distinct architectures, trained on the
    training part and measured on the validation part. Beside Kendall's tau of the scores, with a
    95 % bootstrap interval, stands that of the costs. Written to ``audit.csv`` and ``audit.json``.

    Args:
        session: The run.
        done: The trials of its search.

    Returns:
        What ``audit.json`` holds; None where the search met fewer than three networks.
    """
    chosen = spread(session, done, session.recipe.audit.networks)
    if len(chosen) < 3:
        return None
    rows: list[dict[str, Any]] = []
    for trial in chosen:
        metrics = session.train_standalone(trial.architecture, session.recipe.audit.epochs)
        costs = session.costs.costs(trial.architecture)
        rows.append(
            {
                "architecture": session.root.space.genotype(trial.architecture),
                "score": trial.score,
                "accuracy": metrics[session.task.metric],
                **{name: int(costs[name]) for name in BASELINES},
            }
        )
    truth = [row["accuracy"] for row in rows]
    scores = [row["score"] for row in rows]
    low, high = bootstrap_tau(scores, truth)
    result: dict[str, Any] = {
        "networks": len(rows),
        "epochs": session.recipe.audit.epochs,
        "tau": kendall(scores, truth),
        "interval": [low, high],
        "baselines": {name: kendall([row[name] for row in rows], truth) for name in BASELINES},
    }
    if session.folder.main:
        write_table(session.folder.file("audit.csv"), rows, list(rows[0]))
        write_json(session.folder.file("audit.json"), result)
    session.console.print(
        f"audit: tau of the scores over {len(rows)} trained networks {result['tau']:.2f} "
        f"[{low:.2f}, {high:.2f}], of connected parameters "
        f"{result['baselines']['connected_params']:.2f}"
    )
    return result


def spread(session: Session, done: list[Trial], count: int) -> list[Trial]:
    """``count`` distinct architectures at even distances in the order of their scores."""
    distinct: dict[Architecture, Trial] = {}
    for trial in done:
        distinct.setdefault(session.root.space.canonical(trial.architecture), trial)
    ordered = sorted(distinct.values(), key=lambda trial: (trial.score, trial.number))
    if len(ordered) <= count:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (count - 1))] for i in range(count)]
