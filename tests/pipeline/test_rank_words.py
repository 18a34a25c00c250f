"""Words of `tools/rank.py` that would have no effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.pipeline.rank import rank

OPTIONS: dict[str, Any] = {
    "run": None,
    "recipe": "",
    "truth": Path("truth.csv"),
    "column": "accuracy",
    "scores": None,
    "score_column": "score",
    "better": "",
    "score_better": "",
}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"scores": Path("mine.csv"), "run": Path("run")},
            "scores=mine.csv ranks a file, and run=run a run",
        ),
        (
            {"run": Path("run"), "score_column": "mine"},
            "score_column=mine has no effect without scores=",
        ),
        (
            {"recipe": "digits", "score_better": "lower"},
            "score_better=lower has no effect without scores=",
        ),
    ],
)
def test_words_in_vain(words: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        rank(OPTIONS | words)
    assert message in str(caught.value)
