"""What the largest network keeps until the backward pass, on which `recipe=imagenet` rests."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fewshot_core.data import ImageShape
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.imagenet.space import ofa_mbv3
from fewshot_tasks.imagenet.supernet import MobileSupernet


def kept(net: MobileSupernet, architecture: Architecture, images: int, half: bool) -> float:
    """MiB, without the parameters."""
    parameters = {p.untyped_storage().data_ptr() for p in net.parameters()}
    alive: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in parameters:
            alive[place] = tensor
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=half),
    ):
        net(torch.randn(images, 3, 224, 224), architecture)
    return sum(t.untyped_storage().nbytes() for t in alive.values()) / 2**20


def test_a_batch_in_one_piece_is_beyond_80_gb_and_the_recipe_is_far_below() -> None:
    space = ofa_mbv3(image_size=224)
    largest = space.architecture({d.name: max(d.options) for d in space.decisions})
    net = MobileSupernet(Region.root(space), ImageShape(3, 224, 1000)).train()
    # What a further image adds: the copies of weights in bfloat16 are shared by all.
    single, half = (
        (kept(net, largest, 4, half) - kept(net, largest, 2, half)) / 2 for half in (False, True)
    )
    assert single == pytest.approx(87, abs=0.5)
    assert half == pytest.approx(43, abs=0.5)
    assert single * 2**20 * 1024 > 80e9
