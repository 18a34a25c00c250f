"""What MkDocs calls while it builds the site: pages made from the code, and links that work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import links
import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HOME = "index.md"
WIDE = re.compile(r"results(/\w+)?\.md|reference/recipes\.md")
"""Pages whose tables need the width of the table of contents."""

_PICTURE = re.compile(r'<img alt="[^"]*" src="[^"]*?pictures/(?P<name>[^"]+\.svg)"\s*/?>')

_NAMED = re.compile(r"^(```\w+) ([\w./-]+)$", re.MULTILINE)
"""The opening of a block of code that names its file, which GitHub does not show."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Anchors are those of GitHub, where the same pages are read."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the README and from the code."""
    made = {
        HOME: (ROOT / "README.md").read_text(encoding="utf-8"),
        "reference/settings.md": reference.settings_page(),
        "reference/recipes.md": reference.recipes_page(),
        "reference/api.md": reference.api_page(),
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Point links to files of the repository at the repository."""
    name = page.file.src_uri
    if WIDE.fullmatch(name):
        page.meta["hide"] = ["toc"]  # front matter would be a table on GitHub
    folder = ROOT if name == HOME else (DOCS / name).parent
    repository = f"{config.extra['repository']}/{{kind}}/{config.extra['branch']}"

    def change(target: str) -> str:
        if page.file.generated_by and name != HOME:
            return target  # written for the site
        try:
            changed = links.on_site(target, folder, DOCS, repository)
        except FileNotFoundError as error:
            raise PluginError(f"{name}: {error}") from error
        # The home page is the README, which lies above the others.
        return changed.removeprefix("docs/") if name == HOME else changed

    return _NAMED.sub(r'\g<1> title="\g<2>"', links.rewrite(markdown, change))


def on_page_content(html: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Put drawings into the page, where they follow the colours that the reader chose."""

    def draw(found: re.Match[str]) -> str:
        svg = (DOCS / "pictures" / found["name"]).read_text(encoding="utf-8")
        if 'class="drawing' not in svg:
            return found[0]  # a plot, which has colours of its own
        return f'<span class="frame">{svg[svg.index("<svg") :]}</span>'

    return _PICTURE.sub(draw, html)
