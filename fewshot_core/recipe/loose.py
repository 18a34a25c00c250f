"""Recipes before it is known which plug-ins they choose, and after.

Which settings ``strategy`` has depends on ``strategy.name``, which may come from any file or word.
So values are merged into a *loose* recipe, whose sections have the settings of every plug-in, and
:func:`settle` then makes the recipe that the choices mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from fewshot_core.plugins import Plugin, find_plugin, plugins
from fewshot_core.recipe.declare import check_choice
from fewshot_core.recipe.keys import children, element_section, section_type, shorthand
from fewshot_core.recipe.schema import Recipe, SplitSettings, recipe_type, split_type
from fewshot_core.recipe.trainings import SupernetSettings
from fewshot_core.recipe.unread import Unread, readers_of

Sections = tuple[tuple[str, type], ...]


def loose_type(sections: Mapping[str, type], own: Sequence[Plugin] = ()) -> type:
    """The class of recipes that have the settings of every plug-in.

    Args:
        sections: The task's sections, by name.
        own: Plug-ins that are named by a dotted path.
    """
    return _loose_recipe(tuple(sections.items()), tuple(own))


@cache
def _loose_recipe(sections: Sections, own: tuple[Plugin, ...]) -> type:
    more = dict(sections)
    for name, kinds in _strategy_sections(own).items():
        more[name] = _merge(name, kinds)
    return _loose(recipe_type(more), own)


def _strategy_sections(own: Sequence[Plugin] = ()) -> dict[str, list[type]]:
    found: dict[str, list[type]] = {}
    for entry in _every("strategy", own):
        for name, kind in entry.sections.items():
            found.setdefault(name, []).append(kind)
    return found


def _every(kind: str, own: Sequence[Plugin]) -> list[Plugin]:
    """All plug-ins of a kind: the known ones, and those that are named by a dotted path."""
    return [*plugins(kind).values(), *(entry for entry in own if entry.kind == kind)]


def _loose(section: type, own: Sequence[Plugin], chosen: str | None = None) -> type:
    """A copy of a section in which it and those below have the settings of every plug-in.

    Args:
        section: The section.
        own: Plug-ins that are named by a dotted path.
        chosen: The default of the choice, where the section has one.
    """
    kinds, kind = [section], getattr(section, "kind", None)
    if kind is not None:
        entries = {entry.name: entry for entry in _every(kind, own)}
        first = [entries[chosen]] if chosen in entries else []
        kinds += [entry.settings for entry in [*first, *entries.values()]]
    made: dict[str, tuple[Any, Any]] = {}
    for one in kinds:
        for field in dataclasses.fields(one):
            if field.name not in made:
                made[field.name] = _loose_field(field, children(one)[field.name], own)
    name = shorthand(section)
    if kind is not None and chosen is not None and name is not None:
        made[name] = (str, dataclasses.field(default=chosen, metadata=made[name][1].metadata))
    return _make(section.__name__, made, shorthand=name, kind=kind)


def _loose_field(
    field: dataclasses.Field[Any], kind: Any, own: Sequence[Plugin]
) -> tuple[Any, Any]:
    """The type and the definition of a field."""
    section, element = section_type(kind), element_section(kind)
    if section is not None:
        assert field.default_factory is not dataclasses.MISSING
        name = shorthand(section)
        chosen = getattr(field.default_factory(), name) if name is not None else None
        inner = _loose(section, own, chosen)
        return inner, dataclasses.field(default_factory=inner, metadata=field.metadata)
    if element is not None:
        own_kind = getattr(element, "kind", None)
        inner = _loose(element, own, "none" if own_kind else None)
        return list[inner], dataclasses.field(default_factory=list, metadata=field.metadata)  # type: ignore[valid-type]
    return kind, _copy_field(field)


def _copy_field(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=field.default_factory, metadata=field.metadata)
    return dataclasses.field(default=field.default, metadata=field.metadata)


def _merge(name: str, kinds: Sequence[type]) -> type:
    """A section with the fields of several; of a field that two have the first counts."""
    made: dict[str, tuple[Any, Any]] = {}
    for one in kinds:
        for field in dataclasses.fields(one):
            made.setdefault(field.name, (children(one)[field.name], _copy_field(field)))
    return _make(name, made)


def _make(name: str, made: Mapping[str, tuple[Any, Any]], **attributes: Any) -> type:
    fields = [(key, kind, definition) for key, (kind, definition) in made.items()]
    return dataclasses.make_dataclass(name, fields, namespace=attributes)


def settle(loose: Any, given: Collection[str], sections: Mapping[str, type]) -> Recipe:
    """The recipe that the choices of a loose one mean.

    Args:
        loose: An instance of :func:`loose_type`; a choice that does not exist is left as it is.
        given: The keys that somebody gave; all others have the default of the chosen plug-in.
        sections: The task's sections, by name.
    """
    strategy = find_plugin("strategy", loose.strategy.name)
    chosen = {**sections, **(strategy.sections if strategy is not None else {})}
    recipe = _settle(recipe_type(chosen), loose, given, "")
    assert isinstance(recipe, Recipe)
    return recipe


def _settle(section: type, loose: Any, given: Collection[str], key: str) -> Any:
    section = _chosen_type(section, loose)
    values: dict[str, Any] = {}
    for name, kind in children(section).items():
        path = f"{key}.{name}" if key else name
        value = getattr(loose, name)
        inner, element = section_type(kind), element_section(kind)
        if inner is not None:
            values[name] = _settle(inner, value, given, path)
        elif element is not None:
            values[name] = [
                _settle(element, item, given, f"{path}[{index}]")
                for index, item in enumerate(value)
            ]
        elif path in given or name == shorthand(section):
            values[name] = value
    return section(**values)


def _chosen_type(section: type, loose: Any) -> type:
    """The class of a section once its choice is known."""
    kind, name = getattr(section, "kind", None), shorthand(section)
    if kind is None or name is None:
        return section
    entry = find_plugin(kind, getattr(loose, name))
    if entry is None:  # the choice is a fault of its own, see check_choices
        return section
    return split_type(entry.settings) if issubclass(section, SplitSettings) else entry.settings


def check_choices(recipe: Any, key: str = "") -> Iterator[str]:
    """A line for each choice of a plug-in that does not exist.

    Args:
        recipe: A recipe or a section of one.
        key: Its key.
    """
    kind, name = getattr(type(recipe), "kind", None), shorthand(type(recipe))
    if kind is not None and name is not None:
        value = getattr(recipe, name)
        if find_plugin(kind, value) is None:
            yield from check_choice(f"{key}.{name}", value, plugins(kind))
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        path = f"{key}.{field.name}" if key else field.name
        for item, place in _sections_in(value, path):
            yield from check_choices(item, place)


def unread_of_others(
    recipe: Any, loose: Any, own: Sequence[Plugin] = (), key: str = ""
) -> Iterator[Unread]:
    """What only plug-ins read that the recipe does not choose.

    Args:
        recipe: A settled recipe, or a section of one.
        loose: What it was settled from.
        own: Plug-ins that are named by a dotted path.
        key: The key of the section.
    """
    kind, name = getattr(type(recipe), "kind", None), shorthand(type(recipe))
    known = {field.name for field in dataclasses.fields(recipe)}
    if kind is not None and name is not None and find_plugin(kind, getattr(recipe, name)):
        because = f"{key}.{name}={getattr(recipe, name)}"
        decider = f"{key.partition('[')[0]}" if "[" in key else f"{key}.{name}"
        for field in dataclasses.fields(loose):
            if field.name not in known:
                readers = [e.name for e in _every(kind, own) if _has(e.settings, field.name)]
                text = readers_of(f"{key}.{name}", readers)
                text += _meant(recipe, kind, field.name)
                yield Unread(f"{key}.{field.name}", because, (decider,), text)
    if isinstance(recipe, Recipe):
        yield from _unread_sections(recipe, loose, own)
    for field in dataclasses.fields(recipe):
        path = f"{key}.{field.name}" if key else field.name
        mine, theirs = getattr(recipe, field.name), getattr(loose, field.name)
        pairs = zip(_sections_in(mine, path), _sections_in(theirs, path), strict=True)
        for (one, place), (other, _) in pairs:
            yield from unread_of_others(one, other, own, place)


def _unread_sections(recipe: Recipe, loose: Any, own: Sequence[Plugin]) -> Iterator[Unread]:
    """Settings of sections that belong to some strategies."""
    chosen = find_plugin("strategy", recipe.strategy.name)
    if chosen is None:
        return
    because = f"strategy.name={recipe.strategy.name}"
    for section in _strategy_sections(own):
        mine = getattr(recipe, section, None)
        known = set() if mine is None else {field.name for field in dataclasses.fields(mine)}
        for field in dataclasses.fields(getattr(loose, section)):
            if field.name in known:
                continue
            readers = [
                entry.name
                for entry in _every("strategy", own)
                if section in entry.sections and _has(entry.sections[section], field.name)
            ]
            text = readers_of("strategy.name", readers)
            if _has(chosen.settings, field.name):
                text += f"; did you mean strategy.{field.name}?"
            yield Unread(f"{section}.{field.name}", because, ("strategy.name",), text)


def _meant(settings: Any, kind: str, name: str) -> str:
    """A clause that names a setting of a like name which the chosen plug-in does read."""
    entry = find_plugin(kind, getattr(settings, str(shorthand(type(settings)))))
    assert entry is not None
    found = [f"{key}.{name}" for key, section in entry.sections.items() if _has(section, name)]
    if entry.inherits and _has(SupernetSettings, name):
        found.append(f"supernet.{name}")
    return f"; did you mean {found[0]}?" if found else ""


def _has(section: type, name: str) -> bool:
    return name in {field.name for field in dataclasses.fields(section)}


def _sections_in(value: Any, key: str) -> Iterator[tuple[Any, str]]:
    """The section that a value is, or those that it lists, with their keys."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if dataclasses.is_dataclass(item):
                yield item, f"{key}[{index}]"
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value, key
