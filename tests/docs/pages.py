"""The Markdown files of the repository, and the module that changes their links for the site."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
"""What people read, on GitHub and on the site."""

_BLOCK = re.compile(r"^```(?:bash|console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def site_module(name: str) -> ModuleType:
    """A module of ``docs/_site``, which is no package: MkDocs puts its folder on the path."""
    known = f"docs_site_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, DOCS / "_site" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[known])
    return sys.modules[known]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[list[tuple[str, list[str]]]]:
    """Name and words of every command of this project, for each code block of a page."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [list(_commands_of(block)) for block in found]


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Those of all code blocks of a page."""
    for block in blocks(page):
        yield from block


def _commands_of(block: str) -> Iterator[tuple[str, list[str]]]:
    for line in block.replace("\\\n", " ").splitlines():
        found = re.search(r"(?:\bfewshot (\w+)|(?<!tests/)\btools/(\w+)\.py)(.*)", line)
        # Loops of a shell have words that only it knows.
        if found is None or line.lstrip().startswith(("#", "export ")) or "$" in line:
            continue
        words = shlex.split(found[3], comments=True)
        for stop in (";", "&&", "|", "&", ">"):
            words = words[: words.index(stop)] if stop in words else words
        yield found[1] or found[2], words
