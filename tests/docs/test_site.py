"""The documentation site, built offline: it is complete, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from functools import cache
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

from fewshot_core.plugins import KINDS, plugins
from fewshot_core.recipe.declare import fields_below
from fewshot_core.recipe.find import list_recipes
from fewshot_core.recipe.schema import Recipe
from fewshot_core.tasks import load_description

from ..shared import once
from .pages import DOCS, ROOT

pytestmark = pytest.mark.skipif(
    find_spec("material") is None or find_spec("mkdocstrings") is None,
    reason="the site needs the packages of the group docs: pip install -e '.[docs]'",
)

OFFLINE = """
import runpy, socket, sys

def refuse(*arguments, **more):
    raise OSError("the site is built offline")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.argv = ["mkdocs", *sys.argv[1:]]
runpy.run_module("mkdocs", run_name="__main__")
"""

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "srcset", "object": "data"}
"""Attributes that name what a browser loads without being asked; of a link see `Page`."""


class Page(HTMLParser):
    """What a page has and wants.

    Attributes:
        ids: Its anchors.
        links: What a reader may follow.
        loads: What a browser loads.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.ids |= {found[key] for key in ("id", "name") if key in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and found.get("rel") not in ("next", "prev", "canonical", "alternate"):
            self.loads.append(found.get("href", ""))
        if found.get(LOADED.get(tag, "")):
            self.loads.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "docs_site", build)


def build(folder: Path) -> None:
    words = ["build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def is_elsewhere(target: str) -> bool:
    return re.match(r"([a-z]+:)?//|mailto:", target) is not None


def test_every_link_and_anchor_of_the_site(site: Path) -> None:
    wrong = []
    for path in sorted(site.rglob("*.html")):
        if path.name == "404.html":  # it may be shown at any address, so that its own are absolute
            continue
        for target in [*read(path).links, *read(path).loads]:
            if is_elsewhere(target) or target.startswith("data:"):
                continue
            place, _, anchor = target.partition("#")
            file = (path.parent / place.partition("?")[0]).resolve() if place else path
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file():
                wrong.append(f"{path.relative_to(site)}: {target}")
            elif anchor and file.suffix == ".html" and anchor not in read(file).ids:
                wrong.append(f"{path.relative_to(site)}: no anchor {target}")
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert [load for load in read(path).loads if is_elsewhere(load)] == [], path
        text = path.read_text(encoding="utf-8")
        # With an address of the repository Material asks GitHub for its stars, and a diagram of
        # mermaid or a polyfill comes from a server.
        assert 'data-md-component="source"' not in text
        assert 'class="mermaid"' not in text
        assert "polyfill" not in text
    for path in site.rglob("*.css"):
        urls = re.findall(r"(?:@import|url\()\s*['\"]?([^'\")\s]+)", path.read_text("utf-8"))
        assert [url for url in urls if is_elsewhere(url)] == [], path


def test_every_block_of_code_is_one(site: Path) -> None:
    broken = [p.name for p in site.rglob("*.html") if "```" in p.read_text(encoding="utf-8")]
    assert broken == []
    shown = (site / "your_space.html").read_text(encoding="utf-8")
    assert '<span class="filename">kernel_search/network.py</span>' in shown


def test_every_page_is_in_the_site_and_in_its_search(site: Path) -> None:
    names = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    for name in {*names, "index.html", "reference/recipes.html", "reference/settings.html"}:
        assert (site / name).is_file()
        assert f'"location":"{name}' in index.replace(": ", ":"), name


def test_the_reference_has_every_recipe_setting_and_plugin(site: Path) -> None:
    recipes, settings = (
        (site / "reference" / f"{name}.html").read_text(encoding="utf-8")
        for name in ("recipes", "settings")
    )
    assert [name for name, _ in list_recipes(ROOT / "recipes") if f">{name}<" not in recipes] == []
    keys = [key for key, _, _ in fields_below(Recipe())]
    keys = [key for key in keys if not key.startswith(("strategy.", "evaluator."))]
    assert [key for key in keys if f"<code>{key}</code>" not in settings] == []
    names = [name for kind in KINDS for name in plugins(kind)]
    assert [name for name in names if f"<code>{name}</code>" not in settings] == []
    prefixes = {"splitter": "split", "paths": "supernet.paths"}
    own = [
        f"{prefixes.get(kind, kind)}.{field.name}"
        for kind in KINDS
        for entry in plugins(kind).values()
        for field in fields(entry.settings)
    ]
    chosen = {"strategy.name", "evaluator.name"}  # the name of each is in the first column
    tasks = [load_description(task).sections for task in ("cifar10", "imagenet", "autogan")]
    own += [f"{name}.{f.name}" for task in tasks for name in task for f in fields(task[name])]
    assert [key for key in own if f"<code>{key}</code>" not in settings and key not in chosen] == []


def test_the_api_page_has_every_public_name(site: Path) -> None:
    import fewshot

    page = read(site / "reference" / "api.html")
    made = [getattr(fewshot, name) for name in fewshot.__all__]
    assert [one for one in made if f"{one.__module__}.{one.__qualname__}" not in page.ids] == []
    assert {"fewshot_core.api.run.Run.retrain", "fewshot_core.api.run.Run.best"} <= page.ids
