"""The learning curves in figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.studies.tables import Table
from fewshot_core.pipeline.rank import Truth
from fewshot_core.trust.correlation import bootstrap_tau, iso_cost_tau, kendall

Curves = Mapping[tuple[int, int], Mapping[str, Sequence[float]]]

COMPARED = "300000"
"""The budget, in images, of which the tables tell more."""

LEAST = 8
"""Networks without which a tau says nothing."""


def summarise(curves: Curves, truths: Mapping[str, Truth], networks: int) -> dict[str, Any]:
    """How each length orders the networks, and how two seeds of one agree.

    Args:
        curves: By images and seed: accuracy and loss of networks by their ids.
        truths: The networks with their true values, by column.
        networks: How many are to be trained.
    """
    lengths = {}
    for (images, seed), known in sorted(curves.items()):
        if seed:
            continue
        again = curves.get((images, 1), {})
        both = [name for name in known if name in again]
        lengths[str(images)] = {
            "networks": len(known),
            "mean_accuracy": round(float(np.mean([v[0] for v in known.values()])), 2),
            "seeds_tau": _tau([known[n][0] for n in both], [again[n][0] for n in both]),
            "seeds_networks": len(both),
            "columns": {column: _compare(known, truth) for column, truth in truths.items()},
        }
    return {"networks": networks, "lengths": lengths}


def _compare(known: Mapping[str, Sequence[float]], truth: Truth) -> dict[str, Any]:
    places = [i for i, a in enumerate(truth.architectures) if a.id in known]
    found: dict[str, Any] = {}
    for kind, which, sign in (("accuracy", 0, 1.0), ("loss", 1, -1.0)):
        scores = np.array([sign * known[truth.architectures[i].id][which] for i in places])
        values = truth.values[places]
        costs, connected = truth.costs[truth.cost][places], truth.connected[places]
        upper = iso_cost_tau(
            scores, values, costs, connected, truth.iso_minimum, truth.tolerance, upper=True
        )
        equal = iso_cost_tau(scores, values, costs, connected, truth.iso_minimum, truth.tolerance)
        found[kind] = {
            "tau": _tau(scores, values),
            "interval": list(bootstrap_tau(scores, values)) if len(places) >= LEAST else None,
            "iso_cost_tau": equal.tau if equal.groups else None,
            "upper_tau": upper.tau if upper.groups else None,
            "upper_count": upper.architectures,
        }
    return found


def _tau(one: Any, other: Any) -> float | None:
    return kendall(one, other) if len(one) >= LEAST else None


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """For each place one table of the curves, and one of the decisions for each column."""
    header = (
        *("images", "networks", "mean accuracy", "tau, two seeds", "column"),
        *("tau by accuracy", "by loss", "iso-cost tau", "upper half"),
    )
    tables = []
    for name, place in figures.items():
        lines = []
        for images, row in place["lengths"].items():
            for column, kinds in row["columns"].items():
                by = kinds["accuracy"]
                seeds = _text(row["seeds_tau"])
                lines.append(
                    [
                        f"{int(images):,}",
                        str(row["networks"]),
                        f"{row['mean_accuracy']:.2f}",
                        f"{seeds} ({row['seeds_networks']})" if row["seeds_networks"] else "–",
                        column,
                        _text(by["tau"]),
                        _text(kinds["loss"]["tau"]),
                        _text(by["iso_cost_tau"]),
                        _text(by["upper_tau"]),
                    ]
                )
        tables.append(Table(f"{name}: trained from scratch, of {place['networks']}", header, lines))
        for column, budgets in place.get("decisions", {}).items():
            tables.append(_decisions(f"{name}, {column}: mean regret over the limits", budgets))
    return tables


def _decisions(title: str, budgets: Mapping[str, Any]) -> Table:
    """Regrets by way and budget, and at one budget what each has before the baseline."""
    at = COMPARED if COMPARED in budgets else next(iter(budgets))
    size = f"{int(at) / 1e6:g} M"
    header = ["way", *(f"{int(budget) / 1e6:g} M images" for budget in budgets)]
    header += [f"less than halving, {size} (95 %)", f"handed over, no limit, {size}"]
    ways = dict.fromkeys(way for found in budgets.values() for way in found)
    lines = []
    for way in ways:
        found = [budgets[budget].get(way, {}) for budget in budgets]
        line = [way, *(_text(entry.get("regret")) for entry in found)]
        compared = budgets[at].get(way, {})
        less = compared.get("less_than_baseline")
        line.append(f"{less[0]:+.3f} ({less[1]:+.3f}, {less[2]:+.3f})" if less else "–")
        reached = compared.get("limits", {}).get("none")
        line.append(f"{reached[1]:.2f}" if reached else "–")
        lines.append(line)
    return Table(title, header, lines)


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
