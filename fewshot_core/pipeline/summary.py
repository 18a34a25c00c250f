"""The last lines of a search: what was found, what it costs and means, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewshot_core.pipeline.choice import Choice
from fewshot_core.pipeline.run import Run
from fewshot_core.report.account import read_account
from fewshot_core.spaces.space import Architecture

MEASURES = {"flops": "FLOPs", "params": "parameters", "latency": "latency"}


def summary_lines(
    run: Run, architecture: Architecture, choice: Choice, ladder: Mapping[str, Any] | None
) -> list[str]:
    """What a search has come to.

    Args:
        run: The run, whose folder has the results already.
        architecture: What was found.
        choice: What its scores chose.
        ladder: What the last choice was made by, where trainings from scratch made it: the metrics
            of the found network.
    """
    costs = run.costs.costs(architecture)
    space = run.root.space
    account = read_account(run.folder.path, run.recipe, run.images.facts().described)
    parts = [
        f"FLOPs {costs['connected_flops']:,.0f}",
        f"parameters {costs['connected_params']:,.0f}",
    ]
    if "connected_latency" in costs:
        parts.append(f"latency {costs['connected_latency']:.3g} ms")
    lines = [f"found: {space.genotype(space.plain(architecture))}", f"  {', '.join(parts)}"]
    lines += [f"  {line}" for line in limit_lines(run, costs)]
    if ladder is None:
        lines.append(f"  score {choice.found.score:.4g}: {account.score_meaning()}")
        lines += [f"  {line}" for line in choice_lines(run, choice)]
    else:
        metric = run.task.description.metric
        unit = f" {metric.unit}" if metric.unit else ""
        lines.append(
            f"  validation {metric.name} {ladder[metric.name]:.4g}{unit}; chosen by "
            f"{account.ladder()}"
        )
    lines.append("  Nothing is known of its test result: test images are for retraining alone.")
    lines.append(f"next: {next_command(run.folder.path)}")
    return lines


def limit_lines(run: Run, costs: Mapping[str, float]) -> list[str]:
    """How much of each limit is used: ``limit: FLOPs 20,000,000, of which 93 % are used``."""
    lines = []
    for name, limit in run.limits.given:
        shown = f"{limit:,.4g} ms" if name == "latency" else f"{limit:,.0f}"
        share = 100 * costs[f"connected_{name}"] / limit
        lines.append(f"limit: {MEASURES[name]} {shown}, of which {share:.0f} % are used")
    return lines


def choice_lines(run: Run, choice: Choice) -> list[str]:
    """Why it is not the highest score, where it is not."""
    if choice.found.number == choice.best.number:
        return []
    return [
        f"the best score is {choice.best.score:.4g} (trial {choice.best.number}): equal within "
        f"{run.recipe.search.noise:g} standard error"
        f"{'' if run.recipe.search.noise == 1 else 's'} of {choice.error:.2g}, so that the cheaper "
        "network is found; search.noise=0 takes the highest score"
    ]


def next_command(run: Path) -> str:
    """The command that trains what was found, for a shell."""
    return shlex.join(["fewshot", "retrain", f"run={run}"])
