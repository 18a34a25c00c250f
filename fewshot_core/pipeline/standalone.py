"""Networks outside supernets: trained from scratch, or looked at untrained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from fewshot_core.data.stream import calibration_batches
from fewshot_core.evaluators import ProxyEvaluator
from fewshot_core.evaluators.proxies import NASWOT_IMAGES, naswot, synflow
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scorers import make_scorer
from fewshot_core.pipeline.training import build_network, fit
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.loop import DivergedError


def train_standalone(
    run: Run,
    architecture: Architecture,
    epochs: float | None = None,
    *,
    share: float = 1.0,
) -> dict[str, float]:
    """Train from scratch on the training part and measure on the validation part.

    With ``epochs`` all validation images are used, because it is a truth to hold scores
    against; without, those of ``evaluator.images``, because it is a score. It is then trained for
    a ``share`` of ``evaluator.epochs``.
    """
    recipe = run.recipe
    scored = share * recipe.evaluator.epochs
    settings = replace(recipe.retrain, epochs=scored if epochs is None else epochs)
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
    if epochs is not None:
        recipe = replace(recipe, evaluator=replace(recipe.evaluator, images=None))
    scorer = make_scorer(run, recipe, data, "validation")
    return dict(scorer.score(model, None))


def standalone_score(run: Run, architecture: Architecture, share: float) -> dict[str, float]:
    """What training from scratch says; the worst there is where it diverges, for others may do
    better."""
    try:
        return train_standalone(run, architecture, share=share)
    except DivergedError as error:
        run.console.print(error.what)
        return {metric.name: math.nan for metric in run.task.description.metrics}


def proxy_evaluator(run: Run) -> ProxyEvaluator:
    """Scores of untrained networks by the recipe's training-free proxy."""

    def untrained(architecture: Architecture) -> nn.Module:
        seed = derive_seed(run.recipe.seed, "proxy", architecture.id)
        return build_network(run, architecture, seed)

    return ProxyEvaluator(
        run.root,
        untrained,
        _proxy(run),
        share_equal=run.recipe.evaluator.share_equal,
    )


def _proxy(run: Run) -> Callable[[nn.Module], float]:
    settings, data = run.recipe.evaluator, run.images.data()
    if settings.name == "synflow":
        # On the CPU: it is one image, and not every accelerator has float64.
        return lambda network: synflow(network, data.shape.input_size)
    count = min(NASWOT_IMAGES, settings.batch_size)
    seed = derive_seed(run.recipe.seed, "proxy")
    batches = calibration_batches(data.train, count, count, seed, data.mean, data.std)
    device = run.worker.device
    images = next(batches)[0].to(device)
    return lambda network: naswot(network.to(device), images)
