"""Strategies that learn architecture parameters together with a supernet's weights."""

from fewshot_core.differentiable.relaxed import DIFFERENTIABLE, RelaxedSupernet

__all__ = ["DIFFERENTIABLE", "RelaxedSupernet"]
