"""The supernet's pooling is torch's, however it is computed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fewshot_tasks.cifar10 import pooling
from fewshot_tasks.cifar10.pooling import SharedAveragePool

SHAPES = [(2, 16, 8, 8), (2, 4, 1, 5), (2, 4, 2, 1), (3, 5, 1, 1), (2, 3, 3, 2), (2, 3, 7, 5)]
LAYOUTS = [torch.channels_last, torch.contiguous_format]
# bfloat16 is rounded once more than by torch, to 8 bits.
FORMATS = [(torch.float32, 1e-6), (torch.bfloat16, 2e-2), (torch.float64, 1e-12)]


@pytest.mark.parametrize("worthwhile", [0, 2**40])
@pytest.mark.parametrize(("dtype", "tolerance"), FORMATS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("autocast", [False, True])
def test_values_and_gradients_are_those_of_torch(
    monkeypatch: pytest.MonkeyPatch,
    worthwhile: int,
    dtype: torch.dtype,
    tolerance: float,
    layout: torch.memory_format,
    shape: tuple[int, ...],
    autocast: bool,
) -> None:
    monkeypatch.setattr(pooling, "WORTHWHILE", dict.fromkeys(LAYOUTS, worthwhile))
    monkeypatch.setattr(pooling, "_has_bf16", lambda: True)
    generator = torch.Generator().manual_seed(0)
    x, gradient = (torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
    x, gradient = (t.to(memory_format=layout) for t in (x, gradient))
    before = gradient.clone()
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        pooled = SharedAveragePool()(mine)
    expected = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)(theirs)
    assert pooled.is_contiguous(memory_format=layout)
    pooled.backward(gradient)
    expected.backward(gradient)
    assert torch.equal(gradient, before)
    torch.testing.assert_close(pooled, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=tolerance, atol=tolerance)


def test_what_is_too_small_or_in_another_format_is_left_to_torch() -> None:
    large = torch.zeros(48, 16, 32, 32)
    assert pooling.by_convolution(large)
    assert pooling.by_convolution(large.to(memory_format=torch.channels_last))
    assert not pooling.by_convolution(large[:1])
    assert not pooling.by_convolution(large.double())
    assert not pooling.by_convolution(large.half())
