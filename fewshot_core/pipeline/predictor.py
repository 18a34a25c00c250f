"""The accuracy predictor of a run: learnt from its own supernets' scores."""

from __future__ import annotations

import random
from collections.abc import Callable

from fewshot_core.costs.table import Constraint
from fewshot_core.evaluators.agreed import AgreedEvaluator
from fewshot_core.evaluators.predictor import PredictorEvaluator
from fewshot_core.pipeline.kept_scores import score_and_keep
from fewshot_core.pipeline.run import Run
from fewshot_core.runs.files import write_json
from fewshot_core.search.loop import sample_feasible
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture

TRIES = 20
"""Draws for each architecture that is wanted, so that small spaces end, too."""


def learn_scores(
    run: Run, accepts: Constraint, make_evaluator: Callable[[], AgreedEvaluator]
) -> PredictorEvaluator:
    """Score ``evaluator.samples`` random architectures, and learn.

    The scores are kept in ``predictor-scores.csv``; how well they are learnt stands in
    ``predictor.json``, measured on the fifth of them that was held out.

    Args:
        run: The run.
        accepts: Which architectures may be drawn.
        make_evaluator: What gives the scores to learn from; made where one is missing.
    """
    seed = derive_seed(run.recipe.seed, "predictor")
    rng = random.Random(seed)
    drawn: dict[Architecture, None] = {}
    for _ in range(TRIES * run.recipe.evaluator.samples):
        if len(drawn) >= run.recipe.evaluator.samples:
            break
        drawn.setdefault(run.root.space.plain(sample_feasible(run.root, accepts, rng)))
    scores = score_and_keep(
        run,
        make_evaluator,
        list(drawn),
        "predictor-scores.csv",
        "scores to learn from",
    )
    learnt = PredictorEvaluator(run.root.space, scores, seed % 2**32)
    figures = learnt.figures
    if run.writes:
        write_json(run.folder.file("predictor.json"), figures.to_json())
    run.console.print(
        f"predictor: {figures.samples} scores learnt; on {figures.held_out} held out, tau "
        f"{figures.tau:.2f}, error {figures.error:.3g} where their deviation is "
        f"{figures.spread:.3g}"
    )
    return learnt
