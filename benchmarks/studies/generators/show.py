"""The study of generators in a table and a plot."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.studies.generators.arms import PLAIN
from benchmarks.studies.jobs import Rows
from benchmarks.studies.tables import Table, spread, spread_text
from fewshot_core.report.canvas import BLUE, ORANGE, styled
from fewshot_core.trust.ranking import bootstrap_tau, bootstrap_tau_difference, kendall

HEADER = (
    "scores of",
    "tau, each seed",
    "tau of mean scores",
    "gain over one-shot",
    "FID of choices",
)


def summarise(rows: Rows, arms: Sequence[str]) -> dict[str, Any]:
    """Figures of every arm, in this order, from the rows that are there."""
    trained = _group_by_genotype(rows, "truth")
    chosen = _group_by_genotype(rows, "choice")
    truth = {genotype: statistics.mean(values) for genotype, values in trained.items()}
    goods = [-value for value in truth.values()]  # lower distances are better, and higher scores
    found: dict[str, Any] = {}
    for arm in arms:
        mine = [row for row in rows.values() if row.get("arm") == arm]
        if not mine or not truth:
            continue
        taus, intervals = [], []
        for row in mine:
            scores = [row["scores"][genotype] for genotype in truth]
            taus.append(kendall(scores, goods))
            intervals.append(bootstrap_tau(scores, goods))
        mean = [statistics.mean(row["scores"][g] for row in mine) for g in truth]
        found[arm] = {
            "seeds": len(mine),
            "taus": taus,
            "intervals": intervals,
            "tau_of_mean_scores": kendall(mean, goods),
            "interval_of_mean_scores": bootstrap_tau(mean, goods),
            "mean_scores": mean,
            "images_seen": [row["images_seen"] for row in mine],
            "choices": [row["choice"] for row in mine],
            "choice_fid": [chosen.get(row["choice"], []) for row in mine],
        }
        if arm != PLAIN and PLAIN in found:
            gap = bootstrap_tau_difference(mean, found[PLAIN]["mean_scores"], goods)
            found[arm]["interval_of_gain_over_one_shot"] = gap
    costs = {row["genotype"]: row for row in rows.values() if row.get("stage") == "truth"}
    baselines = {
        name: kendall([costs[genotype][name] for genotype in truth], goods)
        for name in ("params", "flops")
        if truth
    }
    metric = next((row["metric"] for row in rows.values() if "metric" in row), "")
    return {
        "metric": metric,
        "truth": trained,
        "tau_between_seeds_of_truth": _agreement(list(trained.values())),
        "baselines": baselines,
        "arms": found,
    }


def _agreement(trained: Sequence[Sequence[float]]) -> float | None:
    """Kendall's tau between the first two seeds: scores can hardly agree better than truths."""
    pairs = [values[:2] for values in trained if len(values) > 1]
    return kendall(*zip(*pairs, strict=True)) if len(pairs) > 1 else None


def _group_by_genotype(rows: Rows, stage: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows.values():
        if row.get("stage") == stage:
            found.setdefault(row["genotype"], []).append(row["fid"])
    return found


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """A line for each arm, for each cost, and for what is known without either."""
    title = f"{len(figures['truth'])} generators trained from scratch; {figures['metric']}"
    return [Table(title, HEADER, list(_lines(figures)))]


def _lines(figures: Mapping[str, Any]) -> Iterator[list[str]]:
    for arm, row in figures["arms"].items():
        yield [
            arm,
            ", ".join(f"{tau:.2f}" for tau in row["taus"]),
            f"{row['tau_of_mean_scores']:.2f} {_interval_text(row['interval_of_mean_scores'])}",
            _interval_text(row.get("interval_of_gain_over_one_shot")),
            _reached_text(row["choice_fid"]),
        ]
    for name, tau in figures["baselines"].items():
        yield [f"counting {name}", "", f"{tau:.2f}", "", ""]
    yield ["a random generator", "", "0", "", _reached_text(list(figures["truth"].values()))]
    if (tau := figures["tau_between_seeds_of_truth"]) is not None:
        yield ["another seed of the training from scratch", "", f"{tau:.2f}", "", ""]


def _interval_text(ends: Sequence[float] | None) -> str:
    return f"[{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""


def _reached_text(trained: Sequence[Sequence[float]]) -> str:
    """Mean and spread of what each generator reaches on average over its seeds."""
    values = [statistics.mean(seeds) for seeds in trained if seeds]
    return f"{spread_text(spread(values), 2)} ({len(values)})" if values else "not trained yet"


@styled
def draw_arms(figures: Mapping[str, Any]) -> Figure:
    """Draw mean scores of each arm against FID after training: dots are generators, lines seeds."""
    arms = figures["arms"]
    columns = min(3, max(1, len(arms)))
    rows = -(-max(1, len(arms)) // columns)
    figure = Figure((3.1 * columns, 2.9 * rows), layout="constrained", facecolor="white")
    panels: Sequence[Axes] = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for panel, (arm, row) in zip(panels, arms.items(), strict=False):
        for score, seeds in zip(row["mean_scores"], figures["truth"].values(), strict=True):
            # Scores are distances with the sign turned: both axes are distances here.
            panel.plot([-score] * 2, [min(seeds), max(seeds)], color=BLUE, linewidth=1, alpha=0.5)
            panel.scatter([-score], [statistics.mean(seeds)], s=18, c=BLUE, linewidths=0)
        reached = [statistics.mean(seeds) for seeds in row["choice_fid"] if seeds]
        for value in reached:
            panel.axhline(value, color=ORANGE, linewidth=1, linestyle="--")
        panel.set_title(f"{arm}\ntau {row['tau_of_mean_scores']:.2f}", fontsize=9)
    for panel in panels[len(arms) :]:
        panel.set_visible(False)
    figure.supxlabel("FID with the supernets' weights, mean of seeds", fontsize=9)
    figure.supylabel("FID after training from scratch", fontsize=9)
    return figure
