"""Taking over the settings of files and overrides, one by one, into the typed recipe.

OmegaConf does the merging and the type checks. It stops at the first fault; here each key is
handed over by itself, so that one run shows everything that is wrong.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fewshot_core.recipe.declare import may_be_bare, may_be_size
from fewshot_core.recipe.keys import (
    Layout,
    children,
    element_section,
    is_scalar,
    section_type,
    shorthand,
    takes_mapping,
    takes_none,
    type_text,
)
from fewshot_core.recipe.layers import Layer
from fewshot_core.recipe.words import with_hint
from fewshot_core.recipe.yamltext import inline

_SIZE = re.compile(r"^([0-9]*\.?[0-9]+)\s*([kKmMgG])$")
_FACTOR = {"k": 1e3, "m": 1e6, "g": 1e9}


def new_config(section: type) -> DictConfig:
    """The defaults of a section, for a :class:`Merger` to change."""
    return copy.deepcopy(_defaults(section))


@cache
def _defaults(section: type) -> DictConfig:
    # It takes five times as long to make as to copy, and most of the time of reading a recipe.
    config: DictConfig = OmegaConf.structured(section)
    return config


class Merger:
    """Writes settings into an OmegaConf recipe and gathers what is wrong with them.

    Args:
        layout: The keys that exist.
        config: The recipe with its defaults; changed in place.

    Attributes:
        problems: A line for each thing that is wrong.
        layers: What was taken over, in this order.
        given: The settings that were given, also those of elements of lists: ``then[0].by``.
    """

    def __init__(self, layout: Layout, config: DictConfig) -> None:
        self.problems: list[str] = []
        self.layers: list[Layer] = []
        self.given: set[str] = set()
        self._layout = layout
        self._config = config
        self._origin = ""

    def add_file(self, path: Path, content: Mapping[str, Any], *, resolved: bool = False) -> None:
        """Take over the content of a recipe file; ``resolved``: see :class:`Layer`."""
        self._add(f"{path}: ", [content], resolved)

    def add_overrides(self, words: Iterable[tuple[str, Any]]) -> None:
        """Take over ``key=value`` words; of two about one setting the last counts."""
        self._add("", [{word: value} for word, value in words])

    def result(self) -> Any:
        """The recipe as it is now, as an instance of the layout's class."""
        return OmegaConf.to_object(self._config)

    def _add(self, origin: str, parts: Iterable[Mapping[str, Any]], resolved: bool = False) -> None:
        self._origin = origin
        given: dict[str, Any] = {}
        for part in parts:
            given.update(self._leaves("", self._layout.recipe, part))
        self.layers.append(Layer(origin, frozenset(given), resolved))
        self._write(self._config, "", given.items())

    def _problem(self, text: str) -> None:
        self.problems.append(f"{self._origin}{text}")

    def _leaves(self, key: str, kind: Any, value: Any) -> Iterator[tuple[str, Any]]:
        """The ``(key, value)`` pairs below ``key``, with shorthands and sizes written out."""
        section = section_type(kind)
        if section is None:
            yield from self._leaf(key, kind, value)
        elif isinstance(value, Mapping):
            inner = children(section)
            for name, item in value.items():
                head, _, rest = str(name).partition(".")
                path = f"{key}.{head}" if key else head
                if head not in inner:
                    self._refuse_unknown(f"{path}.{rest}" if rest else path)
                else:
                    yield from self._leaves(path, inner[head], {rest: item} if rest else item)
        elif (field := shorthand(section)) is not None and is_scalar(value):
            yield f"{key}.{field}", value
        else:
            example = f"{key}.{next(iter(children(section)))}"
            self._problem(f"{key}={inline(value)}: {key} is a section, set {example} and the like")

    def _leaf(self, key: str, kind: Any, value: Any) -> Iterator[tuple[str, Any]]:
        if _is_special(value):
            # OmegaConf would read the environment or another key, or call the setting missing.
            self._problem(f"{key}={inline(value)}: a recipe holds plain values, no ${{...}} or ???")
        elif isinstance(value, Mapping) and not takes_mapping(kind):
            self._wrong_type(key, value)
        elif (element := element_section(kind)) is not None and isinstance(value, list):
            yield (
                key,
                [
                    self._element(f"{key}[{index}]", element, item)
                    for index, item in enumerate(value)
                ],
            )
        elif isinstance(value, str) and value.lower() == "none" and takes_none(kind):
            yield key, None
        elif self._says(key, may_be_size):
            yield key, _size(value)
        elif isinstance(value, str) and self._says(key, may_be_bare):
            parts = [part.strip() for part in value.split(",")]
            yield key, [] if value.lower() == "none" else parts
        else:
            yield key, value

    def _says(self, key: str, says: Callable[[dataclasses.Field[Any]], bool]) -> bool:
        """Whether the field of a key says something of itself."""
        section: Any = self._layout.recipe
        *sections, name = key.split(".")
        for part in sections:
            section = section_type(children(section).get(part, Any))
            if section is None:  # an element of a list, whose keys have other names
                return False
        found = [field for field in dataclasses.fields(section) if field.name == name]
        return bool(found) and says(found[0])

    def _element(self, key: str, section: type, value: Any) -> DictConfig:
        config = new_config(section)
        self._write(config, key, self._leaves(key, section, value))
        return config

    def _write(self, config: DictConfig, prefix: str, pairs: Iterable[tuple[str, Any]]) -> None:
        for key, value in pairs:
            self.given.add(key)
            try:
                OmegaConf.update(config, key.removeprefix(prefix).lstrip("."), value)
            except OmegaConfBaseException:
                self._wrong_type(key, value)

    def _wrong_type(self, key: str, value: Any) -> None:
        self._problem(f"{key}={inline(value)} is not {type_text(self._type_of(key))}")

    def _type_of(self, key: str) -> Any:
        kind: Any = self._layout.recipe
        for part in re.sub(r"\[[0-9]+\]", ".[]", key).split("."):
            section = section_type(kind)
            if part == "[]":
                kind = element_section(kind)
            elif section is not None:
                kind = children(section).get(part, Any)
        return kind

    def _refuse_unknown(self, key: str) -> None:
        self._problem(with_hint(f"unknown setting {key!r}", self._layout.suggest(key)))


def _size(value: Any) -> Any:
    """``300M`` as 300000000.0; anything else is left to the type check."""
    match = _SIZE.match(value) if isinstance(value, str) else None
    return float(match[1]) * _FACTOR[match[2].lower()] if match else value


def _is_special(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_is_special(item) for item in value.values())
    if isinstance(value, list):
        return any(_is_special(item) for item in value)
    return isinstance(value, str) and ("${" in value or value == "???")
