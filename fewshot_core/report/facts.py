"""What the folder of a run holds, read once for its report. Needs no images and no weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fewshot_core.costs.pareto import pareto_front
from fewshot_core.errors import DataError, RunFolderError
from fewshot_core.metrics import Metric
from fewshot_core.report.classes import Classes, read_classes
from fewshot_core.report.tested import Tested
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.files import read_json
from fewshot_core.runs.folder import file_name
from fewshot_core.runs.retrained import SCRATCH
from fewshot_core.runs.reuse import Reused, read_reused, trainer_of
from fewshot_core.search.preferences.naming import DERIVED
from fewshot_core.spaces.split_rule import SPLITTING, read_splitting
from fewshot_core.trust.csv_text import check_width, decode_text, read_content, records_of
from fewshot_core.trust.ranking import RankFigures, bootstrap_tau
from fewshot_core.trust.scores import read_table
from fewshot_core.trust.verdict import Evidence


@dataclass(frozen=True)
class TrialFacts:
    """One line of trials.csv; costs are those of the connected network."""

    number: int
    genotype: str
    id: str
    region: str
    score: float
    params: int
    flops: int


@dataclass(frozen=True)
class Correlation:
    """Kendall's tau with its 95 % bootstrap interval."""

    tau: float
    low: float
    high: float


@dataclass(frozen=True)
class AuditFacts:
    """The audit: what was measured of the trained networks, in one order, and the correlations.

    Attributes:
        found: Connected FLOPs of the network that the search found; None: unknown.
        candidates: Number of networks that the trained ones were chosen from; None: unknown.
        asked: Number of networks that were to be trained; 0: unknown.
        diverged: Number of networks whose training diverged.
    """

    epochs: float
    scores: list[float]
    values: list[float]
    costs: Mapping[str, list[float]]
    of_scores: Correlation
    of_costs: Mapping[str, Correlation]
    found: float | None = None
    candidates: int | None = None
    asked: int = 0
    diverged: int = 0

    def evidence(self) -> Evidence:
        """What the verdict is made of."""
        flops = self.costs["connected_flops"]
        return Evidence(
            networks=len(self.values),
            tau=self.of_scores.tau,
            low=self.of_scores.low,
            high=self.of_scores.high,
            baselines={name: value.tau for name, value in self.of_costs.items()},
            lowest=min(flops),
            highest=max(flops),
            middle=self.found,
            differ=len(set(self.values)) > 1,
            asked=self.asked,
        )


@dataclass(frozen=True)
class RegionFacts:
    """A region of the tree; ``state`` is None where its supernet was never trained."""

    id: str
    parent: str | None
    depth: int
    size: int | None
    state: StageState | None


@dataclass(frozen=True)
class DerivedFacts:
    """What a region prefers: by decision, the probability of every option.

    Attributes:
        named: Number of architectures that it named.
    """

    region: str
    named: int
    preferences: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class RankingFacts:
    """ranking.json; ``clouds`` has (scores, true values) per score file, if still readable."""

    truth: str
    column: str
    equality: str
    figures: Mapping[str, RankFigures]
    clouds: Mapping[str, tuple[list[float], list[float]]]


@dataclass(frozen=True)
class Retrained:
    """The trainings of one label: a test value for every seed.

    Attributes:
        others: Further metrics in words, with their means and spreads.
        architectures: Different ones among its seeds.
        start: What the trainings started from.
    """

    label: str
    name: str
    values: list[float]
    spread: str
    params: int
    flops: int
    genotype: str
    others: Mapping[str, str] = field(default_factory=dict)
    architectures: int = 1
    start: str = SCRATCH


@dataclass(frozen=True)
class RunFacts:
    """Everything a report is made of; None or empty where a stage has not been run.

    Attributes:
        trials: Those with the whole budget: scores of others compare only among themselves.
        partial: How many trials had a part of it.
        failed: How many with the whole budget have a score that is no number.
        predictor: How well scores are predicted, where they are.
        ladder: The rungs of trainings from scratch that chose, where there were any.
        tested: What retrained classifiers said of the test images, by label.
        classes: How many images its classes have, with some of each; None: it is not known.
        spent: Training images seen and seconds of training, by part of the run.
    """

    trials: list[TrialFacts] = field(default_factory=list)
    partial: int = 0
    failed: int = 0
    found: Mapping[str, Any] | None = None
    ladder: Mapping[str, Any] | None = None
    audit: AuditFacts | None = None
    regions: list[RegionFacts] = field(default_factory=list)
    derived: list[DerivedFacts] = field(default_factory=list)
    predictor: Mapping[str, Any] | None = None
    reused: Reused | None = None  # whose supernets these are, where another run has trained them
    shares: bool = False  # whether any other run has, another one of a sweep included
    splitting: str = ""  # the decision of split.when in words; empty: nothing was decided
    ranking: RankingFacts | None = None
    retrained: list[Retrained] = field(default_factory=list)
    tested: list[Tested] = field(default_factory=list)
    data: Mapping[str, Any] = field(default_factory=dict)
    classes: Classes | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    exported: bool = False
    spent: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    def trained_regions(self) -> list[RegionFacts]:
        """The regions with a supernet."""
        return [region for region in self.regions if region.state is not None]

    def found_trial(self) -> TrialFacts | None:
        """The trial that met what was found; None where no search has ended or none is known."""
        if self.found is None:
            return None
        number = self.found.get("trial")
        return next((trial for trial in self.trials if trial.number == number), None)


def read_facts(run: Path, retrained: list[Retrained] | None = None) -> RunFacts:
    """Read the folder of a run.

    Args:
        run: The folder.
        retrained: The results of retraining, summed up.

    Raises:
        RunFolderError: A file is damaged.
        DataError: A table is damaged.
    """
    history = read_history(run)
    found = history.found
    return replace(
        history,
        **_trials(run / "trials.csv"),
        audit=_audit(run, found),
        derived=_read_derived(run),
        splitting=read_splitting(run).sentence if (run / SPLITTING).exists() else "",
        ranking=_ranking(run),
        retrained=retrained or [],
        data=_optional(run / "data.json") or {},
        classes=read_classes(run),
        environment=_optional(run / "environment.json") or {},
        overrides=_lines(run / "overrides.txt"),
        exported=(run / "export" / "config.json").is_file(),
    )


def read_history(run: Path) -> RunFacts:
    """What the folder of a run says of how it found what it found, and nothing of trials.

    Raises:
        RunFolderError: A file is damaged.
    """
    predictor = _optional(run / "predictor.json")
    return RunFacts(
        found=_optional(run / "found.json"),
        regions=_regions(run),
        predictor=predictor if isinstance(predictor, dict) else None,
        ladder=_ladder(run),
        reused=read_reused(run),
        shares=trainer_of(run) is not None,
    )


def top_trials(
    trials: Sequence[TrialFacts],
    canonical: Callable[[str], str],
    count: int = 10,
    found: TrialFacts | None = None,
) -> list[TrialFacts]:
    """The best trials, each network once; of equals the found one first, then the cheapest."""

    def place(trial: TrialFacts) -> tuple[float, bool, int, int, int]:
        return -trial.score, trial != found, trial.flops, trial.params, trial.number

    seen: dict[str, TrialFacts] = {}
    for trial in sorted(trials, key=place):
        seen.setdefault(canonical(trial.genotype), trial)
        if len(seen) == count:
            break
    return list(seen.values())


def front_of(trials: Sequence[TrialFacts]) -> list[int]:
    """Indices of the trials on the Pareto front of score and FLOPs."""
    return pareto_front(
        [t.flops for t in trials], [t.score for t in trials], [t.params for t in trials]
    )


def last_loss(state: StageState) -> float:
    """Mean loss over the last eighth of a training; a single step's would be noise.

    nan before the first step.
    """
    losses = [loss for _, loss in state.history] or [math.nan]
    tail = losses[-max(1, len(losses) // 8) :]
    return sum(tail) / len(tail)


def _optional(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table in which an architecture may come twice, unlike a score table."""
    records = records_of(decode_text(path, read_content(path)), path)
    _, header = next(records, (0, []))
    rows = []
    for line, record in records:
        check_width(path, line, record, header)
        rows.append(dict(zip(header, record, strict=True)))
    return rows


def _trials(path: Path) -> Mapping[str, Any]:
    try:
        return facts_of_trials(read_rows(path) if path.exists() else [])
    except (KeyError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged", found=repr(error)) from None


def facts_of_trials(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of :class:`RunFacts` that are about trials, from rows of ``trials.csv``.

    Raises:
        KeyError: A column is missing.
        ValueError: A value is no number.
    """
    whole = [row for row in rows if float(row["budget"]) == 1]
    trials = [
        TrialFacts(
            int(row["number"]),
            row["architecture"],
            row["id"],
            row["region"],
            float(row["score"]),
            int(row["connected_params"]),
            int(row["connected_flops"]),
        )
        for row in whole
    ]
    finite = [trial for trial in trials if math.isfinite(trial.score)]
    return {
        "trials": finite,
        "partial": len(rows) - len(whole),
        "failed": len(trials) - len(finite),
    }


_RUNG = {"networks", "epochs", "origins", "best", "mean", "tau_before", "model_tau"}


def _ladder(run: Path) -> Mapping[str, Any] | None:
    """What chose among the best scores, if that was a ladder.

    Raises:
        RunFolderError: The file is damaged.
    """
    ladder = _optional(run / "ladder.json")
    if ladder is None:
        return None
    try:
        whole = ladder["rungs"] and all(rung.keys() >= _RUNG for rung in ladder["rungs"])
        if not whole or ladder["metric"] not in ladder["found"] or "images" not in ladder:
            raise KeyError("rungs, metric, found, images")
    except (AttributeError, KeyError, TypeError) as error:
        raise RunFolderError(f"the ladder in {run} is damaged", found=repr(error)) from None
    return dict(ladder)


def _audit(run: Path, found: Mapping[str, Any] | None) -> AuditFacts | None:
    summary = _optional(run / "audit.json")
    if summary is None or not (run / "audit.csv").exists():
        return None
    try:
        rows = read_rows(run / "audit.csv")
        scores = [float(row["score"]) for row in rows]
        metric = Metric(summary["metric"], summary["better"])
        values = [float(row[metric.name]) for row in rows]
        goods = [metric.to_score(value) for value in values]
        costs = {name: [float(row[name]) for row in rows] for name in summary["baselines"]}
        of_costs = {
            name: Correlation(float(tau), *bootstrap_tau(costs[name], goods))
            for name, tau in summary["baselines"].items()
        }
        of_scores = Correlation(float(summary["tau"]), *map(float, summary["interval"]))
        middle = float(found["costs"]["connected_flops"]) if found is not None else None
        audit = AuditFacts(
            summary["epochs"],
            scores,
            values,
            costs,
            of_scores,
            of_costs,
            middle,
            summary["candidates"],
            asked=int(summary["asked"]),
            diverged=int(summary["diverged"]),
        )
        audit.evidence()  # fails here rather than in the page where rows or costs are missing
        return audit
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"the audit in {run} is damaged", found=repr(error)) from None


def _regions(run: Path) -> list[RegionFacts]:
    """The regions of a run, each after its parent.

    Raises:
        RunFolderError: The file is damaged.
    """
    tree = _optional(run / "regions.json")
    found: list[RegionFacts] = []

    def walk(node: Mapping[str, Any], parent: str | None, depth: int) -> None:
        name = node["region"]["id"]
        state = StageCheckpoint(run / "checkpoints" / file_name(name), writes=False).state()
        ran = bool(state.history or state.diverged)
        found.append(RegionFacts(name, parent, depth, node["size"], state if ran else None))
        for child in node["children"]:
            walk(child, name, depth + 1)

    try:
        if tree is not None:
            walk(tree, None, 0)
    except (KeyError, TypeError) as error:
        raise RunFolderError(f"{run / 'regions.json'} is damaged", found=repr(error)) from None
    return found


def _read_derived(run: Path) -> list[DerivedFacts]:
    path = run / DERIVED
    try:
        return [
            DerivedFacts(
                row["region"],
                len(row["architectures"]),
                {
                    name: {option: float(p) for option, p in options.items()}
                    for name, options in row["preferences"].items()
                },
            )
            for row in _optional(path) or []
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged", found=repr(error)) from None


def _ranking(run: Path) -> RankingFacts | None:
    value = _optional(run / "ranking.json")
    if value is None:
        return None
    try:
        figures = {name: _figures(row) for name, row in value["predictors"].items()}
        truth, column, equality = (str(value[key]) for key in ("truth", "column", "equality"))
    except (KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{run / 'ranking.json'} is damaged", found=repr(error)) from None
    return RankingFacts(truth, column, equality, figures, _clouds(run, Path(truth), column))


def _figures(row: Mapping[str, Any]) -> RankFigures:
    """The inverse of ``RankFigures.to_json``."""
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in row.items()}
    return RankFigures(**values)


def _clouds(run: Path, truth: Path, column: str) -> dict[str, tuple[list[float], list[float]]]:
    """The scored networks that the truth table names; nothing where it has gone since."""
    files = sorted((run / "scores").glob("*.csv"), reverse=True)  # one-shot before few-shot
    try:
        true = read_table(truth, column) if files else {}
        clouds = {}
        for file in files:
            scores = read_table(file, "accuracy")
            both = [genotype for genotype in scores if genotype in true]
            if len(both) > 1:
                clouds[file.stem] = ([scores[g] for g in both], [true[g] for g in both])
        return clouds
    except DataError:
        return {}
