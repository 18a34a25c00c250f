"""SynFlow: how much can pass through a network that nobody has trained."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.evaluators.base import NAME, EvaluatorContext
from fewshot_core.evaluators.proxy import ProxyEvaluator, ProxySettings, ProxyWords, make_proxy
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting


@dataclass(frozen=True)
class SynflowSettings(ProxySettings):
    """Scores by SynFlow."""

    name: str = setting("synflow", NAME)


@register(
    "evaluator",
    "synflow",
    settings=SynflowSettings,
    about="synaptic flow of the untrained network (Tanaka et al., NeurIPS 2020)",
    words=ProxyWords("SynFlow"),
    untrained=True,
)
def make_synflow(settings: SynflowSettings, context: EvaluatorContext) -> ProxyEvaluator:
    """SynFlow of a run's untrained networks."""
    from fewshot_core.evaluators._proxies import synflow

    # On the CPU: it is one image, and not every accelerator has float64.
    return make_proxy(settings, context, lambda network: synflow(network, context.input_size))
