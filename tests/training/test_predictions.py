"""Predictions: the classes that accuracy counts, tallied, and the worst of them first."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from fewshot_core.training import predictions as module
from fewshot_core.training.classifier_scores import ClassificationScorer
from fewshot_core.training.predictions import PredictingScorer, Predictions

LOGITS = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [4.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
TARGETS = torch.tensor([0, 0, 1, 1])


def test_counts_and_the_worst_first() -> None:
    found = Predictions.of_logits(LOGITS, TARGETS)
    assert found.predicted.tolist() == [0, 1, 0, 0]  # of equal logits the first
    assert found.likely[0] == found.given[0]
    assert found.worst(3) == [2, 1, 3]
    assert found.tally(3) == {
        "images": [2, 2, 0],
        "right": [1, 0, 0],
        "confusions": [[1, 0, 2], [0, 1, 1]],
    }


def test_of_many_classes_the_commonest_confusions_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DENSE", 2)
    monkeypatch.setattr(module, "COMMONEST", 1)
    assert Predictions.of_logits(LOGITS, TARGETS).tally(3)["confusions"] == [[1, 0, 2]]


def test_a_scorer_predicts_in_the_pass_that_measures() -> None:
    batches = [(LOGITS[:3], TARGETS[:3]), (LOGITS[3:], TARGETS[3:])]
    scorer = ClassificationScorer(batches, [], Accelerator(cpu=True))
    assert isinstance(scorer, PredictingScorer)
    asked = []

    class Noting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            asked.append(len(x))
            return x

    figures, found = scorer.score_and_predict(Noting())
    assert asked == [3, 1]
    assert figures == scorer.score(Noting(), None)  # to the bit
    assert found.targets.tolist() == TARGETS.tolist()
    assert figures["accuracy"] == 100 * sum(found.tally(3)["right"]) / 4
