"""Gradients of a static program, captured once as a CUDA graph and replayed.

A step of many small kernels is limited by the processor that launches them. Replayed as one graph
it is limited by the device. What is captured must do the same at every call: the same shapes, no
look at a value, nothing random on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

WARM_UP = 3
"""Calls before the capture: libraries choose their algorithms and workspaces in them."""


class CapturedGradients:
    """Computes a loss and its gradients, by replaying what the first call did.

    The gradients of the parameters are those of the last call, not sums over calls: whoever uses
    them must neither set them to None nor zero them.

    Args:
        compute: From inputs to one tensor, with the backward pass; always the same program.
        model: Whose buffers and gradients it changes.
    """

    def __init__(self, compute: Callable[..., Tensor], model: nn.Module) -> None:
        self._compute, self._model = compute, model
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._result = torch.empty(0)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """What ``compute`` returns.

        Args:
            inputs: Tensors on the device, of the same shapes and types at every call.
        """
        if self._graph is None:
            self._graph = self._capture(inputs)
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given)
        self._graph.replay()
        return self._result.clone()

    def _capture(self, inputs: Sequence[Tensor]) -> torch.cuda.CUDAGraph:
        self._inputs = [x.clone() for x in inputs]
        before = [buffer.clone() for buffer in self._model.buffers()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._model.zero_grad(set_to_none=True)
                self._compute(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._model.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._result = self._compute(*self._inputs)
        for buffer, value in zip(self._model.buffers(), before, strict=True):
            buffer.copy_(value)
        return graph
