"""The trials to point at: every one has a mark with its words, and a page stays small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fewshot_core.metrics import ACCURACY
from fewshot_core.recipe.schema import Recipe
from fewshot_core.report.charts import MOST, choose_marks, cost_chart, time_chart
from fewshot_core.report.facts import RegionFacts, RunFacts, TrialFacts
from fewshot_core.report.headline import duration, engineering
from fewshot_core.report.html import render
from fewshot_core.report.page import Page
from fewshot_core.report.tree import _branch

MEGABYTE = 1 << 20


def trial(number: int, score: float, flops: int = 10, genotype: str = "g") -> TrialFacts:
    return TrialFacts(number, f"{genotype}{number}", f"id{number}", "root", score, 5, flops)


def places(svg: str) -> dict[int, tuple[float, float]]:
    """Where the mark of every trial is."""
    marks = re.findall(r'data-n="(\d+)" (?:cx="([\d.]+)" cy="([\d.]+)"|d="[^"]*" '
                       r'transform="translate\(([\d.]+) ([\d.]+)\)")', svg)  # fmt: skip
    return {int(n): (float(cx or tx), float(cy or ty)) for n, cx, cy, tx, ty in marks}


def test_every_trial_has_a_mark_where_its_values_say() -> None:
    trials = [trial(0, 1.0, 30), trial(1, 3.0, 20), trial(2, 2.0, 10)]
    shown = choose_marks(trials, trials[1])
    cost, time = places(cost_chart(shown, "s")), places(time_chart(shown, "s"))
    assert cost.keys() == time.keys() == {0, 1, 2}
    assert cost[2][0] < cost[1][0] < cost[0][0]  # by FLOPs
    assert time[0][0] < time[1][0] < time[2][0]  # in their order
    for chart in (cost, time):
        assert chart[1][1] < chart[2][1] < chart[0][1]  # a high score stands high
    assert set(shown.front) == {1, 2}


def test_a_mark_says_what_it_is_and_one_of_a_chart_is_in_the_tab_order() -> None:
    shown = choose_marks([trial(7, 0.5, 1_234_567), trial(9, 0.25, 5)], None)
    svg = cost_chart(shown, "<score>")
    assert "<title>trial 7: score 0.5, 5 parameters, 1,234,567 FLOPs</title>" in svg
    assert svg.count('tabindex="0"') == 1
    assert svg.count('role="button"') == svg.count("<title>") == 2
    assert "&lt;score&gt;" in svg


def test_what_lies_far_below_stands_at_the_edge_and_is_counted() -> None:
    trials = [trial(n, 90 + n / 10, n) for n in range(20)] + [trial(20, 3.0, 5)]
    shown = choose_marks(trials, None)
    svg = cost_chart(shown, "s")
    assert shown.below == svg.count("m low") == 1
    heights = [down for _, down in places(svg).values()]
    assert places(svg)[20][1] == max(heights)


@pytest.mark.parametrize("count", [1, 2])
def test_few_trials_of_one_cost_and_score(count: int) -> None:
    shown = choose_marks([trial(n, 1.0) for n in range(count)], None)
    for svg in (cost_chart(shown, "s"), time_chart(shown, "s")):
        assert len(places(svg)) == count
        assert "nan" not in svg


def test_of_many_trials_those_that_matter_stay() -> None:
    trials = [trial(n, (n * 7919 % 10007) / 10007, n * 31 % 977) for n in range(10_000)]
    found = trials[1234]
    shown = choose_marks(trials, found)
    kept = {one.number for one in shown.shown}
    assert len(kept) <= 1.2 * MOST
    assert {found.number, *shown.front, *(one.number for one in shown.best)} <= kept
    assert shown.every == 10_000


def test_a_page_of_ten_thousand_trials_is_below_two_megabytes() -> None:
    trials = [
        trial(n, (n * 7919 % 10007) / 10007, n * 31 % 977, genotype="|conv~0|" * 25)
        for n in range(10_000)
    ]
    drawing = f"<svg>{'x' * 5000}</svg>"
    page = Page(
        Path("r"), Recipe(), "", ACCURACY, RunFacts(trials=trials), draw=lambda text: drawing
    )
    text = render(page)
    assert len(text.encode()) < 2 * MEGABYTE
    assert "of the 10,000 trials are shown" in text
    assert "The front and every best so far as a table" in text


def test_the_script_reads_what_the_page_says() -> None:
    genotype = "</script><script>alert(1)</script>&"
    facts = RunFacts(trials=[trial(3, 0.5, 20, genotype)])
    page = Page(Path("my run"), Recipe(), "", ACCURACY, facts, draw=lambda text: "<svg></svg>")
    text = render(page)
    assert "<script>alert" not in text
    source = text.partition('id="trials">')[2].partition("</script>")[0]
    value = json.loads(source)
    assert value["command"] == "fewshot retrain 'run=my run'"
    assert value["trials"] == [[3, f"{genotype}3", "root", "0.5", 5, 20]]
    assert '<template id="drawing-3"><svg role="img"' in text


def test_the_tree_of_regions_has_lines() -> None:
    def region(name: str, depth: int) -> RegionFacts:
        return RegionFacts(name, None, depth, 1, None)

    tree = [region(*one) for one in (("r", 0), ("a", 1), ("x", 2), ("y", 2), ("b", 1), ("z", 2))]
    drawn = [_branch(tree, place) for place in range(len(tree))]
    assert drawn == ["", "├ ", "│ ├ ", "│ └ ", "└ ", "  └ "]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (475_968, "476 k"), (1_036_000, "1.04 M"), (2.5e9, "2.5 G")],
)
def test_large_numbers_keep_three_digits(value: float, text: str) -> None:
    assert engineering(value) == text.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "less than 1 s"), (99, "99 s"), (120, "2 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
