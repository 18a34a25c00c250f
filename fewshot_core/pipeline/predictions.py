"""What retrained classifiers say of the test images: counted by class, with the worst of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import nn

from fewshot_core.data.thumbnails import thumbnail
from fewshot_core.pipeline.run import Run
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.files import write_text
from fewshot_core.runs.retrained import PREDICTIONS
from fewshot_core.training.objective import Scorer
from fewshot_core.training.predictions import PredictingScorer, Predictions

WORST = 24
"""Test images that are kept as pictures."""


def score_and_keep_predictions(
    run: Run, scorer: Scorer, network: nn.Module, checkpoint: StageCheckpoint
) -> Mapping[str, float]:
    """The test metrics of a network; what it says of the images is kept beside its checkpoint.

    Scorers that do not tell what a network says, as those of generators, leave nothing.

    Args:
        run: The run.
        scorer: Scores on the test images.
        network: A trained network.
        checkpoint: That of its training.
    """
    if not isinstance(scorer, PredictingScorer):
        return scorer.score(network, None)
    figures, predictions = scorer.score_and_predict(network)
    if checkpoint.writes:
        text = json.dumps(_kept(run, predictions), separators=(",", ":"))
        write_text(checkpoint.folder / PREDICTIONS, text + "\n")
    return figures


def _kept(run: Run, predictions: Predictions) -> dict[str, object]:
    images = run.images.data().test()
    worst = predictions.worst(WORST)
    pixels = images.pixels(torch.tensor(worst, dtype=torch.int64))
    return {
        **predictions.tally(len(images.classes)),
        "worst": [
            {
                "image": index,
                "class": int(predictions.targets[index]),
                "predicted": int(predictions.predicted[index]),
                "given": round(float(predictions.given[index]), 4),
                "likely": round(float(predictions.likely[index]), 4),
                "picture": thumbnail(picture),
            }
            for index, picture in zip(worst, pixels, strict=True)
        ],
    }
