"""Pictures: well-formed, the same twice, and the numbers behind them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from fewshot_core.metrics import ACCURACY
from fewshot_core.pipeline.report import draw
from fewshot_core.report import plots
from fewshot_core.report.canvas import ShownFigure, fence, new_figure, save_picture, svg_text
from fewshot_core.report.facts import Correlation, RegionFacts, Retrained, TrialFacts, read_facts
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.files import read_json
from fewshot_core.training.validation import CURVE

from .conftest import MakeRun

NAMES = {"results", "search", "cost", "audit", "training", "ranking"}


def trial(number: int, score: float, flops: int = 10) -> TrialFacts:
    return TrialFacts(number, f"g{number}", f"id{number}", "root", score, 5, flops)


def retrained(values: list[float], name: str = "found") -> Retrained:
    return Retrained(name, name, values, "", 1, 1, "g")


@pytest.fixture
def pictures(make_run: MakeRun) -> dict[str, Figure]:
    session = make_run()
    row = retrained([95.0, 96.0, 97.0])
    facts = read_facts(session.folder.path, [row])
    return {name: figure for name, _, figure in draw(session, facts, ACCURACY)}


def test_every_picture_is_saved_as_well_formed_svg_and_png(
    pictures: dict[str, Figure], tmp_path: Path
) -> None:
    assert set(pictures) == NAMES
    for name, figure in pictures.items():
        save_picture(figure, tmp_path, name)
        root = ElementTree.fromstring((tmp_path / f"{name}.svg").read_text())
        assert root.tag.endswith("svg")
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_parameters_are_drawn_where_they_differ(make_run: MakeRun) -> None:
    audit = read_facts(make_run().folder.path).audit
    assert audit is not None
    assert len(plots.audit_scatter(audit, "s", "t").axes) == 2
    equal = replace(audit, costs={name: [1000.0] * 9 for name in audit.costs})
    assert len(plots.audit_scatter(equal, "s", "t").axes) == 1


def test_retrained_networks_have_their_curves(make_run: MakeRun) -> None:
    run = make_run(["retrain"])
    history = [[float(step), 2.0 / (1 + step)] for step in range(20)]
    results = read_json(run.folder.file("retrain.json"))["results"]

    def train(notes: dict[str, Any]) -> None:
        for row in results:
            state = StageState(20, 20, images=320, history=history, notes=notes)
            run.folder.training("retrain", f"{row['id']}-{row['seed']}").finish(state, {})

    def drawn() -> tuple[Figure, str]:
        facts = read_facts(run.folder.path)
        found = {name: (figure, text) for name, text, figure in draw(run, facts, ACCURACY)}
        return found["retraining"]

    train({})
    figure, caption = drawn()
    assert [line.get_label() for line in figure.axes[0].lines][::2] == [
        "found", "random", "largest",
    ]  # fmt: skip
    assert len(figure.axes) == 1
    assert "Validation images are trained on as well" in caption
    train({CURVE: [[10, 55.0, 1.5], [20, 88.0, 0.4]]})
    figure, caption = drawn()
    left, right = figure.axes
    assert np.allclose(right.lines[0].get_xydata(), [[160, 55], [320, 88]])
    assert np.allclose(left.lines[1].get_xydata(), [[160, 1.5], [320, 0.4]])
    assert "which do not see these; nothing was chosen by it" in caption


def test_a_retraining_that_goes_on_has_its_curve(make_run: MakeRun) -> None:
    run = make_run(["search"])
    found = run.root.space.parse(read_json(run.folder.file("found.json"))["genotype"])

    def drawn() -> dict[str, Figure]:
        facts = read_facts(run.folder.path)
        return {name: figure for name, _, figure in draw(run, facts, ACCURACY)}

    assert "retraining" not in drawn()
    state = StageState(2, 9, images=32, history=[[0.0, 2.0], [1.0, 1.5]])
    run.folder.retraining(found, 0).save(state, {})
    (line, _) = drawn()["retraining"].axes[0].lines
    assert line.get_label() == "found"
    assert line.get_xdata().tolist() == [16, 32]


def test_the_same_picture_is_the_same_text(make_run: MakeRun) -> None:
    facts = read_facts(make_run(["search"]).folder.path)
    first, second = (svg_text(plots.search_progress(facts.trials, "score")) for _ in range(2))
    assert first == second


def test_the_style_does_not_leak(pictures: dict[str, Figure]) -> None:
    before = dict(matplotlib.rcParams)
    svg_text(pictures["search"])
    assert dict(matplotlib.rcParams) == before


def test_texts_are_escaped_and_dollars_are_no_formulas() -> None:
    svg = svg_text(plots.search_progress([trial(0, 1.0), trial(1, 2.0)], "a < b & $x_1$"))
    assert "a &lt; b &amp; $x_1$" in svg
    ElementTree.fromstring(svg)


@pytest.mark.parametrize("values", [[90.0], [90.0, 91.0]])
def test_few_seeds_are_drawn(values: list[float]) -> None:
    svg = svg_text(plots.test_results([retrained(values)], "test"))
    ElementTree.fromstring(svg)
    assert ("standard deviation" in svg) is (len(values) > 1)  # one seed has none


def test_one_trial_is_drawn() -> None:
    for figure in (
        plots.search_progress([trial(0, 1.0)], "s"),
        plots.score_against_cost([trial(0, 1.0)], "params", "s", "id0"),
    ):
        ElementTree.fromstring(svg_text(figure))


def test_the_running_mean_keeps_length_and_constants() -> None:
    for size in (1, 2, 50):
        assert plots.running_mean(np.full(size, 3.0)) == pytest.approx(np.full(size, 3.0))
    assert plots.running_mean(np.array([0.0, 3.0, 0.0])) == pytest.approx([1.5, 1.0, 1.5])


def test_the_axis_leaves_failures_out_and_nothing_else() -> None:
    usual = np.linspace(90, 95, 20)
    assert fence(usual) is None
    assert fence(np.full(9, 1.0)) is None
    start = fence(np.append(usual, 10.0))
    assert start is not None
    assert 80 < start < 90


def test_left_out_failures_are_mentioned() -> None:
    trials = [trial(i, 90 + i % 5) for i in range(20)] + [trial(20, 10.0)]
    assert "1 below the axis" in svg_text(plots.search_progress(trials, "s"))


def test_a_correlation_is_written_with_real_minus_signs() -> None:
    text = plots.correlation_text(Correlation(-0.001, -0.5, 0.25))
    assert text == "τ 0.00 [−0.50, 0.25]"


def test_long_region_names_leave_room_for_the_curves() -> None:
    state = StageState(step=3, steps=3, images=192, history=[[0, 2.3], [1, 2.2], [2, 2.0]])
    long = "edge_1_0=none+skip_connect+avg_pool_3x3,edge_2_0=nor_conv_1x1,nonlinear=3toinf"
    regions = [RegionFacts("root", None, 0, 10, state)]
    regions += [RegionFacts(f"{long}{n}", "root", 1, 5, state) for n in range(4)]
    figure = plots.loss_curves(regions)
    figure.draw_without_rendering()  # lays the figure out
    assert figure.axes[0].get_position().width > 0.6


def test_a_figure_shows_itself_in_a_notebook() -> None:
    figure, _ = new_figure()
    assert isinstance(figure, ShownFigure)
    assert figure._repr_png_().startswith(b"\x89PNG")
