"""What results are called: words for people, without places of one machine."""

from __future__ import annotations

import pytest

from fewshot_core.report.results import label_text
from fewshot_core.runs.retrained import without_places


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("found", "found"),
        ("timm:local-dir:/a/b/mine", "timm:mine"),
        (
            "given 2, retrain.lr=0.1, retrain.start=timm:local-dir:/a/mine",
            "given 2, retrain.lr=0.1, retrain.start=timm:mine",
        ),
        ("timm:mobilenetv3_small_100", "timm:mobilenetv3_small_100"),
    ],
)
def test_a_folder_is_called_by_its_name(label: str, shown: str) -> None:
    assert without_places(label) == shown


def test_a_stock_model_of_a_folder_is_no_path() -> None:
    text = label_text("timm:local-dir:/home/me/models/mine")
    assert text == "model in the folder mine, with its weights"
    assert label_text("timm:resnet18") == "stock model resnet18, from published weights"
