"""Paths in settings: kept absolute, so that a run means the same files wherever it is continued.

A relative path is one from the working directory of the command that gives it. Links are not
resolved, and a ``~`` is left to who reads the setting.
"""

from __future__ import annotations

import re
from glob import escape, has_magic
from os.path import abspath, exists, isabs
from pathlib import Path
from typing import Any

from fewshot_core.recipe.declare import fields_below, place_of, with_values

_REMOTE = re.compile(r"[a-z][a-z0-9+]+:", re.IGNORECASE)
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:|$|\?)([^?]+)(.*)", re.DOTALL)
_CHOICES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_LOCAL_MODEL = "local-dir:"


def absolute(text: str, section: Any = None) -> str:
    """The same file or folder, from the root on.

    ``..`` after a name stays: behind a link it leads elsewhere than the text says.
    """
    if text.startswith("~") or not text:
        return text
    parts = Path(text).parts
    named = [part for part in parts if part not in ("..", "/")]
    first = parts.index(named[0]) if named else len(parts)
    return str(Path(text).absolute()) if ".." in parts[first:] else abspath(text)


def place_of_images(text: str, data: Any) -> str:
    """``data.root`` and ``data.test_root``: not every source has its images in a file."""
    if data.source == "hfds" and not (text.startswith((".", "/")) or exists(text)):
        return text  # a name on the Hub
    return _shards(text) if data.source == "wds" else absolute(text)


def _shards(text: str) -> str:
    """Names of shards with braces and wildcards, which have a meaning of their own."""
    if isabs(text) or _REMOTE.match(text):
        return text
    if first := _CHOICES.match(text):
        choices = ",".join(map(absolute, first[1].split(",")))
        return f"{{{choices}}}{text[first.end() :]}"
    if not has_magic(text) or exists(text):
        return absolute(text)
    # The folder that we are in is no pattern.
    return str(Path(escape(abspath("."))) / text)


def database(url: str, section: Any = None) -> str:
    """``search.storage``: a file of SQLite; other databases are not files."""
    match = _SQLITE.fullmatch(url)
    return url if match is None else f"{match[1]}{absolute(match[2])}{match[3]}"


def is_local_model(name: Any) -> bool:
    """Whether a model of timm is a folder on this machine."""
    return isinstance(name, str) and name.startswith(_LOCAL_MODEL)


def local_model(name: str, section: Any = None) -> str:
    """``retrain.teacher``: a folder, or a model that timm knows by name."""
    if not is_local_model(name):
        return name
    return _LOCAL_MODEL + absolute(name.removeprefix(_LOCAL_MODEL))


def stock_place(text: str, section: Any = None) -> str:
    """``retrain.start``: a word, or ``timm:`` before a folder or a name."""
    kind, colon, name = text.partition(":")
    return f"{kind}{colon}{local_model(name)}"


def weights_place(text: str, section: Any = None) -> str:
    """``supernet.weights``: a file, an address, or a published name."""
    if _REMOTE.match(text) or not ("/" in text or exists(text)):
        return text
    return absolute(text)


def with_absolute_paths(recipe: Any) -> Any:
    """A copy of a recipe with the base put before every path."""
    changed = {}
    for key, field, section in fields_below(recipe):
        place, value = place_of(field), getattr(section, field.name)
        if place is not None and isinstance(value, str) and value:
            changed[key] = place(value, section)
    return with_values(recipe, changed)
