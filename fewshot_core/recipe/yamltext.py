"""YAML as recipes use it.

PyYAML follows YAML 1.1, where ``no`` is false, ``1e-4`` is text and ``1:30`` is ninety. Here only
``true`` and ``false`` are truth values, so that ``precision: no`` means what it says, and every
usual way of writing a number is a number. A key that is given twice is an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from fewshot_core.errors import RecipeError

_FLOAT = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
         |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
         |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own attribute)

    def compose_node(self, parent: Any, index: Any) -> Any:
        # A few lines of them can stand for a value of any size, or for one that holds itself.
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in getattr(node, "value", []):
            key = getattr(key_node, "value", None)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain word", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or this module would read as something other than text."""

    def represent_str(self, data: str) -> Any:
        # PyYAML folds these line breaks into blanks unless they are escaped.
        style = '"' if re.search("[\x85\u2028\u2029]", data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.represent_str)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def read_mapping(path: Path) -> dict[str, Any]:
    """The content of a YAML file that holds ``key: value`` pairs; an empty file holds none.

    Raises:
        RecipeError: The file cannot be read; the line names the file and the place.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise RecipeError(_place(path, error)) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not a text file in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: {str(error)[:120]}") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read", found=error.strerror) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: line 1: a recipe holds `key: value` lines")
    return {str(key): value for key, value in data.items()}


def parse_value(text: str) -> Any:
    """The value of one ``key=value`` word; what is not YAML is plain text (``|conv~0|``)."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def dump(data: Any) -> str:
    """YAML text that :func:`read_mapping` reads back as the same data."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000))


def inline(value: Any) -> str:
    """One value as it is written after ``key=`` on the command line."""
    if value is None:
        return "none"
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10_000)
    return str(text).removesuffix("\n").removesuffix("\n...").strip()


def write_value(value: Any) -> str:
    """The same as people write it: 3 where it is 3.0."""
    return f"{value:g}" if isinstance(value, float) else inline(value)


def _place(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    line = f" line {mark.line + 1}:" if mark is not None else ""
    return f"{path}:{line} {problem}"
