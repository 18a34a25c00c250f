"""Optimisers by timm's names."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers
from torch import nn

from fewshot_core.errors import RecipeError, nearest
from fewshot_core.recipe.trainings import RetrainSettings, TrainingSettings
from fewshot_core.training.finetune import has_groups, tuning_groups


def make_optimizer(
    model: nn.Module, settings: TrainingSettings, *, fused: bool = False
) -> torch.optim.Optimizer:
    """The optimiser of a training.

    Args:
        model: What is trained, not wrapped.
        settings: How it is trained.
        fused: Whether torch's fused kernels are asked for, where the optimiser is SGD.

    Raises:
        RecipeError: timm knows no optimiser of that name.
    """
    check_optimizer(settings.optimizer)
    more: dict[str, Any] = {} if settings.eps is None else {"eps": settings.eps}
    if fused and settings.optimizer.lower() in ("sgd", "nesterov", "momentum"):
        more["fused"] = True
    if isinstance(settings, RetrainSettings) and has_groups(settings):
        more["param_group_fn"] = partial(tuning_groups, settings=settings)
    return create_optimizer_v2(
        model,
        opt=_optimizer_name(settings),
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        **more,
    )


def check_optimizer(name: str) -> None:
    """Raise a :class:`RecipeError` unless timm has an optimiser of that name."""
    known = list_optimizers()
    # A prefix such as `lookahead_` wraps what follows it.
    if name.lower().split("_")[-1] not in known and name.lower() not in known:
        raise RecipeError(
            f"optimizer={name} is unknown",
            allowed=f"any of timm's: {', '.join(known[:12])}, ...",
            fix=nearest(name, known) or None,
        )


def optimizer_info(name: str) -> Any:
    """What timm knows of an optimiser; None where it knows no such name."""
    try:
        return get_optimizer_info(name.lower().split("_")[-1])
    except ValueError:
        return None


def _optimizer_name(settings: TrainingSettings) -> str:
    """timm's name; its ``sgd`` is Nesterov's, which torch refuses without momentum."""
    if settings.momentum == 0 and settings.optimizer in ("sgd", "nesterov"):
        return "momentum"
    return settings.optimizer
