"""Few-shot neural architecture search, for programs and notebooks.

    import fewshot

    run = fewshot.search(recipe="digits", supernet={"epochs": 20})
    run.best.genotype, run.trials, run.front
    run.retrain().mean
    run.export()

A run is a folder: ``fewshot.open("runs/digits")`` opens one that there is. The names below are
imported when they are first used, so that importing this package costs nothing. The names for
plug-ins of your own are those of :mod:`fewshot_core`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewshot_core.api.inputs import Inputs
    from fewshot_core.api.run import Run, search
    from fewshot_core.api.run import open_run as open
    from fewshot_core.api.values import Network, Results, Summary, Training, TrialRow
    from fewshot_core.errors import FewshotError
    from fewshot_core.runs.preemption import Preempted

__all__ = [
    "FewshotError",
    "Inputs",
    "Network",
    "Preempted",
    "Results",
    "Run",
    "Summary",
    "Training",
    "TrialRow",
    "open",
    "search",
]

_HOMES = {
    "FewshotError": "errors:FewshotError",
    "Inputs": "api.inputs:Inputs",
    "Network": "api.values:Network",
    "Preempted": "runs.preemption:Preempted",
    "Results": "api.values:Results",
    "Run": "api.run:Run",
    "Summary": "api.values:Summary",
    "Training": "api.values:Training",
    "TrialRow": "api.values:TrialRow",
    "open": "api.run:open_run",
    "search": "api.run:search",
}


if not TYPE_CHECKING:  # a misspelt name is an error for a type checker, too

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, found = _HOMES[name].partition(":")
        return getattr(import_module(f"fewshot_core.{module}"), found)


def __dir__() -> list[str]:
    return __all__
