"""Search: train the supernets, ask the strategy, keep the best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import optuna
from accelerate.utils import broadcast_object_list
from optuna.trial import TrialState

from fewshot_core.data import ImageData
from fewshot_core.differentiable import DIFFERENTIABLE
from fewshot_core.evaluators.agreed import AgreedEvaluator
from fewshot_core.pipeline.audit import audit
from fewshot_core.pipeline.derive import derive
from fewshot_core.pipeline.session import Session, make_accelerator
from fewshot_core.recipe.load import LoadedRecipe, load_recipe
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.region import Region
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import write_json
from fewshot_core.runs.folder import RunFolder
from fewshot_core.scores import write_table
from fewshot_core.search import Trial, best_trial, open_study, run_search
from fewshot_core.seeds import derive_seed
from fewshot_core.space import Architecture
from fewshot_core.strategies import make_sampler_factory
from fewshot_core.supernet import Supernet

COST_COLUMNS = ("params", "flops", "connected_params", "connected_flops")


def search(words: Sequence[str]) -> None:
    """Run the search that ``recipe=NAME key=value ...`` describes, or continue it.

    Raises:
        FewshotError: Something is wrong with the recipe, the data or the run folder.
    """
    loaded = load_recipe(words)
    session = start(loaded)
    if session.recipe.strategy.name in DIFFERENTIABLE:
        done = score_derived(session, derive(session))
    else:
        if session.recipe.evaluator.name == "inherited":
            train_supernets(session)
        done = ask_and_tell(session)
    record(session, done)
    if session.recipe.audit.networks:
        audit(session, done)
    if session.folder.main:
        from fewshot_core.pipeline.report import write_report

        path = write_report(session)
        session.console.print(f"report: {path}")
    session.accelerator.end_training()
    session.folder.close()


def start(loaded: LoadedRecipe, data: ImageData | None = None) -> Session:
    """Check the recipe, open the run folder and agree on it with all processes.

    Args:
        loaded: The recipe.
        data: Its images, where they are in memory already.
    """
    recipe = loaded.recipe
    path = loaded.run or Path("runs") / recipe.recipe
    accelerator = make_accelerator(recipe)
    console = Console(accelerator.is_main_process)
    RunFolder.examine(path, recipe)
    # Bad input must not leave a run folder behind, so everything is tried before there is one.
    session = Session(recipe, RunFolder(path, accelerator.is_main_process), accelerator, console)
    if data is not None:
        session.data = data
    session.check()
    accelerator.wait_for_everyone()
    folder = RunFolder.start(path, recipe, loaded.overrides, accelerator.is_main_process)
    session.folder = folder
    accelerator.wait_for_everyone()
    console.print(f"run folder: {path}")
    if folder.main:
        write_json(folder.file("costs.json"), session.costs.to_json())
        write_json(folder.file("splitting.json"), session.splitting.to_json())
        write_json(folder.file("regions.json"), session.tree.to_json())
        write_json(folder.file("data.json"), session.data.describe())
    described = session.data.describe()
    console.print(", ".join(f"{key} {value}" for key, value in described.items()))
    if session.splitting.sentence and recipe.evaluator.name == "inherited":
        console.print(session.splitting.sentence)
    return session


def train_supernets(session: Session) -> None:
    """Train the supernet of every region, each after the one it inherits from.

    Without inheritance only the leaves are used, so only they are trained.
    """
    trained: dict[Region, Supernet] = {}
    if session.split_is_learned:
        trained[session.root], _ = session.train_supernet(session.root, None)
        session.cut(trained[session.root])
    leaves = session.tree.leaves()
    for region, parent in session.tree.walk():
        if not session.recipe.regions.inherit and region not in leaves:
            continue
        source = trained[parent] if parent and session.recipe.regions.inherit else None
        trained[region], state = session.train_supernet(region, source)
        inherited = state.notes.get("inherited")
        session.console.print(
            f"supernet {region.id}: {region.size() or 'many'} architectures, "
            f"{state.images:,} images seen, {state.seconds:.0f} s"
            + (f", {inherited['copied']} tensors inherited" if inherited else "")
        )


def ask_and_tell(session: Session) -> list[Trial]:
    """Run the strategy until the study holds the recipe's number of trials.

    With many processes all run the same search: trainings need every one of them. The study of the
    main process is the database; the others follow in a copy, and are told its scores.
    """
    recipe = session.recipe
    accepts = session.accepts()
    main = session.accelerator.is_main_process
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _study(session) if main else optuna.create_study(direction="maximize")
    earlier = broadcast_object_list([study.get_trials() if main else []])[0]
    if not main:
        study.add_trials(earlier)
    with session.console.progress("search", recipe.search.trials) as tick:
        return run_search(
            study,
            session.root,
            make_sampler_factory(recipe.strategy, session.root, accepts),
            AgreedEvaluator(session.evaluator()),
            accepts,
            count=recipe.search.trials,
            seed=derive_seed(recipe.seed, "search"),
            on_trial=lambda done, best: tick(done, f"best {best:.4g}"),
        )


def score_derived(session: Session, architectures: Sequence[Architecture]) -> list[Trial]:
    """Score what a differentiable strategy named, each as a trial of the study."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, space = _study(session), session.root.space
    asked = (TrialState.COMPLETE, TrialState.WAITING)
    known = {
        space.architecture(t.params or t.system_attrs["fixed_params"])
        for t in study.get_trials(deepcopy=False, states=asked)
    }
    for architecture in architectures:
        if architecture not in known:
            study.enqueue_trial(space.choices(architecture))
    accepts = session.accepts()
    with session.console.progress("scoring", len(architectures)) as tick:
        return run_search(
            study,
            session.root,
            make_sampler_factory(StrategySettings("random"), session.root, accepts),
            session.evaluator(),
            accepts,
            count=len(architectures),
            seed=derive_seed(session.recipe.seed, "search"),
            on_trial=lambda done, best: tick(done, f"best {best:.4g}"),
        )


def record(session: Session, done: list[Trial]) -> None:
    """Write the trials and the architecture found."""
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
                "score": trial.score,
                **{k: trial.metrics.get(k) for k in ("accuracy", "loss")},
                **{k: int(costs[k]) for k in COST_COLUMNS},
            }
        )
    write_table(session.folder.file("trials.csv"), rows, list(rows[0]))
    best = best_trial(done)
    write_json(
        session.folder.file("found.json"),
        space.to_json(best.architecture)
        | {
            "score": best.score,
            "metrics": dict(best.metrics),
            "trial": best.number,
            "costs": session.costs.costs(best.architecture),
        },
    )
    session.console.print(f"best of {len(done)} trials: {space.genotype(best.architecture)}")
    session.console.print(f"  score {best.score:.4g}, found in trial {best.number}")


def _study(session: Session) -> optuna.Study:
    storage = session.recipe.search.storage
    if storage:
        return open_study(storage, session.study_name)
    return open_study(f"sqlite:///{session.folder.file('study.db')}", "search")
