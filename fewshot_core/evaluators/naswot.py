"""NASWOT: how differently the ReLUs of an untrained network answer to different images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fewshot_core.evaluators.base import NAME, EvaluatorContext
from fewshot_core.evaluators.proxy import ProxyEvaluator, ProxySettings, ProxyWords, make_proxy
from fewshot_core.evaluators.words import Told
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.seeds import derive_seed

MOST = 64
"""Images that a search compares, at most."""


@dataclass(frozen=True)
class NaswotSettings(ProxySettings):
    """Scores by NASWOT."""

    name: str = setting("naswot", NAME)
    batch_size: int = setting(256, f"training images that are compared, at most {MOST}", low=2)


class NaswotWords(ProxyWords):
    """Scores by NASWOT."""

    training: ClassVar[str] = "a batch of them for the scores"

    def images(self, settings: NaswotSettings, told: Told) -> str:
        known = told.data.get("train")
        count = min(MOST, settings.batch_size)
        if isinstance(known, int):
            count = min(count, known)
        return f" on {count} training images"


@register(
    "evaluator",
    "naswot",
    settings=NaswotSettings,
    about="kernel of the untrained network's ReLUs (Mellor et al., ICML 2021)",
    words=NaswotWords("NASWOT"),
    untrained=True,
)
def make_naswot(settings: NaswotSettings, context: EvaluatorContext) -> ProxyEvaluator:
    """NASWOT of a run's untrained networks, all on the same images."""
    from fewshot_core.evaluators._proxies import naswot

    count = min(MOST, settings.batch_size)
    images = context.training_images(count, derive_seed(context.seed, "proxy"))
    return make_proxy(settings, context, lambda network: naswot(network.to(images.device), images))
