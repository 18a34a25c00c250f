"""Rank: how well do scores order architectures whose true quality is known?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewshot_core.costs.table import CostTable
from fewshot_core.data import ImageShape
from fewshot_core.errors import DataError, RecipeError
from fewshot_core.evaluators import InheritedEvaluator
from fewshot_core.metrics import CLASSIFICATION, HIGHER, LOWER, Metric, direction_of
from fewshot_core.pipeline.faults import at_work
from fewshot_core.pipeline.inputs import check_inputs
from fewshot_core.pipeline.kept_scores import score_and_keep
from fewshot_core.pipeline.opening import attach, keep_changes
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scoring import make_agreed, make_inherited
from fewshot_core.plugins import names_with
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.report.ranking_table import ranking_markdown, ranking_table
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import sha256, write_json, write_text
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.spaces.region import RegionTree
from fewshot_core.spaces.space import Architecture, SearchSpace, read_architectures
from fewshot_core.tasks import load_task
from fewshot_core.trust.ensemble import rank_ensemble
from fewshot_core.trust.ranking import (
    ISO_MINIMUM,
    RankFigures,
    group_by_cost,
    random_figures,
    rank_figures,
)
from fewshot_core.trust.scores import ScoreLog, read_table
from fewshot_core.trust.values import read_values

BASELINES = {
    "parameters": "params",
    "parameters, connected part": "connected_params",
    "FLOPs": "flops",
    "FLOPs, connected part": "connected_flops",
}
NEARLY_EQUAL = 0.1
"""The share by which costs differ in a group where hardly any are exactly equal."""

ENSEMBLE = "rank ensemble:"
"""How the rows of scores joined with the connected parameters begin."""


@dataclass(frozen=True)
class Truth:
    """Architectures with their true values and what a ranking needs to know of them.

    Arrays have the shape [n].

    Attributes:
        space: What the architectures belong to.
        architectures: They themselves.
        values: Their true values; higher is better.
        costs: Their costs by name.
        connected: Whether the output of each sees its input.
        canonical: Ids, equal for those that are the same network.
        iso_minimum: Smallest group of equal cost that counts.
        cost: Name of the cost by which architectures are equal.
    """

    space: SearchSpace
    architectures: Sequence[Architecture]
    values: NDArray[np.float64]
    costs: Mapping[str, NDArray[np.float64]]
    connected: NDArray[np.bool_]
    canonical: Sequence[str]
    iso_minimum: int = ISO_MINIMUM
    cost: str = "connected_params"

    @classmethod
    def read(
        cls,
        path: Path,
        column: str,
        space: SearchSpace,
        table: CostTable,
        *,
        better: str = HIGHER,
        only: Collection[str] | None = None,
        iso_minimum: int = ISO_MINIMUM,
        cost: str = "connected_params",
    ) -> Truth:
        """Read a benchmark table.

        Args:
            path: A CSV file.
            column: Its column of true values.
            space: What its architectures belong to.
            table: Gives their costs.
            better: ``lower`` where less is better; the values are then turned.
            only: Genotypes, as the file writes them, to restrict the ranking to.
            iso_minimum, cost: Of a group of equal cost.

        Raises:
            DataError: It cannot be read, or holds something that is no architecture.
        """
        values = read_values(space, path, column, only=only).of
        if better == LOWER:
            values = {architecture: -value for architecture, value in values.items()}
        return cls.of(space, values, table, iso_minimum, cost)

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        values: Mapping[Architecture, float],
        table: CostTable,
        iso_minimum: int = ISO_MINIMUM,
        cost: str = "connected_params",
    ) -> Truth:
        """Architectures whose values, the higher the better, are known; see :meth:`read`."""
        architectures = list(values)
        every = [table.costs(a) for a in architectures]
        return cls(
            space,
            architectures,
            np.array(list(values.values())),
            {name: np.array([c[name] for c in every]) for name in BASELINES.values()},
            np.array([space.connected(a) is not None for a in architectures]),
            [space.canonical(a).id for a in architectures],
            iso_minimum,
            cost,
        )

    @cached_property
    def tolerance(self) -> float:
        """The share by which equal costs differ.

        It is 0 where half of the connected architectures have enough others of exactly their
        cost, and :data:`NEARLY_EQUAL` in spaces whose costs are all different.
        """
        groups = group_by_cost(self.costs[self.cost], self.connected, self.iso_minimum)
        grouped = sum(group.size for group in groups)
        return 0.0 if 2 * grouped >= self.connected.sum() else NEARLY_EQUAL

    @property
    def equality(self) -> str:
        """What equal cost means, in words."""
        within = f" within {self.tolerance:.0%}" if self.tolerance else ""
        names = {key: name for name, key in BASELINES.items()}
        return f"equal {names[self.cost]}{within}, {self.iso_minimum} architectures or more"

    def figures(self, scores: NDArray[np.float64]) -> RankFigures:
        """All figures of one predictor, scores [n] in the order of the architectures."""
        return rank_figures(
            scores,
            self.values,
            costs=self.costs[self.cost],
            connected=self.connected,
            canonical=self.canonical,
            iso_minimum=self.iso_minimum,
            tolerance=self.tolerance,
        )

    def ensemble(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores [n] joined with the connected parameters; see :func:`rank_ensemble`."""
        return rank_ensemble(scores, self.costs["connected_params"], self.connected)

    def baselines(self) -> dict[str, RankFigures]:
        """The costs and random scores, which every predictor has to beat."""
        rows = {name: self.figures(self.costs[key]) for name, key in BASELINES.items()}
        random = random_figures(
            self.values,
            costs=self.costs[self.cost],
            connected=self.connected,
            canonical=self.canonical,
            iso_minimum=self.iso_minimum,
            tolerance=self.tolerance,
        )
        return rows | {f"random (mean of {random.seeds})": random.mean}

    def align(self, scores: Mapping[str, float], path: Path) -> NDArray[np.float64]:
        """Scores by genotype, in the order of the architectures.

        An architecture without a score of its own has that of the representative of its network:
        a run keeps scores of representatives alone.

        Raises:
            DataError: Neither has a score.
        """
        known = dict(
            zip(read_architectures(self.space, list(scores)), scores.values(), strict=True)
        )
        scored = [a if a in known else self.space.canonical(a) for a in self.architectures]
        missing = [a for a, own in zip(self.architectures, scored, strict=True) if own not in known]
        if missing:
            raise DataError(
                f"{path} lacks {len(missing)} of the {len(self.architectures)} architectures",
                found=f"no score for {self.space.genotype(missing[0])}",
                fix="score them, or leave them out of the truth table",
            )
        return np.array([known[own] for own in scored])


def rank(options: Mapping[str, Any]) -> dict[str, RankFigures]:
    """Rank a score file, or the supernets of a run, against a truth column.

    Returns:
        The figures by predictor: scores, scores joined with the parameters, and baselines.

    Raises:
        FewshotError: A file or column is missing, or the tables do not fit together.
    """
    for key in ("better", "score_better"):
        if options[key] not in ("", "higher", "lower"):
            raise RecipeError(f"{key}={options[key]} is unknown", allowed="higher, lower")
    _require_read(options)
    return _rank_file(options) if options["scores"] else _rank_run(options)


def _require_read(options: Mapping[str, Any]) -> None:
    """Raise where a word was given in vain."""
    if options["scores"] and options["run"]:
        raise RecipeError(
            f"scores={options['scores']} ranks a file, and run={options['run']} a run",
            fix="leave one of the two words out; recipe=NAME says whose space the scores are about",
        )
    if not options["scores"]:
        for key, default in (("score_column", "score"), ("score_better", "")):
            if options[key] != default:
                raise RecipeError(
                    f"{key}={options[key]} has no effect without scores=",
                    allowed="scores=FILE.csv reads it",
                    fix="better= is about the column of the truth table",
                )


def _better(options: Mapping[str, Any], metrics: Sequence[Metric], console: Console) -> str:
    """Which way the column of the truth table is better; as the task says where no word does."""
    better: str = options["better"] or direction_of(options["column"], metrics)
    if better == LOWER:
        console.print(f"{options['column']}: less is better, and its values are shown with a minus")
    return better


def _limited_cost(recipe: Recipe) -> str:
    """The cost within which people choose: the one that the recipe limits, else parameters."""
    limits = recipe.constraint
    only_flops = limits.flops is not None and limits.params is None
    return "connected_flops" if only_flops else "connected_params"


def _rank_file(options: Mapping[str, Any]) -> dict[str, RankFigures]:
    path, console = options["scores"], Console()
    if not options["recipe"]:
        raise RecipeError(
            f"scores={path} does not say whose space the scores are about",
            fix="add recipe=NAME",
        )
    recipe = load_recipe([f"recipe={options['recipe']}"]).recipe
    task = load_task(recipe.task)
    metrics = task.description.metrics
    # Only which architectures cost the same matters here, and that does not depend on the images.
    table = task.costs(recipe, ImageShape(3, recipe.data.image_size or 32, 10))
    truth = Truth.read(
        options["truth"],
        options["column"],
        task.space(recipe),
        table,
        better=_better(options, metrics, console),
        cost=_limited_cost(recipe),
    )
    scores = truth.align(read_table(path, options["score_column"]), path)
    column = options["score_column"]
    if (options["score_better"] or direction_of(column, metrics)) == LOWER:
        scores = -scores
    rows = {
        path.stem: truth.figures(scores),
        f"{ENSEMBLE} {path.stem}": truth.figures(truth.ensemble(scores)),
    }
    rows |= truth.baselines()
    console.print(ranking_table(rows, truth.equality))
    return rows


def _rank_run(options: Mapping[str, Any]) -> dict[str, RankFigures]:
    run = attach(options)
    with at_work(run):
        _check(run)
        return _rank_supernets(run, options)


def _check(run: Run) -> None:
    run.images.data()  # it raises where they are others
    check_inputs(run)
    keep_changes(run)


def _rank_supernets(run: Run, options: Mapping[str, Any]) -> dict[str, RankFigures]:
    truth = Truth.read(
        options["truth"],
        options["column"],
        run.root.space,
        run.costs,
        better=_better(options, run.task.description.metrics, run.console),
        cost=_limited_cost(run.recipe),
    )
    if not run.evaluator.inherits:
        raise DataError(
            "only scores of supernets can be ranked",
            found=f"evaluator={run.evaluator.name}",
            allowed=f"a run with evaluator={', '.join(names_with('evaluator', 'inherits'))}",
        )
    rows: dict[str, RankFigures] = {}
    ensembles: dict[str, RankFigures] = {}
    inherits = run.recipe.regions.inherit or not run.tree.children
    # Without inheritance the supernet of the whole space was not trained.
    trees = {"one-shot": RegionTree(run.root)} if inherits else {}
    if run.tree.children:
        trees[f"few-shot, {len(run.tree.leaves())} regions"] = run.tree
    for name, tree in trees.items():
        evaluator = make_inherited(run, tree)
        path = run.folder.file("scores", f"{name.split(',')[0]}.csv")
        task, title = run.task.description, f"scoring, {name}"
        kinds = [task.find_metric(score) for score in task.scores]
        table = score_all(evaluator, truth, path, run.console, title, kinds, run.stop)
        for kind in kinds:
            values = np.array([kind.to_score(table[a][kind.name]) for a in truth.architectures])
            rows[f"{name}, by {kind.name}"] = truth.figures(values)
            key = f"{ENSEMBLE} {name}, by {kind.name}"
            ensembles[key] = truth.figures(truth.ensemble(values))
    if not run.evaluator.direct:
        rows[f"{run.evaluator.name}, the scores of the search"] = truth.figures(
            own_scores(run, truth)
        )
    rows |= ensembles | truth.baselines()
    run.console.print(ranking_table(rows, truth.equality))
    if run.writes:
        write_ranking(run.folder, rows, truth.equality, options)
    return rows


def own_scores(run: Run, truth: Truth) -> NDArray[np.float64]:
    """What the evaluator of the recipe says of the architectures, ``[n]``; kept in the run."""
    name = f"scores/{run.evaluator.name}.csv"
    architectures = list(truth.architectures)
    scores = score_and_keep(
        run, lambda: make_agreed(run), architectures, name, "scoring as searched"
    )
    return np.array([scores[a] for a in architectures])


def score_all(
    evaluator: InheritedEvaluator,
    truth: Truth,
    path: Path,
    console: Console,
    title: str,
    kinds: Sequence[Metric] = CLASSIFICATION,
    stop: StopRequest | None = None,
) -> dict[Architecture, Mapping[str, float]]:
    """Metrics of every architecture of the truth; resumes where it stopped.

    Architectures that the evaluator scores as one are computed once.

    Args:
        evaluator: Scores by inherited weights.
        truth: Names the architectures.
        path: Where the scores are kept, a :class:`ScoreLog`; its folder is made.
        console: Shows progress.
        title: What the progress is called.
        kinds: The metrics.
        stop: Ends the scoring between two architectures when asked to.
    """
    stop = stop or StopRequest()
    space = truth.space
    targets = {a: evaluator.representative_of(a) for a in truth.architectures}
    distinct = list(dict.fromkeys(targets.values()))
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [kind.name for kind in kinds]
    with ScoreLog(path, ("architecture", *names)) as log:
        known = {
            space.parse(row["architecture"]): {k: float(row[k]) for k in names} for row in log.rows
        }
        with console.progress(title, len(distinct), len(known)) as tick:
            missing = [a for a in distinct if a not in known]
            for architecture, metrics in evaluator.evaluate_many(missing):
                known[architecture] = {k: metrics[k] for k in names}
                row = {"architecture": space.genotype(architecture), **known[architecture]}
                log.append([row])
                tick(len(known))
                stop.check()
    return {a: known[target] for a, target in targets.items()}


def write_ranking(
    folder: RunFolder,
    rows: Mapping[str, RankFigures],
    equality: str,
    options: Mapping[str, Any],
) -> None:
    """Keep the figures in ``ranking.json`` and ``ranking.md``."""
    write_json(
        folder.file("ranking.json"),
        {
            "truth": str(options["truth"]),
            "truth_sha256": sha256(Path(options["truth"])),
            "column": options["column"],
            "equality": equality,
            "predictors": {name: figures.to_json() for name, figures in rows.items()},
        },
    )
    write_text(folder.file("ranking.md"), ranking_markdown(rows, equality) + "\n")
