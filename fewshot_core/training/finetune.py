"""Fine-tuning: learning rates by layer, a head that learns first, batch norm that stays as it is.

Layer-wise decay is that of BEiT (Bao et al., ICLR 2022) with timm's division into layers. The head
learns alone at first, so that gradients through random weights of a new one do not spoil what lies
before it (Kumar et al., ICLR 2022).
"""

from __future__ import annotations

from typing import Any

from timm.optim import param_groups_layer_decay
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fewshot_core.recipe.trainings import RetrainSettings

SCALE = "lr_scale"
"""What timm calls the factor of a group's learning rate."""

HEAD = "head"
"""Marks the groups of the classifier."""


def has_groups(settings: RetrainSettings) -> bool:
    """Whether parts of a network have learning rates of their own."""
    return settings.layer_decay is not None or settings.head_epochs > 0


def tuning_groups(model: nn.Module, settings: RetrainSettings) -> list[dict[str, Any]]:
    """Parameter groups by layer and weight decay, those of the classifier apart.

    Args:
        model: A timm model, not wrapped.
        settings: Layer decay and weight decay.

    Returns:
        Groups for an optimiser; ``lr_scale`` and ``head`` say what :func:`group_rate` needs.
    """
    layers = param_groups_layer_decay(
        model, weight_decay=settings.weight_decay, layer_decay=settings.layer_decay or 1.0
    )
    classifier = {id(parameter) for parameter in _classifier(model).parameters()}
    groups = []
    for layer in layers:
        for head in (False, True):
            mine = [p for p in layer["params"] if (id(p) in classifier) is head]
            if mine:
                groups.append({**layer, "params": mine, HEAD: head})
    return groups


def group_rate(group: dict[str, Any], rate: float, *, head_only: bool) -> float:
    """The learning rate of a group in a step whose rate is ``rate``."""
    if head_only and not group.get(HEAD, True):
        return 0.0
    return rate * float(group.get(SCALE, 1.0))


def norms_of(model: nn.Module) -> list[_BatchNorm]:
    """The layers of batch norm. One in ``eval()`` mode keeps its statistics; weights learn on."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def _classifier(model: nn.Module) -> nn.Module:
    classifier: nn.Module = model.get_classifier()  # type: ignore[operator]
    return classifier
