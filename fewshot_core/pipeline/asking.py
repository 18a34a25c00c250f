"""The search itself: a strategy is asked, an evaluator answers, a study keeps what was said."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import optuna
from accelerate.utils import broadcast_object_list

from fewshot_core.evaluators import BudgetedEvaluator
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scoring import make_agreed, searchable
from fewshot_core.pipeline.study_name import study_name
from fewshot_core.pipeline.tracking import track_trial
from fewshot_core.pipeline.trials import trial_row
from fewshot_core.search.loop import AnyLedger, foresee, run_search
from fewshot_core.search.shared_study import FollowingLedger, SharedLedger, make_shared_storage
from fewshot_core.search.strategies import Strategy, StrategyContext, make_strategy
from fewshot_core.search.strategies.named import NamedStrategy
from fewshot_core.search.study import open_study, opening, retry_opening
from fewshot_core.search.trial import Trial
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture


def new_strategy(run: Run, budgets: bool) -> Strategy:
    """The strategy of the recipe, new.

    Args:
        run: The run.
        budgets: Whether it may ask for scores with a part of the budget.
    """
    context = StrategyContext(run.root, searchable(run), run.front_cost, budgets)
    return make_strategy(run.recipe.strategy, context)


def ask_and_tell(run: Run, named: Sequence[Architecture] = ()) -> list[Trial]:
    """Run the strategy until the study holds trials worth the recipe's number of evaluations.

    With many processes all run the same search: trainings need every one of them. The study of the
    process that writes is the one that lasts; the others follow in a copy, and are told its scores.

    Args:
        run: Whose study, strategy and evaluator.
        named: Architectures to score in place of those that the strategy would ask for.
    """
    recipe = run.recipe
    evaluator = make_agreed(run)
    budgets = isinstance(evaluator, BudgetedEvaluator) and not named
    strategy: Strategy = NamedStrategy(named) if named else new_strategy(run, budgets)
    if run.strategy.budgets and not budgets:
        run.console.print(
            f"strategy={recipe.strategy.name}: evaluator={recipe.evaluator.name} knows one budget, "
            "so that nothing is promoted"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = list(strategy.directions)
    study = _study(run, directions) if run.writes else optuna.create_study(directions=directions)
    ledger = _ledger(run, study) if recipe.search.storage else None
    if ledger is None:
        earlier = broadcast_object_list([study.get_trials() if run.writes else []])[0]
        if not run.writes:
            study.add_trials(earlier)
    count = len(set(named)) or recipe.search.trials
    seed, accepts = derive_seed(recipe.seed, "search"), searchable(run)
    if run.team.apart and not named and run.strategy.foresees:
        upcoming = foresee(study, run.root, strategy, accepts, count=count, seed=seed)
        evaluator.announce(upcoming)
    else:
        evaluator.announce(named)
    with run.console.progress("search", count) as tick:

        def on_trial(spent: float, best: float) -> None:
            tick(int(spent), f"best {best:.4g}")
            run.stop.check()

        return run_search(
            study,
            run.root,
            strategy,
            evaluator,
            accepts,
            count=count,
            seed=seed,
            on_trial=on_trial,
            on_result=lambda trial: _tell(run, trial),
            ledger=ledger,
        )


def _tell(run: Run, trial: Trial) -> None:
    """Tell a trial to trackers and to what else follows the run."""
    track_trial(run, trial)
    if run.console.follower is not None:
        run.console.follower.add_trial(trial_row(run, run.costs, run.tree, trial))


def _ledger(run: Run, study: optuna.Study) -> AnyLedger:
    """The shared study, as the process that writes keeps it and the others follow."""
    ledger = None
    if run.writes:
        worker = f"{platform.node()}:{run.folder.path.absolute()}"
        ledger = SharedLedger(study, run.root, worker, run.recipe.search.silence)
    return FollowingLedger(ledger, broadcast_object_list)


def _study(run: Run, directions: Sequence[str]) -> optuna.Study:
    storage = run.recipe.search.storage
    if not storage:
        return open_study(run.folder.file("study.log"), "search", directions)
    with opening(storage):
        silence = run.recipe.search.silence
        opened = retry_opening(lambda: make_shared_storage(storage, silence))
    return open_study(opened, study_name(run), directions)
