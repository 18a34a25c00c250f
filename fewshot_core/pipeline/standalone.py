"""Networks that are trained from scratch to be measured on the validation images."""

from __future__ import annotations

from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scorers import make_scorer
from fewshot_core.pipeline.training import build_network, fit
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.schema import MeasuringSettings
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture


def train_standalone(
    run: Run, architecture: Architecture, epochs: float, *, every_image: bool = False
) -> dict[str, float]:
    """Train from scratch on the training part and measure on the validation part.

    Args:
        run: The run.
        architecture: What to train.
        epochs: Passes over the training images; all else is as in ``retrain``.
        every_image: Measure on all validation images, because it is a truth to hold scores
            against; else on those of ``evaluator.images``, because it is a score.

    Returns:
        The task's metrics.

    Raises:
        DivergedError: The training diverged.
    """
    recipe = run.recipe
    settings = recipe.retrain.from_scratch(epochs)
    seed = derive_seed(recipe.seed, "standalone", architecture.id)
    model = build_network(run, architecture, seed)
    data = run.images.data()
    fit(
        run,
        f"network {architecture.id}",
        model,
        settings,
        data.train,
        run.folder.training("standalone", f"{architecture.id}-{settings.epochs:g}"),
        seed,
    )
    if every_image and isinstance(recipe.evaluator, MeasuringSettings):
        recipe = with_values(recipe, {"evaluator.images": None})
    scorer = make_scorer(run, recipe, data, "validation")
    return dict(scorer.score(model, None))
