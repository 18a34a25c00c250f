"""The accuracy predictor of a run: learnt from its own supernets' scores."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from fewshot_core.evaluators.predictor import PredictorEvaluator
from fewshot_core.pipeline.kept_scores import score_and_keep
from fewshot_core.runs.files import write_json
from fewshot_core.search.loop import sample_feasible
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture

if TYPE_CHECKING:
    from fewshot_core.pipeline.session import Session

TRIES = 20
"""Draws for each architecture that is wanted, so that small spaces end, too."""


def predictor(session: Session) -> PredictorEvaluator:
    """Score ``evaluator.samples`` random architectures within the limits, and learn.

    The scores are kept in ``predictor-scores.csv``; how well they are learnt stands in
    ``predictor.json``, measured on the fifth of them that was held out.
    """
    seed = derive_seed(session.recipe.seed, "predictor")
    rng, accepts = random.Random(seed), session.searchable()
    drawn: dict[Architecture, None] = {}
    for _ in range(TRIES * session.recipe.evaluator.samples):
        if len(drawn) >= session.recipe.evaluator.samples:
            break
        drawn.setdefault(session.root.space.plain(sample_feasible(session.root, accepts, rng)))
    scores = score_and_keep(
        session,
        lambda: session.agreed_evaluator(session.inherited()),
        list(drawn),
        "predictor-scores.csv",
        "scores to learn from",
    )
    learnt = PredictorEvaluator(session.root.space, scores, seed % 2**32)
    figures = learnt.figures
    if session.folder.main:
        write_json(session.folder.file("predictor.json"), figures.to_json())
    session.console.print(
        f"predictor: {figures.samples} scores learnt; on {figures.held_out} held out, tau "
        f"{figures.tau:.2f}, error {figures.error:.3g} where their deviation is "
        f"{figures.spread:.3g}"
    )
    return learnt
