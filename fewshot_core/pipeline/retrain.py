"""Retrain: train what was found from scratch, beside what it has to beat, and test once."""

from __future__ import annotations

import csv
import random
import statistics
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from fewshot_core.data import Images
from fewshot_core.errors import ArchitectureError, RunFolderError
from fewshot_core.evaluators.agreed import agreed
from fewshot_core.pipeline.checks import check_retraining
from fewshot_core.pipeline.faults import at_work
from fewshot_core.pipeline.inputs import check_inputs
from fewshot_core.pipeline.kept_scores import score_and_keep
from fewshot_core.pipeline.processes import on_main
from fewshot_core.pipeline.session import Session, price_in
from fewshot_core.runs.files import read_json, write_json
from fewshot_core.search.loop import sample_feasible
from fewshot_core.search.trial import best_scored
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.extremes import extreme
from fewshot_core.spaces.region import ENUMERABLE, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.loop import DivergedError, Watch
from fewshot_core.training.objective import Scorer

CLIMBS = 20
"""Feasible architectures that are enlarged to find the largest, where there are too many to try."""

LABELS = {
    "found": "found by the search",
    "random": "random architecture",
    "largest": "most parameters",
    "one-shot": "choice of the one-shot supernet",
    "given": "given by hand",
}


def retrain(options: Mapping[str, Any]) -> None:
    """Train the candidates of the run that ``options`` names, or continue.

    Raises:
        FewshotError: There is no finished search, or the architecture is not of the space.
    """
    session = Session.attach(options, many=True)
    with at_work(session):
        _retrain(session, options)


def _retrain(session: Session, options: Mapping[str, Any]) -> None:
    given = options.get("architecture")
    one = session.root.space.parse(given) if given else found_architecture(session)
    check_retraining(session, one)
    on_main(session.accelerator, lambda: check_inputs(session))
    session.keep_changes()
    session.prepare_scorers()
    chosen = candidates(session, given)
    watch = _watch(session)
    # Two labels may mean one architecture, which one process trains.
    distinct = {candidate[1:]: candidate for candidate in reversed(chosen)}
    lost = session.team.deal(list(distinct.values()), lambda one: _train(session, *one, watch))
    for why in lost:
        if why:
            raise DivergedError(why, fix="start another run with a lower retrain.lr")
    # Only now that nothing is left to choose are the test images read.
    scorer = session.scorer(session.recipe, session.data, "test")
    results = session.team.deal(chosen, lambda one: test_candidate(session, scorer, *one))
    metric = session.task.description.metric
    if session.folder.main:
        write_json(
            session.folder.file("retrain.json"),
            {"data": session.data.describe(), "metric": metric.name, "results": results},
        )
        from fewshot_core.pipeline.report import write_report

        named = session.task.name_metric(metric, session.recipe, "test")
        session.console.print(results_table(results, metric.name, named))
        session.console.print(f"report: {write_report(session)}")


def _train(
    session: Session, label: str, seed: int, architecture: Architecture, watch: Watch | None
) -> str:
    """Train a candidate; what went wrong, so that the others can go on."""
    try:
        train_candidate(session, label, seed, architecture, watch)
        return ""
    except DivergedError as error:
        return error.what


def candidates(session: Session, genotype: str | None) -> list[tuple[str, int, Architecture]]:
    """Label, seed and architecture of every training; a fresh random architecture per seed."""
    recipe, space = session.recipe, session.root.space
    if genotype:
        wanted = {"given": [space.parse(genotype)] * recipe.retrain.seeds}
    else:
        wanted = {"found": [found_architecture(session)] * recipe.retrain.seeds}
        for label in recipe.retrain.compare:
            seeds = range(recipe.retrain.seeds)
            wanted[label] = [space.plain(_compared(session, label, seed)) for seed in seeds]
    return [(label, seed, a) for label, many in wanted.items() for seed, a in enumerate(many)]


def found_architecture(session: Session) -> Architecture:
    """The architecture that the search of this run found.

    Raises:
        RunFolderError: The search has not ended, or its result is damaged.
    """
    path = session.folder.file("found.json")
    if not path.exists():
        raise RunFolderError(
            f"{session.folder.path} holds no finished search",
            fix=f"run tools/search.py recipe={session.recipe.recipe} "
            f"run={session.folder.path} to its end",
        )
    again = (
        f"run tools/search.py recipe={session.recipe.recipe} run={session.folder.path} with its "
        "settings again: it writes the file anew"
    )
    try:
        return session.root.space.from_json(read_json(path, again))
    except ArchitectureError as error:
        raise RunFolderError(f"{path} is damaged", found=error, fix=again) from None


def _watch(session: Session) -> Watch | None:
    """What looks at trainings; made before the first, because every process has to take part."""
    folder = session.folder.file("metric")
    return session.task.watch(session.recipe, session.data, session.worker, folder)


def _compared(session: Session, label: str, seed: int) -> Architecture:
    if label == "one-shot":
        return _one_shot(session)
    accepts = session.accepts()
    rng = random.Random(derive_seed(session.recipe.seed, label, seed))
    if label == "random":
        return sample_feasible(session.root, accepts, rng)
    if session.root.box_size() <= ENUMERABLE:
        pool = [a for a in session.root.enumerate() if accepts(a)]
        return max(pool, key=lambda a: _params(session, a))
    starts = [sample_feasible(session.root, accepts, rng) for _ in range(CLIMBS)]

    def size(architecture: Architecture) -> float:
        return _params(session, architecture) if accepts(architecture) else 0.0

    return max((extreme(session.root, size, start) for start in starts), key=size)


def _params(session: Session, architecture: Architecture) -> float:
    return session.costs.costs(architecture)["connected_params"]


def _one_shot(session: Session) -> Architecture:
    """The best of the search's architectures by the supernet of the whole space.

    Scored once; ``one-shot.csv`` keeps the scores. Without a split it is the one found.
    """
    space = session.root.space
    if not session.tree.children:
        return found_architecture(session)
    with session.folder.file("trials.csv").open(newline="") as file:
        genotypes = list(dict.fromkeys(row["architecture"] for row in csv.DictReader(file)))
    scores = score_and_keep(
        session,
        lambda: agreed(session.evaluator(RegionTree(session.root))),
        [space.parse(genotype) for genotype in genotypes],
        "one-shot.csv",
        "one-shot scores",
    )
    return best_scored(scores, price_in(session))


def training_images(session: Session) -> Images:
    """What networks are retrained on: all that is not test images, if the recipe says so."""
    if session.recipe.retrain.use_validation:
        return session.data.train.concat(session.data.validation)
    return session.data.train


def build_candidate(session: Session, seed: int, architecture: Architecture) -> Any:
    """The untrained network of a candidate."""
    return session.build(
        lambda: session.task.network(architecture, session.recipe, session.shape),
        derive_seed(session.recipe.seed, "retrain", architecture.id, seed),
    )


def stage_name(seed: int, architecture: Architecture) -> str:
    """Folder of a training; one architecture is trained once per seed, whatever its labels."""
    return f"{architecture.id}-{seed}"


def train_candidate(
    session: Session, label: str, seed: int, architecture: Architecture, watch: Watch | None = None
) -> Any:
    """The trained network of a candidate, and what its training took."""
    network = build_candidate(session, seed, architecture)
    state = session.fit(
        f"{label} (seed {seed})",
        network,
        session.recipe.retrain,
        training_images(session),
        session.folder.training("retrain", stage_name(seed, architecture)),
        derive_seed(session.recipe.seed, "retraining", architecture.id, seed),
        watch=watch,
    )
    return network, state


def test_candidate(
    session: Session, scorer: Scorer, label: str, seed: int, architecture: Architecture
) -> dict[str, Any]:
    """Measure a trained candidate on the test images."""
    network, state = train_candidate(session, label, seed, architecture)
    costs = session.costs.costs(architecture)
    return {
        "label": label,
        "seed": seed,
        "id": architecture.id,
        "genotype": session.root.space.genotype(architecture),
        "test": dict(scorer.score(network, None)),
        "params": int(costs["connected_params"]),
        "flops": int(costs["connected_flops"]),
        "fvcore_flops": int(costs["connected_fvcore_flops"]),
        "training_seconds": round(state.seconds, 1),
        "images_seen": state.images,
    }


def results_table(results: list[dict[str, Any]], metric: str, named: str = "") -> Table:
    """Mean and spread over the seeds, a row per label; ``named`` is the metric in words."""
    table = Table(title="Retrained from scratch, then measured on the test images")
    for column in (
        "architecture",
        f"test {named or metric}",
        "seeds",
        "parameters",
        "FLOPs",
        "genotype",
    ):
        table.add_column(column, overflow="fold")
    for row in summarise(results, metric):
        table.add_row(
            LABELS.get(row["label"], row["label"]),
            format_spread(row["values"]),
            str(len(row["values"])),
            f"{row['params']:,}",
            f"{row['flops']:,}",
            row["genotype"],
        )
    return table


def summarise(results: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """One row per label: test values of all seeds; costs and genotype where they agree."""
    rows: dict[str, dict[str, Any]] = {}
    for result in results:
        row = rows.setdefault(
            result["label"], {"label": result["label"], "values": [], "ids": set(), **result}
        )
        row["values"].append(result["test"][metric])
        row["ids"].add(result["id"])
    for row in rows.values():
        if len(row["ids"]) > 1:
            row["genotype"] = f"{len(row['ids'])} architectures"
            same = [r for r in results if r["label"] == row["label"]]
            row["params"] = round(statistics.mean(r["params"] for r in same))
            row["flops"] = round(statistics.mean(r["flops"] for r in same))
    return list(rows.values())


def format_spread(values: list[float]) -> str:
    """``97.50 ± 0.31``, or the value alone."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
