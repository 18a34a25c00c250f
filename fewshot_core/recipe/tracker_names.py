"""The trackers that Accelerate knows, and what to install for each. No torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from fewshot_core.errors import FewshotError

PACKAGES = {
    "aim": ("aim", "aim"),
    "clearml": ("clearml", "clearml"),
    "comet_ml": ("comet_ml", "comet_ml"),
    "dvclive": ("dvclive", "dvclive"),
    "mlflow": ("mlflow", "mlflow"),
    "swanlab": ("swanlab", "swanlab"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "trackio": ("trackio", "trackio"),
    "wandb": ("wandb", "wandb"),
}
"""By the name of a tracker: its module, and its package on PyPI."""


class MissingTrackerError(FewshotError):
    """A tracker cannot be used here."""


def require_trackers(names: Sequence[str]) -> None:
    """Find packages of trackers that are not installed; none is imported.

    Raises:
        MissingTrackerError: One is not; the line says what to install.
    """
    for name in names:
        module, package = PACKAGES[name]
        if importlib.util.find_spec(module) is None:
            raise MissingTrackerError(
                f"track={name} needs a package that is not installed",
                found=f"no package {package}",
                fix=f"pip install {package}",
            )
