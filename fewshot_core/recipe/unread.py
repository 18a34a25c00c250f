"""What is said of a setting that a run does not read, by the core and by tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from fewshot_core.plugins import find_plugin, names_with
from fewshot_core.recipe.schema import Recipe


@dataclass(frozen=True)
class Unread:
    """A setting that is not read.

    Attributes:
        key: The setting, or a section of which nothing is read.
        because: The choices that decide it, as ``key=value``.
        deciders: Keys of the settings that decide it.
        readers: Which others would read it, as a clause.
    """

    key: str
    because: str
    deciders: tuple[str, ...]
    readers: str


Unreads = Iterator[Unread]


def by_choice(
    section: str, choice: str, chosen: str, table: Mapping[str, Collection[str]]
) -> Unreads:
    """Settings of a section that only some values of a choice read.

    Args:
        section: Its key.
        choice: Key of the choice, in the section or with dots.
        chosen: Its value.
        table: For each setting of the section the values that read it.
    """
    decider = choice if "." in choice else f"{section}.{choice}"
    for name, readers in table.items():
        if chosen not in readers:
            text = readers_of(decider, readers)
            yield Unread(f"{section}.{name}", f"{decider}={chosen}", (decider,), text)


def of_supernets(key: str, recipe: Recipe) -> Unreads:
    """Nothing where supernets are trained, else that ``key`` is theirs."""
    name = recipe.evaluator.name
    evaluator = find_plugin("evaluator", name)
    if evaluator is not None and not evaluator.inherits:
        inheriting = readers_of("evaluator.name", names_with("evaluator", "inherits"))
        readers = f"{inheriting}; others train no supernet"
        yield Unread(key, f"evaluator.name={name}", ("evaluator.name",), readers)


def readers_of(decider: str, values: Collection[str]) -> str:
    """``strategy.name=rea or nsga2 read it``."""
    *others, last = values
    if not others:
        return f"{decider}={last} reads it"
    return f"{decider}={', '.join(others)} or {last} read it"
