"""Strategies that learn architecture parameters together with a supernet's weights."""

from fewshot_core.search.differentiable.relaxed import RelaxedSupernet

__all__ = ["RelaxedSupernet"]
