from __future__ import annotations

from dataclasses import dataclass

import pytest

from fewshot_core.description import Description, as_supernet, supernet_sizes
from fewshot_core.errors import RecipeError
from fewshot_core.metrics import ACCURACY, CLASSIFICATION, LOSS, LOWER, Metric, direction_of


def test_scores_are_to_be_maximised() -> None:
    assert (ACCURACY.to_score(90.0), LOSS.to_score(2.0)) == (90.0, -2.0)


@pytest.mark.parametrize(
    ("column", "direction"), [("loss", LOWER), ("Loss", LOWER), ("accuracy", "higher")]
)
def test_a_column_is_read_as_the_metric_of_its_name(column: str, direction: str) -> None:
    assert direction_of(column, CLASSIFICATION) == direction
    assert direction_of(column, ()) == "higher"


def test_a_description_finds_metrics() -> None:
    kept = Metric("kept", score=False)
    described = Description({}, (LOSS, ACCURACY, kept))
    assert described.metric == LOSS
    assert described.scores == ("loss", "accuracy")
    assert described.find_metric("kept") is kept
    with pytest.raises(RecipeError, match=r"no metric 'f1'.*loss, accuracy, kept"):
        described.find_metric("f1")


@dataclass
class Section:
    channels: int = 16
    supernet_channels: int | None = None
    depth: int = 3
    supernet_depth: int = 2
    supernet_affine: bool = False


def test_a_supernet_may_be_of_another_size() -> None:
    assert supernet_sizes(Section) == ["channels", "depth"]
    assert as_supernet(Section()) == Section(depth=2)
    section = Section(supernet_channels=8, supernet_affine=True)
    seen = as_supernet(section)
    assert (seen.channels, seen.depth, seen.supernet_affine) == (8, 2, True)
    assert section.channels == 16
