"""What an estimate says of itself; the times are measured by the tests of the tools."""

from __future__ import annotations

import pytest

from fewshot_core.pipeline.estimate import Estimate


@pytest.mark.parametrize(
    ("steps", "ladder", "words"),
    [
        (
            6,
            0,
            "estimate: 6 steps of supernets at 0.50 s and 200 steps of retraining at 0.25 s, "
            "together about 1.5 CPU hours without scores and audits; peak memory 2.0 GiB",
        ),
        # Short trainings, tables and proxies train no supernet.
        (
            0,
            0,
            "estimate: 200 steps of retraining at 0.25 s, together about 1.5 CPU hours without "
            "scores and audits; peak memory 2.0 GiB",
        ),
        (
            6,
            30,
            "estimate: 6 steps of supernets at 0.50 s and 30 steps of the ladder and 200 of "
            "retraining at 0.25 s, together about 1.5 CPU hours without scores and audits; peak "
            "memory 2.0 GiB",
        ),
    ],
)
def test_what_is_counted_and_what_is_not(steps: int, ladder: int, words: str) -> None:
    assert str(Estimate(steps, 0.5, ladder, 200, 0.25, 1.5, 2**31, "cpu")) == words
