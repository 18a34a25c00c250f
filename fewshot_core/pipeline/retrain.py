"""Retrain: train what was found, beside what it has to beat, and test once."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from torch import nn

from fewshot_core.costs.table import MEASURES
from fewshot_core.data import Images
from fewshot_core.evaluators.agreed import agreed
from fewshot_core.pipeline.checks import check_retraining
from fewshot_core.pipeline.choice import equal_within
from fewshot_core.pipeline.faults import at_work
from fewshot_core.pipeline.inputs import check_inputs
from fewshot_core.pipeline.kept_scores import score_and_keep
from fewshot_core.pipeline.live import reporting
from fewshot_core.pipeline.opening import attach, keep_changes
from fewshot_core.pipeline.predictions import score_and_keep_predictions
from fewshot_core.pipeline.processes import do_once
from fewshot_core.pipeline.run import KeptRun, Run
from fewshot_core.pipeline.scorers import make_scorer, prepare_scorers
from fewshot_core.pipeline.scoring import make_evaluator
from fewshot_core.pipeline.selection import Selected, found_architecture, select
from fewshot_core.pipeline.starting import start
from fewshot_core.pipeline.stock import (
    Stock,
    Trained,
    build_stock,
    label_of_stock,
    nearest_name,
    rival_stocks,
    stock_costs,
    stock_of,
)
from fewshot_core.pipeline.tracking import track_pictures, track_tests, tracking
from fewshot_core.pipeline.training import build_network, fit
from fewshot_core.recipe.changes import Change
from fewshot_core.recipe.stock_names import SCRATCH
from fewshot_core.recipe.tracker_names import require_trackers
from fewshot_core.report.results import results_table
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.files import write_json
from fewshot_core.runs.retrained import (
    FOUND,
    NEAR,
    RETRAIN,
    base_label,
    label_for,
    merge_results,
    read_retrained,
    with_settings,
)
from fewshot_core.search.loop import sample_feasible
from fewshot_core.search.trial import best_scored
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.extremes import extreme
from fewshot_core.spaces.region import ENUMERABLE, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.loop import DivergedError, Watch
from fewshot_core.training.objective import Scorer

RETRAINED = (Change.RETRAINING,)
"""Changes to the recipe of a run that make further trainings of it."""

CLIMBS = 20
"""Feasible architectures that are enlarged to find the largest, where there are too many to try."""

SIZES = {"largest": "connected_params", "most-flops": "connected_flops"}
"""What the largest rivals have most of, by label."""


def retrain(options: Mapping[str, Any]) -> Path:
    """Train the candidates of the run that ``options`` names, or continue.

    Returns:
        The run folder, which has the results in ``retrain.json``.

    Raises:
        FewshotError: There is no finished search, or the architecture is not of the space.
    """
    run = attach(options, many=True, also=RETRAINED)
    with at_work(run):
        do_once(run.writes, lambda: require_trackers(run.recipe.track))
        with tracking(run), reporting(run):
            _retrain(run, options)
    return run.folder.path


def _retrain(run: Run, options: Mapping[str, Any]) -> None:
    given = select(run, options)
    one = given.architecture if given else found_architecture(run)
    check_retraining(run, one, None if given else one)
    do_once(run.writes, lambda: check_inputs(run))
    keep_changes(run)
    prepare_scorers(run)
    chosen = candidates(run, given)
    watch = _watch(run)
    # Two labels may mean one architecture, which one process trains.
    distinct = {candidate[1:]: candidate for candidate in reversed(chosen)}
    lost = run.team.deal(list(distinct.values()), lambda one: _train(run, *one, watch))
    for why in lost:
        if why:
            raise DivergedError(why, fix="start another run with a lower retrain.lr")
    # Only now that nothing is left to choose are the test images read.
    scorer = make_scorer(run, run.recipe, run.images.data(), "test")
    now = run.team.deal(chosen, lambda one: test_candidate(run, scorer, *one))
    metric = run.task.description.metric
    if run.writes:
        results = merge_results(read_retrained(run.folder), now)
        write_json(
            run.folder.file(RETRAIN),
            {"data": run.images.data().describe(), "metric": metric.name, "results": results},
        )
        # matplotlib takes its time to import, and the other processes have no use for it.
        from fewshot_core.pipeline.report import write_report

        named = run.task.name_metric(metric, run.recipe, "test")
        run.console.print(results_table(results, metric.name, named))
        run.console.print(f"report: {write_report(run)}")
        _hint_at_stock(run, now)
        track_tests(run, results)
        track_pictures(run)


def _hint_at_stock(run: Run, results: Sequence[Mapping[str, Any]]) -> None:
    """Name the stock model that a user would take instead, where none stands beside the others."""
    found = next((r for r in results if base_label(r["label"]) == FOUND), None)
    there = any(stock_of(base_label(r["label"])) for r in results)
    if found is None or there or run.task.generates:
        return
    name = nearest_name(run, found["flops"])
    if name is not None:
        run.console.print(
            f"beside a stock model of about as many FLOPs, {name}: "
            f"fewshot retrain run={run.folder.path} retrain.compare=[stock]"
        )


def _train(run: Run, label: str, seed: int, trained: Trained, watch: Watch | None) -> str:
    """Train a candidate; what went wrong, so that the others can go on."""
    try:
        train_candidate(run, label, seed, trained, watch)
        return ""
    except DivergedError as error:
        return error.what


def candidates(run: Run, given: Selected | None) -> list[tuple[str, int, Trained]]:
    """Label, seed and architecture of every training; a fresh random architecture per seed.

    Args:
        run: The run.
        given: What was chosen by hand; None: what was found, and its rivals.
    """
    recipe, space = run.recipe, run.root.space
    if given is not None:
        # Every process has to find the same label, and only one may read a file that it writes.
        label = broadcast_object_list([_label_of(run, given) if run.writes else ""])[0]
        wanted: dict[str, list[Trained]] = {label: [given.architecture] * recipe.retrain.seeds}
    else:
        found = found_architecture(run)
        wanted = {"found": [found] * recipe.retrain.seeds}
        stocks = rival_stocks(run, found)
        for label in recipe.retrain.compare:
            if label in stocks:
                stock = stocks[label]
                wanted[label_of_stock(stock)] = [stock] * recipe.retrain.seeds
            else:
                seeds = range(recipe.retrain.seeds)
                wanted[label] = [space.plain(_choose_rival(run, label, seed)) for seed in seeds]
        wanted = {with_settings(label, run.variation): many for label, many in wanted.items()}
    return [(label, seed, a) for label, many in wanted.items() for seed, a in enumerate(many)]


def _label_of(run: Run, given: Selected) -> str:
    known = read_retrained(run.folder)
    return label_for(given.label, given.architecture.id, run.variation, known)


def _watch(run: Run) -> Watch | None:
    """What looks at trainings; made before the first, because every process has to take part."""
    folder = run.folder.file("metric")
    return run.task.watch(run.recipe, run.images.data(), run.worker, folder)


def _choose_rival(run: Run, label: str, seed: int) -> Architecture:
    if label == "one-shot":
        return _one_shot(run)
    accepts = run.accepts()
    rng = random.Random(derive_seed(run.recipe.seed, label, seed))
    if label == "random":
        return sample_feasible(run.root, accepts, rng)
    cost = SIZES[label]
    if run.root.box_size() <= ENUMERABLE:
        pool = [a for a in run.root.enumerate() if accepts(a)]
        return max(pool, key=lambda a: run.costs.costs(a)[cost])
    starts = [sample_feasible(run.root, accepts, rng) for _ in range(CLIMBS)]

    def size(architecture: Architecture) -> float:
        return run.costs.costs(architecture)[cost] if accepts(architecture) else 0.0

    return max((extreme(run.root, size, start) for start in starts), key=size)


def _one_shot(run: Run) -> Architecture:
    """The best of the search's architectures by the supernet of the whole space.

    Scored once; ``one-shot.csv`` keeps the scores. Without a split it is the one found.
    """
    space = run.root.space
    if not run.tree.children:
        return found_architecture(run)
    with run.folder.file("trials.csv").open(newline="") as file:
        genotypes = list(dict.fromkeys(row["architecture"] for row in csv.DictReader(file)))
    scores = score_and_keep(
        run,
        lambda: agreed(make_evaluator(run, RegionTree(run.root))),
        [space.parse(genotype) for genotype in genotypes],
        "one-shot.csv",
        "one-shot scores",
    )
    best = max((score for score in scores.values() if math.isfinite(score)), default=math.nan)
    return best_scored(scores, run.price, equal_within(run, best))


def training_images(run: Run) -> Images:
    """What networks are retrained on: all that is not test images, if the recipe says so."""
    data = run.images.data()
    return data.train.concat(data.validation) if run.recipe.retrain.use_validation else data.train


def build_trained(run: KeptRun, seed: int, trained: Trained) -> nn.Module:
    """The network of a candidate with random weights, to be trained or to load trained ones."""
    seed = derive_seed(run.recipe.seed, "retrain", trained.id, seed)
    if isinstance(trained, Stock):
        return build_stock(run, replace(trained, start=SCRATCH), seed)
    return build_network(run, trained, seed)


def start_of(run: KeptRun, trained: Trained) -> str:
    """What the training of a candidate starts from."""
    return trained.start if isinstance(trained, Stock) else run.recipe.retrain.start


def train_candidate(
    run: Run, label: str, seed: int, trained: Trained, watch: Watch | None = None
) -> tuple[nn.Module, StageState]:
    """The trained network of a candidate, and what its training took."""
    network = build_trained(run, seed, trained)
    settings = run.recipe.retrain
    checkpoint = run.folder.retraining(trained, seed, run.variation)
    if start_of(run, trained) == SCRATCH:
        settings = settings.from_scratch(settings.epochs)
    elif not checkpoint.state().done:
        if isinstance(trained, Stock):
            network = build_stock(run, trained, derive_seed(run.recipe.seed, "retrain", seed))
        else:
            start(run, f"{label} (seed {seed})", trained, network, checkpoint)
    state = fit(
        run,
        f"{label} (seed {seed})",
        network,
        settings,
        training_images(run),
        checkpoint,
        derive_seed(run.recipe.seed, "retraining", trained.id, seed),
        watch=watch,
    )
    return network, state


def test_candidate(
    run: Run, scorer: Scorer, label: str, seed: int, trained: Trained
) -> dict[str, Any]:
    """Measure a trained candidate on the test images."""
    network, state = train_candidate(run, label, seed, trained)
    checkpoint = run.folder.retraining(trained, seed, run.variation)
    if isinstance(trained, Stock):
        genotype, costs = label_of_stock(trained), stock_costs(run, trained)
        chosen = {NEAR: trained.near} if trained.near else {}
    else:
        chosen = {}
        known = run.costs.costs(trained)
        costs = {name: int(known[f"connected_{name}"]) for name in MEASURES}
        genotype = run.root.space.genotype(trained)
    return {
        "label": label,
        "seed": seed,
        "id": trained.id,
        "genotype": genotype,
        **chosen,
        "settings": dict(run.variation),
        "start": start_of(run, trained),
        "test": dict(score_and_keep_predictions(run, scorer, network, checkpoint)),
        **costs,
        "training_seconds": round(state.seconds, 1),
        "images_seen": state.images,
    }
