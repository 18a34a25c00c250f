"""The study of joined scores: what is joined, and with which cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies.ensemble import GPU, NASWOT, SIZE, Ensemble, join, make_tables
from fewshot_core.trust.ranking import kendall
from tests.benchmarks.shared import options


def test_errors_that_differ_cancel_and_units_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    one, other = (truth + rng.normal(size=400) for _ in range(2))
    joined = kendall(join([one, other]), truth)
    assert joined > max(kendall(one, truth), kendall(other, truth)) + 0.03
    assert kendall(join([1000 * one - 7, other]), truth) == pytest.approx(joined, abs=1e-9)
    assert join([one]) is one


def test_every_supernet_has_scored_the_cells_that_are_compared(
    shared_data: Path, tmp_path: Path
) -> None:
    study = Ensemble(options(Ensemble, "--data", str(shared_data)), tmp_path)
    cells = study.truth.architectures
    assert len(cells) > 1400
    genotype = study.costs.space.genotype
    scores = {genotype(a): float(i) for i, a in enumerate(cells)}
    figures = study.summarise({"NASWOT | seed 0": {"scores": scores}})
    assert set(figures) == {GPU}
    assert figures[GPU]["networks"] == len(cells)
    ways = figures[GPU]["ways"]
    assert ways[SIZE][0]["iso_cost_tau"] == 0
    assert abs(ways[NASWOT][0]["tau"]) < 0.1, "an order that means nothing"
    assert ways["one supernet"][0]["iso_cost_tau"] > 0.4
    assert all(value >= 0 for one in ways.values() for value in one[0]["regret"].values())
    assert [line[0] for line in make_tables(figures)[0].lines] == [f"{name} (1)" for name in ways]
