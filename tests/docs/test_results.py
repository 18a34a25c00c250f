"""The pages of results: every cell that a study makes is as its JSON file has it."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from statistics import mean, stdev
from typing import Any

import pytest
import torch  # noqa: F401 (a process is started by its import, which studies need)
from scipy.stats import ttest_ind

from .pages import DOCS, ROOT, name_of, site_module

links = site_module("links")

RESULTS = ROOT / "benchmarks" / "results"

STUDIES = {
    "ranking": ("make_tables", ["ranking"]),
    "generators": ("make_tables", ["autogan"]),
    "mobile": ("make_tables", ["mobile"]),
    "differentiable": ("make_tables", ["differentiable"]),
    "pretrained": ("make_tables", ["pretrained"]),
    "ensemble": ("make_tables", ["ensemble"]),
    "deployed": ("make_tables", ["deployed"]),
    "strategies": (
        "make_docs_tables",
        [
            *("strategies", "strategies_500", "strategies_nasbenchmacro_500"),
            "strategies_nasbench101_valid_108_200",
        ],
    ),
}
"""For each page the function of its study that makes tables, and the files of the figures."""

MADE = re.compile(r"-?[\d.]+ ± [\d.]+|[>\d. ]*\d \([\d.]+ to [>\d. ]+\)|\[-?[\d.]+, -?[\d.]+\]")
"""Values with their spread or interval, which only a study can have made."""


def cells(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("|"):
            yield from (cell.strip(" *") for cell in line.strip("|").split("|"))


def values(text: str) -> set[str]:
    return {found.strip() for cell in cells(text) for found in MADE.findall(cell)}


def made_values(study: str) -> set[str]:
    function, names = STUDIES[study]
    module = f"benchmarks.studies.{study}"
    package = (ROOT / "benchmarks" / "studies" / study).is_dir()
    make = getattr(importlib.import_module(f"{module}.show" if package else module), function)
    figures = [json.loads((RESULTS / f"{name}.json").read_text())["figures"] for name in names]
    made = values("\n".join(table.markdown() for one in figures for table in make(one)))
    return made | {text for one in figures for text in spreads(one)}


def spreads(figures: Any) -> Iterator[str]:
    """Mean and deviation, as text, of all pairs below: tables of a study leave some out."""
    if isinstance(figures, list) and len(figures) == 2 and {type(x) for x in figures} == {float}:
        mean, deviation = figures
        yield from (f"{mean:.{n}f} ± {deviation:.{n}f}" for n in (2, 3))
    elif isinstance(figures, dict | list):
        for below in figures.values() if isinstance(figures, dict) else figures:
            yield from spreads(below)


@pytest.mark.parametrize("study", STUDIES)
def test_values_of_a_study_are_those_of_its_file(study: str) -> None:
    shown = values((DOCS / "results" / f"{study}.md").read_text(encoding="utf-8"))
    assert len(shown) >= 10
    assert shown - made_values(study) == set()


def test_the_page_on_budgets_has_the_values_of_its_file() -> None:
    """Regrets and taus of its tables, each as the study has measured it."""
    text = (DOCS / "results" / "deploy.md").read_text(encoding="utf-8")
    figures = json.loads((RESULTS / "deploy.json").read_text(encoding="utf-8"))["figures"]
    known = {f"{value:.{digits}f}" for value in numbers_in(figures) for digits in (2, 3)}
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    shown = {number for line in rows for number in re.findall(r"-?\d+\.\d{2,3}\b", line)}
    assert len(shown) >= 80
    assert shown - known == set()


def test_the_page_of_the_demo_is_computed_from_its_file() -> None:
    """Its table, and the p values of Welch's test: of every search, then of all nine trainings."""
    text = (DOCS / "results" / "demo.md").read_text(encoding="utf-8")
    figures = json.loads((RESULTS / "demo.json").read_text(encoding="utf-8"))["figures"]
    columns: dict[str, list[list[float]]] = {}
    for search in figures["searches"]:
        of_search: dict[str, list[float]] = {}
        for row in search["results"]:
            of_search.setdefault(row["label"], []).append(row["test"]["accuracy"])
        for label, values in of_search.items():
            columns.setdefault(label, []).append(values)
    for of_searches in columns.values():
        of_searches.append([value for values in of_searches for value in values])
    rows = [list(cells(line)) for line in text.splitlines() if line.startswith("| ")]
    names = {"found": "found", "random": "random", "most-flops": "most FL", "largest": "most par"}
    for label, name in names.items():
        shown = next(row[1:] for row in rows if row[0].startswith(name))
        made = [f"{mean(values):.2f} ± {stdev(values):.2f}" for values in columns[label]]
        assert shown == made, label
    for label, digits in (("most-flops", (3, 3, 5)), ("random", (3, 2, 3, 3))):
        for found, other, places in zip(columns["found"], columns[label], digits, strict=False):
            value = ttest_ind(found, other, equal_var=False).pvalue
            assert re.search(rf"\b{value:.{places}f}\b", text), (label, value)


def numbers_in(figures: Any) -> Iterator[float]:
    """All numbers of a file of figures."""
    if isinstance(figures, dict | list):
        for below in figures.values() if isinstance(figures, dict) else figures:
            yield from numbers_in(below)
    elif isinstance(figures, float):
        yield figures


def test_the_index_repeats_the_studies() -> None:
    """A value with its spread stands in the page that its line names."""
    wrong = []
    for line in (DOCS / "results.md").read_text(encoding="utf-8").splitlines():
        named = [t.partition("#")[0] for t in links.targets(line) if ".md" in t]
        if not line.startswith("| ") or not named:
            continue
        text = "\n".join((DOCS / name).read_text(encoding="utf-8") for name in named)
        numbers = re.findall(r"(?<![\w.])-?\d[\d,]*\.\d+", line.partition("](")[0])
        wrong += [(named, number) for number in numbers if number not in text]
    assert wrong == []


def test_every_study_is_in_the_index_and_names_its_command() -> None:
    index = (DOCS / "results.md").read_text(encoding="utf-8")
    for page in sorted((DOCS / "results").glob("*.md")):
        assert f"(results/{page.name})" in index, name_of(page)
        text = page.read_text(encoding="utf-8")
        assert re.search(r"python -m benchmarks\.|recipe=|make demo", text), name_of(page)
        assert "benchmarks/results/" in text, name_of(page)
        assert re.search(r"\b(seed|seeds|rounds|machine)\b", text), name_of(page)


def test_the_picture_of_the_readme_is_drawn_from_the_files() -> None:
    overview = site_module("overview")
    figures = overview.read_figures()
    assert overview.PICTURE.read_text(encoding="utf-8") == overview.draw(figures), (
        "python docs/_site/overview.py draws it anew"
    )
    assert figures["rank ensemble: one-shot, by loss"][0] == max(tau for tau, _ in figures.values())


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) < 650
