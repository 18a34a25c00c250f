"""Search: train the supernets, ask the strategy, keep the best."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from accelerate.utils import broadcast_object_list

from fewshot_core.costs.pareto import pareto_front
from fewshot_core.data import ImageData
from fewshot_core.evaluators import BudgetedEvaluator
from fewshot_core.pipeline.audit import audit
from fewshot_core.pipeline.checks import check
from fewshot_core.pipeline.derive import derive, require_relaxable
from fewshot_core.pipeline.estimate import ESTIMATE, estimate
from fewshot_core.pipeline.faults import at_work
from fewshot_core.pipeline.images import agree_on_images, keep_images, warnings_of
from fewshot_core.pipeline.inputs import check_inputs, keep_inputs
from fewshot_core.pipeline.processes import make_accelerator, on_main
from fewshot_core.pipeline.session import FRONT_COST, LATENCY, Session, price_in
from fewshot_core.pipeline.study_name import keep_study_name
from fewshot_core.pipeline.supernets import train_supernets
from fewshot_core.pipeline.telling import tell_surroundings
from fewshot_core.recipe.check import DIFFERENTIABLE, INHERITING
from fewshot_core.recipe.load import LoadedRecipe, load_recipe
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import write_json
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.origin import check_origin
from fewshot_core.search.loop import AnyLedger, foreseen, run_search
from fewshot_core.search.shared_study import FollowingLedger, SharedLedger, shared_storage
from fewshot_core.search.strategies import PROMOTING, Strategy
from fewshot_core.search.strategies.named import NamedStrategy
from fewshot_core.search.study import open_study, opening, patiently
from fewshot_core.search.trial import Trial, best_trial, full
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.split_rule import SPLITTING
from fewshot_core.trust.scores import write_table

COST_COLUMNS = ("params", "flops", "connected_params", "connected_flops")


def search(words: Sequence[str]) -> None:
    """Run the search that ``recipe=NAME key=value ...`` describes, or continue it.

    Raises:
        FewshotError: Something is wrong with the recipe, the data or the run folder.
    """
    loaded = load_recipe(words)
    session = start(loaded)
    with at_work(session):
        _search(session)
    session.accelerator.end_training()


def _search(session: Session) -> None:
    if session.recipe.estimate:
        _estimate(session)
    session.prepare_scorers()
    if session.recipe.strategy.name in DIFFERENTIABLE:
        named = derive(session)
        done = ask_and_tell(session, [a for some in named.values() for a in some])
    else:
        if session.recipe.evaluator.name in INHERITING:
            train_supernets(session)
        done = ask_and_tell(session)
    record(session, done)
    if session.recipe.audit.networks:
        audit(session, done)
    if session.folder.main:
        from fewshot_core.pipeline.report import write_report

        path = write_report(session)
        session.console.print(f"report: {path}")
    for line in session.losses():
        session.console.print(line)


def _estimate(session: Session) -> None:
    """Say what the run will take, unless it was said when it began."""
    path = session.folder.file(ESTIMATE)
    if not path.exists():
        expected = estimate(session)
        session.console.print(str(expected))
        if session.folder.main:
            write_json(path, expected.to_json())


def start(loaded: LoadedRecipe, data: ImageData | None = None) -> Session:
    """Check the recipe, open the run folder and agree on it with all processes.

    Args:
        loaded: The recipe.
        data: Its images, where they are in memory already.
    """
    recipe = loaded.recipe
    path = loaded.run or Path("runs") / recipe.recipe
    accelerator = make_accelerator(recipe, path)
    console = Console(accelerator.is_main_process)
    on_main(accelerator, lambda: RunFolder.require_free(path))
    RunFolder.examine(path, recipe)
    # Bad input must not leave a run folder behind, so everything is tried before there is one.
    session = Session(recipe, RunFolder(path, accelerator.is_main_process), accelerator, console)
    if data is not None:
        session.data = session.normalised(data)
    check(session)
    if recipe.strategy.name in DIFFERENTIABLE:
        require_relaxable(session)
    agree_on_images(session)
    on_main(accelerator, lambda: _check_contents(session))
    main, precision = accelerator.is_main_process, accelerator.mixed_precision
    device = str(accelerator.device)
    folder = RunFolder.start(path, recipe, loaded.overrides, precision, main, device)
    session.folder = folder
    accelerator.wait_for_everyone()
    console.print(f"run folder: {path}")
    tell_surroundings(session)
    if folder.main:
        write_json(folder.file("costs.json"), session.costs.to_json())
        if session.latency is not None:
            write_json(folder.file(LATENCY), session.latency)
        write_json(folder.file(SPLITTING), session.splitting.to_json())
        write_json(folder.file("regions.json"), session.tree.to_json())
    if recipe.search.storage:
        keep_study_name(session)
    keep_images(session)
    keep_inputs(session)
    described = session.data.describe()
    known = {key: value for key, value in described.items() if value is not None}
    console.print(", ".join(f"{key} {value}" for key, value in known.items()))
    for line in warnings_of(session.data):
        console.print(line)
    if session.splitting.sentence and recipe.evaluator.name in INHERITING:
        console.print(session.splitting.sentence)
    return session


def _check_contents(session: Session) -> None:
    """Require of what was there before this launch that it is of this run."""
    check_origin(session.folder, session.origin)
    check_inputs(session)


def ask_and_tell(session: Session, named: Sequence[Architecture] = ()) -> list[Trial]:
    """Run the strategy until the study holds trials worth the recipe's number of evaluations.

    With many processes all run the same search: trainings need every one of them. The study of the
    main process is the one that lasts; the others follow in a copy, and are told its scores.

    Args:
        session: Whose study, strategy and evaluator.
        named: Architectures to score in place of those that the strategy would ask for.
    """
    recipe = session.recipe
    evaluator = session.agreed_evaluator()
    budgets = isinstance(evaluator, BudgetedEvaluator) and not named
    strategy: Strategy = NamedStrategy(named) if named else session.strategy(budgets)
    if recipe.strategy.name in PROMOTING and not budgets:
        session.console.print(
            f"strategy={recipe.strategy.name}: evaluator={recipe.evaluator.name} knows one budget, "
            "so that nothing is promoted"
        )
    main = session.accelerator.is_main_process
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = list(strategy.directions)
    study = _study(session, directions) if main else optuna.create_study(directions=directions)
    ledger = _ledger(session, study) if recipe.search.storage else None
    if ledger is None:
        earlier = broadcast_object_list([study.get_trials() if main else []])[0]
        if not main:
            study.add_trials(earlier)
    count = len(set(named)) or recipe.search.trials
    seed, accepts = derive_seed(recipe.seed, "search"), session.searchable()
    if session.team.apart and not named and recipe.strategy.name == "random":
        upcoming = foreseen(study, session.root, strategy, accepts, count=count, seed=seed)
        evaluator.announce(upcoming)
    else:
        evaluator.announce(named)
    with session.console.progress("search", count) as tick:

        def on_trial(spent: float, best: float) -> None:
            tick(int(spent), f"best {best:.4g}")
            session.stop.check()

        return run_search(
            study,
            session.root,
            strategy,
            evaluator,
            accepts,
            count=count,
            seed=seed,
            on_trial=on_trial,
            ledger=ledger,
        )


def record(session: Session, done: list[Trial]) -> None:
    """Write the trials, the architecture found and the Pareto front."""
    if not session.folder.main:
        return
    space = session.root.space
    rows = []
    for trial in done:
        costs = session.costs.costs(trial.architecture)
        rows.append(
            {
                "number": trial.number,
                "architecture": space.genotype(trial.architecture),
                "id": trial.architecture.id,
                "region": session.scored_in(trial.architecture).id,
                "budget": trial.budget,
                "score": trial.score,
                **{k: trial.metrics.get(k) for k in session.task.description.scores},
                **{k: int(costs[k]) for k in COST_COLUMNS},
            }
        )
    write_table(session.folder.file("trials.csv"), rows, list(rows[0]))
    best = best_trial(done, cost=price_in(session))
    found = space.plain(best.architecture)
    write_json(
        session.folder.file("found.json"),
        space.to_json(found)
        | {
            "score": best.score,
            "metrics": dict(best.metrics),
            "trial": best.number,
            "costs": session.costs.costs(best.architecture),
        },
    )
    write_json(session.folder.file("pareto.json"), _front(session, done))
    whole = len(full(done))
    partial = "" if whole == len(done) else f", {whole} of them with the whole budget"
    session.console.print(f"best of {len(done)} trials{partial}: {space.genotype(found)}")
    session.console.print(f"  score {best.score:.4g}, found in trial {best.number}")


def _front(session: Session, done: list[Trial]) -> dict[str, Any]:
    """What no cheaper architecture beats, among those scored with the whole budget."""
    space = session.root.space
    whole = [trial for trial in full(done) if math.isfinite(trial.score)]
    costs = [session.costs.costs(trial.architecture) for trial in whole]
    front = pareto_front(
        [cost[FRONT_COST] for cost in costs],
        [trial.score for trial in whole],
        [cost["connected_params"] for cost in costs],
    )
    return {
        "cost": FRONT_COST,
        "front": [
            space.to_json(space.plain(whole[i].architecture))
            | {"score": whole[i].score, "trial": whole[i].number, "costs": costs[i]}
            for i in front
        ],
    }


def _ledger(session: Session, study: optuna.Study) -> AnyLedger:
    """The shared study, as the main process keeps it and the others follow."""
    ledger = None
    if session.accelerator.is_main_process:
        worker = f"{platform.node()}:{session.folder.path.absolute()}"
        ledger = SharedLedger(study, session.root, worker, session.recipe.search.silence)
    return FollowingLedger(ledger, broadcast_object_list)


def _study(session: Session, directions: Sequence[str]) -> optuna.Study:
    storage = session.recipe.search.storage
    if storage:
        with opening(storage):
            silence = session.recipe.search.silence
            opened = patiently(lambda: shared_storage(storage, silence))
        return open_study(opened, session.study_name, directions)
    earlier = session.folder.file("study.db")  # where earlier versions kept it
    place = earlier if earlier.exists() else session.folder.file("study.log")
    return open_study(place, "search", directions)
