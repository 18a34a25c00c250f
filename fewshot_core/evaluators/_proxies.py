"""Training-free proxies: scores of a network that nobody has trained.

They cost one pass through the network and need no labels. Higher is better, and only the order of
the scores means anything.
"""

from __future__ import annotations

import math
import sys
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fewshot_core.errors import DataError, RecipeError

SYNFLOW_FLOOR = math.log(sys.float_info.min)
"""SynFlow of a network whose output does not depend on its input: about -708."""

NASWOT_FLOOR = -1.0
"""NASWOT of a singular kernel. The entries of a kernel are whole numbers and so is its determinant:
one that is not singular has at least 1, and a score of at least 0."""


def synflow(model: nn.Module, input_size: tuple[int, int, int]) -> float:
    """Logarithm of the synaptic flow: how much can pass from the input to the output.

    With R the sum of the outputs for one image of ones when every parameter has its absolute value,
    the flow is the sum of ``|theta * dR/dtheta|`` over all parameters theta (Tanaka et al., NeurIPS
    2020, section 6; summed over a network to score it by Abdelfattah et al., ICLR 2021, section 3).
    It needs no images. Two things keep it a sum over paths from the input:

    - Batch norm multiplies by its weight and does nothing else. With the statistics of the image
      it would divide the flow out again.
    - Biases are 0, because a bias lets something out where nothing came in.

    Everything else is in evaluation mode. It is computed in float64, whose range a deep network
    needs, where the model lies; the model itself is left as it was.

    Args:
        model: Maps ``[B, C, H, W]`` to a tensor of any shape.
        input_size: C, H, W.

    Returns:
        A finite number; ``SYNFLOW_FLOOR`` if no path leads from the input to the output.

    Raises:
        RecipeError: The flow is beyond float64.
    """
    paths = _only_paths(model)
    parameters = [p.requires_grad_() for p in paths.parameters()]
    with torch.enable_grad():
        flow = paths(torch.ones(1, *input_size, dtype=torch.float64, device=_device(model))).sum()
    if not flow.requires_grad:  # the output is made of no parameter at all
        return SYNFLOW_FLOOR
    gradients = torch.autograd.grad(flow, parameters, allow_unused=True)
    total = sum(
        float((parameter.detach() * gradient).abs().sum())
        for parameter, gradient in zip(parameters, gradients, strict=True)
        if gradient is not None
    )
    if not math.isfinite(total):
        raise RecipeError(
            "the network is too deep for SynFlow, whose flow is beyond float64",
            fix="make the section network smaller, or use another evaluator",
        )
    return math.log(max(total, sys.float_info.min))


def naswot(model: nn.Module, images: Tensor) -> float:
    """Logarithm of ``det K``: how differently the network's ReLUs answer to different images.

    Which ReLUs let something through is a binary code of an image, over all ``nn.ReLU`` modules and
    every call of each. ``K[i, j]`` is the number of ReLUs that agree on the images i and j: all of
    them less the Hamming distance of the codes (Mellor et al., ICML 2021, section 3). Batch norm
    uses the statistics of the images, as in the paper's untrained networks; everything else is in
    evaluation mode, so that no dropout draws. The model is left as it was.

    Args:
        model: A network with ``nn.ReLU`` modules. A ReLU that is called as a function is not seen.
        images: ``[B, C, H, W]`` of the model's type, where the model lies; B is at least 2.

    Returns:
        A finite number of at least 0, or ``NASWOT_FLOOR`` if K is singular: images with the same
        code, or more images than the codes can tell apart.

    Raises:
        DataError: There are fewer than two images.
        RecipeError: The model has no ``nn.ReLU``.
    """
    if len(images) < 2:
        raise DataError("NASWOT compares images", found=len(images), allowed="2 or more")
    kernel = _agreements(model, images)
    if torch.linalg.matrix_rank(kernel, hermitian=True) < len(images):
        return NASWOT_FLOOR
    return max(0.0, float(torch.linalg.slogdet(kernel).logabsdet))


def _only_paths(model: nn.Module) -> nn.Module:
    """A copy in float64 whose output is the sum over all paths of the product of their weights."""
    copy = deepcopy(model).double().eval()
    with torch.no_grad():
        for name, parameter in copy.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            parameter.abs_()
    one = torch.ones((), dtype=torch.float64, device=_device(model))
    for norm in _batch_norms(copy):
        # Also where the layer keeps no statistics, since it would use those of the image. The
        # variance makes up for the epsilon that is added to it.
        norm.running_mean = one.new_zeros(norm.num_features)
        norm.running_var = one.new_full((norm.num_features,), 1 - norm.eps)
    return copy


@torch.no_grad()
def _agreements(model: nn.Module, images: Tensor) -> Tensor:
    """How many ReLUs agree on each two images: float64 ``[B, B]`` of whole numbers."""
    copy = deepcopy(model).eval()
    for norm in _batch_norms(copy):
        norm.train()
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        codes = (output.flatten(1) > 0).float()
        # float32 holds these counts exactly up to 2^24 ReLUs in one layer.
        both_open = (codes @ codes.T).double().cpu()
        opened = both_open.diagonal()
        both_shut = codes.shape[1] - opened[:, None] - opened + both_open
        kernel.add_(both_open + both_shut)

    layers = [module for module in copy.modules() if isinstance(module, nn.ReLU)]
    if not layers:
        raise RecipeError("NASWOT needs networks with nn.ReLU modules, and there are none")
    for layer in layers:
        layer.register_forward_hook(count)
    copy(images)
    return kernel


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _batch_norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]
