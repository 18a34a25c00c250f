"""The pages of the reference, made from the code whenever the site is built."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fewshot
from fewshot_core.plugins import KINDS, Plugin, plugins
from fewshot_core.recipe.declare import choices_of, help_of, range_of
from fewshot_core.recipe.find import find_recipe, list_recipes
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.short_forms import short_forms_help
from fewshot_core.recipe.yamltext import inline
from fewshot_core.tasks import load_description, load_task

ROOT = Path(__file__).resolve().parents[2]

TASKS = {
    "cifar10": "Cells for image classification",
    "imagenet": "Mobile networks",
    "autogan": "Generators",
}
"""The tasks that come along, by what they search."""

KINDS_OF_PLUGINS = (
    ("strategy", "Strategies: `strategy`"),
    ("evaluator", "Evaluators: `evaluator`"),
    ("splitter", "Splitters: `split.by`"),
    ("paths", "Path policies: `supernet.paths`"),
)
"""Kinds of plug-ins, with the heading of each."""


def recipes_page() -> str:
    """Every recipe: what it is for, what it takes, and how many architectures it searches."""
    rows: dict[str, list[Sequence[str]]] = {task: [] for task in TASKS}
    for name, about in list_recipes(ROOT / "recipes"):
        path = find_recipe(name, ROOT / "recipes")
        recipe = load_recipe([f"recipe={name}"], recipes_dir=ROOT / "recipes").recipe
        space = load_task(recipe.task).space(recipe)
        rows[recipe.task].append((f"`{name}`", about, architectures(space.size()), cost(path)))
    parts = [
        "# Recipes",
        "A recipe is a YAML file that describes a run. Any setting is overridden on the command "
        "line: `fewshot search recipe=digits strategy=tpe search.trials=100`. "
        "`fewshot search --list-recipes` prints this list, and "
        "`fewshot search recipe=NAME --print-recipe` everything that one of them sets.",
    ]
    for task, found in rows.items():
        head = ("recipe", "what it is for", "architectures", "what it takes")
        parts += [f"## {TASKS[task]}: `task={task}`", table(head, found)]
    return "\n\n".join(parts) + "\n"


def cost(path: Path) -> str:
    """What the comment at the head of a recipe says about its cost, as one paragraph."""
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").removeprefix(" "))
    # The paragraph ends at an empty line; indented lines are commands, and what leads to them.
    found = re.search(r"^Cost: (.*?)(?:\n\n|\n  |\Z)", "\n".join(comment), re.M | re.S)
    if found is None:
        raise ValueError(f"{path} does not say what it costs (a comment `# Cost: ...`)")
    said = " ".join(found[1].split())
    said = said[: said.rindex(".") + 1]
    return linked(said[:1].upper() + said[1:])


def linked(text: str) -> str:
    """The text with links to the pages that it names."""
    return re.sub(r"\bdocs/(\w+)\.md\b", r"[\1](../\1.md)", text)


def _short_form(about: str) -> str:
    return linked(re.sub(r"(?<!\.) Short for", "; short for", about))


def architectures(size: int) -> str:
    """A number of architectures: exact where one reads it, otherwise the power of ten."""
    if size < 10_000_000:
        return f"{size:,}"
    mantissa, _, exponent = f"{size:.1e}".partition("e")
    return f"{mantissa} · 10<sup>{int(exponent)}</sup>"


def settings_page() -> str:
    """Every setting with its default, what it may be, and what it means."""
    parts = [
        "# All settings",
        "Every setting with its default. Give one as `key=value` on the command line or in a "
        "YAML file; [Settings](../settings.md) has the rules. `fewshot search --help "
        "recipe=NAME` prints the same list with the values of a recipe.",
        "## Short forms",
        table(
            ("word", "meaning"), [(code(w), _short_form(about)) for w, about in short_forms_help()]
        ),
        "## The run",
        section_table(Recipe(), ""),
    ]
    parts += list(_nested(Recipe(), ""))
    for kind, heading in KINDS_OF_PLUGINS:
        parts += list(_plugins(kind, heading))
    for task, about in TASKS.items():
        parts.append(f"## {about}: `task={task}`")
        for name, section in load_description(task).sections.items():
            parts += [f"### `{name}` of `{task}`", section_table(section(), f"{name}.")]
            parts += list(_nested(section(), f"{name}.", level=4))
    return "\n\n".join(part for part in parts if part) + "\n"


def _nested(section: Any, prefix: str, level: int = 2) -> Iterator[str]:
    """Heading and table of each section below, but for those that a plug-in decides."""
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if not is_section(value) or field.name in ("strategy", "evaluator"):
            continue
        key = f"{prefix}{field.name}"
        yield f"{'#' * level} `{key}`"
        yield summary(type(value))
        yield section_table(value, f"{key}.")
        yield from _nested(value, f"{key}.", level + 1)


def _plugins(kind: str, heading: str) -> Iterator[str]:
    """The plug-ins of a kind, and the settings of each."""
    found = plugins(kind)
    yield f"## {heading}"
    yield table(
        ("name", "what it is"), [(f"`{name}`", entry.about) for name, entry in found.items()]
    )
    prefix = {"splitter": "split", "paths": "supernet.paths"}.get(kind, kind)
    common = set.intersection(*(_names(entry) for entry in found.values()))
    first = next(iter(found.values())).default()
    shared = rows_of(first, f"{prefix}.", common - {KINDS[kind].choice})
    if shared:
        yield "All of them read:"
        yield table(_HEAD, shared)
    rows = [
        (f"`{name}`", *row)
        for name, entry in found.items()
        for row in rows_of(entry.default(), f"{prefix}.", _names(entry) - common)
    ]
    if rows:
        yield "And some have settings of their own:"
        yield table(("name", *_HEAD), rows)


def _names(entry: Plugin) -> set[str]:
    return {field.name for field in dataclasses.fields(entry.settings)}


_HEAD = ("setting", "default", "what it is")


def section_table(section: Any, prefix: str) -> str:
    """The values of a section as a table; empty where it has none."""
    rows = rows_of(section, prefix, {field.name for field in dataclasses.fields(section)})
    return table(_HEAD, rows) if rows else ""


def rows_of(section: Any, prefix: str, names: set[str]) -> list[Sequence[str]]:
    """A row for each value of a section that is among the names."""
    kind = getattr(section, "kind", None)
    known = " | ".join(plugins(kind)) if kind is not None else ""
    rows: list[Sequence[str]] = []
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if field.name not in names or is_section(value):
            continue
        about = [help_of(field).replace("{names}", known), *_limits(field, help_of(field))]
        rows.append(
            (code(f"{prefix}{field.name}"), code(_shown(value)), "; ".join(filter(None, about)))
        )
    return rows


def _limits(field: Any, about: str) -> Iterator[str]:
    allowed = range_of(field)
    if allowed:
        yield str(allowed)
    choices = choices_of(field)
    if choices and not all(choice in about for choice in choices):
        yield " | ".join(choices)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        value = [dataclasses.asdict(item) if is_section(item) else item for item in value]
    return "" if value == "" else inline(value)


def is_section(value: Any) -> bool:
    """Whether a value is a section of a recipe."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def summary(section: type) -> str:
    """The first line of a section's docstring; a dataclass without one has its signature for it."""
    text = (inspect.getdoc(section) or "").partition("\n")[0]
    return "" if text.startswith(f"{section.__name__}(") else text


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def code(text: str) -> str:
    """The text as code; nothing where it is empty."""
    return f"`{text}`" if text else ""


def api_page() -> str:
    """The public names, each with a directive that mkdocstrings turns into its documentation."""
    first = ["search", "open", "Run"]
    order = [getattr(fewshot, name) for name in dict.fromkeys([*first, *fewshot.__all__])]
    parts = [
        "# The API in full",
        "What `import fewshot` offers, from its docstrings. [The Python API](../api.md) shows it "
        "at work, with examples.",
        *(f"::: {made.__module__}.{made.__qualname__}" for made in order),
    ]
    return "\n\n".join(parts) + "\n"
