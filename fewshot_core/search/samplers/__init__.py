"""Optuna samplers of ours, and how a sampler becomes a strategy.

They import Optuna, and so lie apart from the strategies, whose settings recipes are checked with.
"""

from __future__ import annotations

from fewshot_core.search.samplers.evolution import EvolutionSampler
from fewshot_core.search.samplers.latent import LatentActionSampler
from fewshot_core.search.samplers.learning import LearningSampler
from fewshot_core.search.samplers.reinforce import ReinforceSampler
from fewshot_core.search.samplers.sampled import SampledStrategy, SamplerFactory

__all__ = [
    "EvolutionSampler",
    "LatentActionSampler",
    "LearningSampler",
    "ReinforceSampler",
    "SampledStrategy",
    "SamplerFactory",
]
