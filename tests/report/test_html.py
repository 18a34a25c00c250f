"""The page: self-contained, escaped, honest, and there after every stage."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fewshot_core.errors import RunFolderError
from fewshot_core.evaluators.standalone import StandaloneSettings
from fewshot_core.evaluators.table import TableSettings
from fewshot_core.metrics import ACCURACY
from fewshot_core.pipeline.report import report, write_report
from fewshot_core.recipe.schema import DataSettings, EvaluatorSettings, Recipe
from fewshot_core.report.facts import (
    Retrained,
    RunFacts,
    TrialFacts,
    read_facts,
    top_trials,
)
from fewshot_core.report.html import render
from fewshot_core.report.markup import figure, from_terminal, inline_svg, table
from fewshot_core.report.page import Page, Picture
from fewshot_core.runs.console import FittedTable
from fewshot_core.runs.files import read_json, write_json, write_text
from fewshot_core.search.differentiable.setn import SetnSettings
from fewshot_core.search.strategies.nsga2 import Nsga2Settings
from fewshot_tasks.cifar10.task import TASK

from .conftest import STAGES, MakeRun

VOID = {"meta", "br", "wbr", "link", "img", "input"}


class Reader(HTMLParser):
    """Collects what the tests ask for, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.headings: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "xlink:href", "src"):
                self.links.append(value or "")
            elif name in ("style", "fill", "stroke", "clip-path", "marker-end"):
                self.links += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


def page_of(facts: RunFacts, **fields: object) -> str:
    recipe = Recipe(recipe="demo<", description="<script>alert(1)</script>")
    return render(Page(Path("runs/a b"), recipe, "x: <y>\n", ACCURACY, facts, **fields))  # type: ignore[arg-type]


def trial(number: int, score: float, genotype: str) -> TrialFacts:
    return TrialFacts(number, genotype, genotype, "root", score, 1000, 2000)


# -- the whole page ----------------------------------------------------------------------------


def test_a_full_page_stands_alone(make_run: MakeRun) -> None:
    path = write_report(make_run())
    text = path.read_text()
    reader = Reader(text)
    outside = re.sub(r"<template.*?</template>", "", text, flags=re.DOTALL)
    outside = re.sub(r'<ul class="key">.*?</ul>', "", outside, flags=re.DOTALL)
    assert Reader(outside).tags["svg"] == 7  # six pictures and the cell
    assert len(set(reader.ids)) == len(reader.ids)
    inside = {f"#{name}" for name in reader.ids}
    assert {link for link in reader.links if not link.startswith("data:")} <= inside
    assert not reader.tags["link"] + reader.tags["img"]
    assert reader.tags["script"] == text.count("<script") == 2  # its own, and what that reads
    assert "default-src 'none'" in text
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert "http:" not in without_namespaces
    assert "https:" not in without_namespaces
    assert "@import" not in text
    for heading in ("Result", "The architecture", "Pictures", "Ranking", "Regions", "Data"):
        assert heading in reader.headings
    assert "a &lt;b&gt;demo&lt;/b&gt;" in text
    assert sorted(p.name for p in path.parent.joinpath("pictures").iterdir()) == sorted(
        f"{name}.{kind}"
        for name in ("audit", "cost", "ranking", "results", "search", "training")
        for kind in ("png", "svg")
    )


def test_the_front_of_a_search_for_one(make_run: MakeRun) -> None:
    plain = write_report(make_run(["search"], name="plain")).read_text()
    assert "Score against FLOPs" not in Reader(plain).headings
    session = make_run(["search"], strategy=Nsga2Settings())
    text = write_report(session).read_text()
    assert "Score against FLOPs" in Reader(text).headings
    section = text.partition("<h2>Score against FLOPs")[2].partition("</section>")[0]
    front = read_json(session.folder.file("pareto.json"))["front"]
    assert len(front) > 1
    for point in front:
        assert f"{point['costs']['connected_flops']:,.0f}" in section
        assert escape(point["genotype"]) in section.replace("<wbr>", "")
    assert section.count("<tr") == 1 + len(front)


def test_what_regions_prefer(make_run: MakeRun) -> None:
    session = make_run(["search"], strategy=SetnSettings())
    assert "Preferences" not in Reader(write_report(session).read_text()).headings
    path = session.folder.file("derived.json")
    rows = [
        {"region": name, "preferences": {"op": {"a": p, "b": 1 - p}}, "architectures": cells}
        for name, p, cells in (
            ("left", 0.75, ["x", "y"]),
            ("right", 0.1, []),
            ("third", 0.5, ["z"]),
        )
    ]
    write_json(path, rows)
    text = write_report(session).read_text()
    # A region that named nothing has no part in it.
    assert "By their preferences, 2 regions named 3 architectures. The one with the best" in text
    section = text.partition("<h2>Preferences")[2].partition("</section>")[0]
    assert "a 0.75" in section
    assert "b 0.90" in section

    path.write_text('[{"region": "left"}]')
    with pytest.raises(RunFolderError, match=r"derived\.json is damaged"):
        read_facts(session.folder.path)


def test_scores_with_a_part_of_the_budget_stand_apart(make_run: MakeRun) -> None:
    """They say something else, so they are in no picture, table or count of trials."""
    session = make_run(["search"])
    path = session.folder.file("trials.csv")
    header, *lines = path.read_text().splitlines()
    place = header.split(",").index("budget")
    for number in (0, 1, 2):
        cells = lines[number].split(",")
        cells[place] = "0.1111111111111111"
        cells[place + 1] = "99.99"  # the score
        lines[number] = ",".join(cells)
    path.write_text("\n".join([header, *lines]) + "\n")
    facts = read_facts(session.folder.path)
    assert (len(facts.trials), facts.partial) == (len(lines) - 3, 3)
    text = write_report(session).read_text()
    assert f"In {len(lines) - 3} trials" in text
    assert "and 3 with a part of the budget" in text
    assert "every trial with the whole budget" in text
    assert "99.99" not in text


@pytest.mark.parametrize("missing", STAGES)
def test_a_stage_may_be_missing(make_run: MakeRun, missing: str) -> None:
    session = make_run([stage for stage in STAGES if stage != missing])
    text = write_report(session).read_text()
    reader = Reader(text)
    absent = {"supernets": "Regions", "ranking": "Ranking"}.get(missing)
    assert absent not in reader.headings
    if missing == "retrain":
        assert "has not been retrained yet" in text
        assert f"fewshot retrain run={session.folder.path}" in text
    if missing == "audit":
        assert "audit.networks=12" in text
        assert "verdict" not in text.partition("</style>")[2]
    if missing == "search":
        assert "The search has not ended" in text


@pytest.mark.parametrize(
    ("evaluator", "words"),
    [
        (StandaloneSettings(), "trained from scratch for 5 epochs"),
        (TableSettings(table="gone.csv", column="c10"), "column c10 of gone.csv"),
    ],
)
def test_runs_without_supernets(
    make_run: MakeRun, evaluator: EvaluatorSettings, words: str
) -> None:
    text = write_report(make_run(["search"], evaluator=evaluator)).read_text()
    reader = Reader(text)
    assert words in text
    assert "Regions" not in reader.headings
    assert "rank.py" not in text
    assert "audit.networks" not in text.partition("<h2>Settings")[0]


def test_the_ranking_picture_needs_the_truth_and_the_table_does_not(make_run: MakeRun) -> None:
    session = make_run()
    (session.folder.path.parent / "truth.csv").unlink()
    reader = Reader(write_report(session).read_text())
    assert "Ranking" in reader.headings
    assert not session.folder.file("pictures", "ranking.svg").exists()


def test_the_page_says_what_the_audit_says(make_run: MakeRun) -> None:
    session = make_run()
    said = read_json(session.folder.file("audit.json"))
    assert escape(said["verdict"]) in write_report(session).read_text()


def test_an_audit_of_networks_of_any_cost_shows_nothing(make_run: MakeRun) -> None:
    session = make_run()
    lines = ["architecture,score,accuracy,connected_params,connected_flops"]
    lines += [f"a{i},{i}.5,{90 + i},{1000 + i},{1000 + 900 * i}" for i in range(9)]
    write_text(session.folder.file("audit.csv"), "\n".join(lines) + "\n")
    text = write_report(session).read_text()
    assert "Not shown whether these scores may be trusted" in text
    assert "9 trained networks differ in cost (1,000 to 8,200 FLOPs" in text


@pytest.mark.parametrize("table", ["architecture,score\n", "a,b\n1,2\n", ""])
def test_an_audit_without_its_rows_is_damaged(make_run: MakeRun, table: str) -> None:
    session = make_run()
    write_text(session.folder.file("audit.csv"), table)
    with pytest.raises(RunFolderError, match=r"audit in .* is damaged"):
        write_report(session)


def test_nothing_to_report_on_is_one_line(make_run: MakeRun) -> None:
    session = make_run(["supernets"])
    with pytest.raises(RunFolderError, match="nothing to report on") as caught:
        write_report(session)
    assert "\n" not in str(caught.value)
    assert not session.folder.file("report.html").exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("trials.csv", "number,architecture\n1,a\n"),
        ("audit.json", "{}"),
        ("regions.json", "{}"),
        ("ladder.json", "[]"),
        ("ladder.json", '{"rungs": [{}]}'),
        ("ranking.json", '{"predictors": {"a": {}}}'),
        ("retrain.json", "[]"),
        ("found.json", "{"),
    ],
)
def test_a_damaged_file_is_one_line(make_run: MakeRun, file: str, text: str) -> None:
    session = make_run()
    write_text(session.folder.file(file), text)
    with pytest.raises(RunFolderError) as caught:
        write_report(session)
    assert "\n" not in str(caught.value)


def test_the_tool_opens_the_run_and_leaves_it_free(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run().folder.path
    for _ in range(2):
        report({"run": run, "recipe": ""})
    out = capsys.readouterr().out
    assert out.count("Trained from scratch") == 2
    assert out.count("report:") == 2


# -- pieces ------------------------------------------------------------------------------------


def test_everything_is_escaped() -> None:
    facts = RunFacts(
        trials=[trial(0, 1.0, "<i>|&|\"'"), trial(1, 2.0, "</script><b>")],
        retrained=[Retrained("given", "<u>", [1.0], "1.00", 1, 1, "<s>")],
        environment={"command": "a < b", "packages": {"<p>": "1"}},
        overrides=["data.root=a <b>"],
    )
    text = page_of(facts, pictures=[Picture("p", "<svg></svg>", 'cap "<q>"')])
    reader = Reader(text)
    assert not {"i", "u", "s", "b", "q", "y"} & set(reader.tags)
    assert reader.tags["script"] == text.count("</script>") == 2
    assert "&lt;i&gt;|<wbr>&amp;|<wbr>&quot;&#x27;" in text
    assert "run=runs/a b" in text.replace("&#x27;", "")


def test_svgs_do_not_clash() -> None:
    svg = (
        '<?xml version="1.0"?><svg role="img" width="9"><style>*{color:red}</style>'
        '<path id="m" fill="#1f2429"/><use href="#m" clip-path="url(#m)"/></svg>'
    )
    one = inline_svg(svg, "one", "a <b>")
    assert 'id="one-m"' in one
    assert 'href="#one-m"' in one
    assert "url(#one-m)" in one
    assert "<style" not in one
    assert 'fill="currentColor"' in one
    assert one.startswith('<svg width="9" role="img" aria-label="a &lt;b&gt;">')


def test_numbers_stand_to_the_right() -> None:
    text = table(["a", "b", "c"], [("x", 1000, "−0.5"), ("y", None, "n/a")], marked=1)
    assert '<td>x</td><td class="number">1,000</td><td class="number">−0.5</td>' in text
    assert '<tr class="mark"><td>y</td>' in text


def test_terminal_tables_keep_their_brackets() -> None:
    shown = FittedTable("", ["predictor", "tau"], [["[bold] <x>", "1.0"]], caption="of [two]")
    text = from_terminal(shown)
    assert "<td>[bold] &lt;x&gt;</td>" in text
    assert "of [two]" in text


def test_equal_networks_are_listed_once_and_the_earliest_of_equals_first() -> None:
    trials = [trial(0, 1.0, "a"), trial(1, 2.0, "b"), trial(2, 2.0, "c"), trial(3, 3.0, "A")]
    assert [t.number for t in top_trials(trials, str.lower, 2)] == [3, 1]


def test_the_decision_about_the_split_is_told(make_run: MakeRun) -> None:
    """A user who asked for a split and got none reads why."""
    session = make_run()
    assert "Splitting:" not in write_report(session).read_text()
    told = {"split": False, "parent_epochs": 3.0, "sentence": "the supernet is not split: 5 < 7"}
    write_json(session.folder.file("splitting.json"), told)
    assert "Splitting: the supernet is not split: 5 &lt; 7." in write_report(session).read_text()


@pytest.mark.parametrize("damage", [{"split": True}, {"what": 1}, [1]])
def test_a_damaged_decision(damage: object, make_run: MakeRun) -> None:
    session = make_run()
    write_json(session.folder.file("splitting.json"), damage)
    with pytest.raises(RunFolderError, match=r"splitting\.json is damaged"):
        write_report(session)


# -- what did not happen -----------------------------------------------------------------------


def test_a_recipe_says_nothing_of_the_images_of_others(make_run: MakeRun) -> None:
    session = make_run(["search"])
    photos = DataSettings("images", root="/me/flowers")
    recipe = replace(session.recipe, description="cells on CIFAR-10", data=photos)
    session = replace(session, recipe=recipe)
    assert "description of itself: “cells on CIFAR-10”" in write_report(session).read_text()
    write_text(session.folder.file("overrides.txt"), "data.source=images\ndata.root=/me/flowers\n")
    text = write_report(session).read_text()
    assert "CIFAR-10" not in text
    assert "on images in flowers." in text


def test_the_found_one_is_bold_by_its_trial(make_run: MakeRun) -> None:
    """What is handed over has no choices that say nothing, so it may have an id of no trial."""
    session = make_run(["search"])
    path = session.folder.file("found.json")
    found = read_json(path)
    write_json(path, found | {"id": "of-no-trial"})
    text = write_report(session).read_text()
    assert text.count('<tr class="mark">') == text.count("the found one is bold") == 1
    marked = text.partition('<tr class="mark">')[2].partition("</tr>")[0]
    assert f'<td class="number">{found["trial"]}</td>' in marked
    write_json(path, found | {"id": "of-no-trial", "trial": 10_000})
    text = write_report(session).read_text()
    assert text.count('<tr class="mark">') == text.count("is bold") == 0
    drawn = session.folder.file("pictures", "cost.svg").read_text()
    assert ">found<" not in drawn


def test_a_search_without_any_number_has_ended_all_the_same(make_run: MakeRun) -> None:
    session = make_run(["search"])
    path = session.folder.file("trials.csv")
    header, *lines = path.read_text().splitlines()
    place = header.split(",").index("score")
    cells = [line.split(",") for line in lines]
    for row in cells:
        row[place] = "-inf"
    write_text(path, "\n".join([header, *map(",".join, cells)]) + "\n")
    text = write_report(session).read_text()
    assert f"{len(lines)} more gave no number" in text
    assert "No score of the search is a number." in text
    assert "has not ended" not in text


def test_the_one_supernet_is_no_region_with_tensors_of_a_parent(make_run: MakeRun) -> None:
    session = make_run(["supernets", "search"])
    whole = read_json(session.folder.file("regions.json"))
    write_json(session.folder.file("regions.json"), whole | {"children": []})
    text = write_report(session).read_text()
    assert "One-shot neural architecture search (one supernet), strategy rea" in text
    assert "The one supernet, of the whole space." in text
    assert "tensors inherited" not in text
    assert "Loss of the supernet on training images." in text
    assert "few-shot" not in text.lower()


def test_networks_of_an_audit_that_diverged_are_told(make_run: MakeRun) -> None:
    session = make_run(["search", "audit"])
    path = session.folder.file("audit.json")
    write_json(path, read_json(path) | {"diverged": 3, "asked": 12})
    text = write_report(session).read_text()
    assert "on the 287 validation images; 3 more diverged and are left out." in text


# -- drawings ----------------------------------------------------------------------------------


def test_a_drawing_that_does_not_say_how_it_is_read_has_a_key(make_run: MakeRun) -> None:
    class Keyed(type(TASK)):  # type: ignore[misc]
        drawing_key = "Read it from left to right."

    session = make_run(["search"])
    found = read_json(session.folder.file("found.json"))["genotype"]
    plain = write_report(session).read_text().replace("<wbr>", "")
    assert f"The architecture found: {found}.</figcaption>" in plain
    text = write_report(replace(session, task=Keyed())).read_text().replace("<wbr>", "")
    assert f"The architecture found: {found}. Read it from left to right.</figcaption>" in text


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ("100 80", ' style="--most:200px"'),
        ("403 252", ""),
        ("900 300", ' class="broad"'),
    ],
)
def test_pictures_get_the_room_that_they_need(size: str, told: str) -> None:
    svg = f'<svg viewBox="0 0 {size}"></svg>'
    assert figure(svg, "p", "c").startswith(f"<figure{told}>")
