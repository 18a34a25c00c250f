"""The pages as they are on GitHub: links lead somewhere, and commands are those of the program."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import torch  # noqa: F401 (a process is started by its import, which recipes may need)

from fewshot_core.commands import retrain
from fewshot_core.commands.command import command_names, find_command
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.sweep import plan_sweep
from fewshot_core.recipe.tool_words import parse_words

from .pages import DOCS, PAGES, ROOT, commands, name_of, site_module

links = site_module("links")


@cache
def anchors_of(page: Path) -> list[str]:
    return list(links.anchors(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for target in links.targets(page.read_text(encoding="utf-8")):
        if links.is_external(target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT):
            wrong.append(target)
        elif anchor and file.suffix == ".md" and anchor not in anchors_of(file):
            wrong.append(f"{target} (there are {', '.join(anchors_of(file))})")
    assert wrong == []


def test_links_of_a_page() -> None:
    text = (
        "[a](b.md#c) and `[code](no.md)`, [`d`](../e.json)\n\n"
        "```text\n[no](no.md)\n```\n![p](q.svg)\n"
    )
    assert list(links.targets(text)) == ["b.md#c", "../e.json", "q.svg"]
    changed = links.rewrite(text, str.upper)
    assert changed == text.replace("b.md#c", "B.MD#C").replace("../e.json", "../E.JSON").replace(
        "q.svg", "Q.SVG"
    )


def test_links_that_leave_the_pages_name_the_repository() -> None:
    def on_site(target: str) -> str:
        return str(links.on_site(target, DOCS, DOCS, "https://code.example/{kind}/main"))

    assert on_site("runs.md#going-on") == "runs.md#going-on"
    assert on_site("../recipes/digits.yaml") == "https://code.example/blob/main/recipes/digits.yaml"
    assert on_site("../recipes") == "https://code.example/tree/main/recipes"
    assert on_site("notebook.ipynb") == "https://code.example/blob/main/docs/notebook.ipynb"
    with pytest.raises(FileNotFoundError, match=r"none\.md"):
        on_site("none.md")


def test_anchors_are_those_of_github() -> None:
    text = "# A `b`: c_d\n## [Link](x.md), 3 x 4\n## Same\n## Same\n```bash\n# no heading\n```\n"
    assert links.anchors(text) == ["a-b-c_d", "link-3-x-4", "same", "same-1"]


def check_words(name: str, words: list[str], own: tuple[str, ...] = ()) -> None:
    """Read the words as the command does, but for the files that they name.

    Args:
        name: The command.
        words: Its words.
        own: Recipes that the page itself writes.
    """
    words = [word for word in words if not word.startswith("--")]
    keys = find_command(name).keys
    if name == "compare":  # which takes folders without a key, too
        words = [word for word in words if "=" in word]
    if name == "retrain":
        # It takes settings of the run's recipe as well; those that may change, it finds out itself.
        keys = retrain.KEYS
        more = [word for word in words if word.partition("=")[0] not in keys]
        check_words("search", more, own)
        words = [word for word in words if word not in more]
    if keys is not None:
        parse_words(words, keys)
        return
    mine = {f"recipe={recipe}" for recipe in own}
    named = any(word.startswith(("recipe=", "images=")) for word in words) and not mine & {*words}
    if not named:  # it goes on with a run, whose recipe is not known here
        words = [word for word in words if word not in mine]
        words = ["recipe=digits", *(w for w in words if not w.startswith(("run=", "from=")))]
    # How many processes there are is for the launcher.
    words = [word for word in words if not re.fullmatch(r"processes=\d+", word)]
    if plan_sweep(words) is None:
        load_recipe(words, drop_unread=not named)


# The commands of that page name modules that it writes; see test_plugins_page.py.
WITH_COMMANDS = [page for page in PAGES if page != DOCS / "plugins.md"]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_every_command_is_one_of_the_program(page: Path) -> None:
    own = tuple(re.findall(r"\b(\w+)\.yaml", page.read_text(encoding="utf-8")))
    own = tuple(name for name in own if not (ROOT / "recipes" / f"{name}.yaml").is_file())
    wrong = []
    for name, words in commands(page):
        if name not in command_names():
            wrong.append(f"fewshot {name}")
            continue
        try:
            check_words(name, words, own)
        except RecipeError as error:
            wrong.append(f"fewshot {name} {' '.join(words)}: {error}")
    assert wrong == []


def test_commands_are_found_and_faults_in_them_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\npip install x\naccelerate launch tools/search.py recipe=digits \\\n"
        "    seed=3  # why\nfewshot retrain run=runs/a && echo done\n```\n"
    )
    assert list(commands(page)) == [
        ("search", ["recipe=digits", "seed=3"]),
        ("retrain", ["run=runs/a"]),
    ]
    for name, word in (("search", "supernet.epoch=3"), ("retrain", "runn=x")):
        with pytest.raises(RecipeError):
            check_words(name, ["recipe=digits", word])
