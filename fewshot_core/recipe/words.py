"""The words of a command line: every setting is written ``key=value``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fewshot_core.errors import RecipeError


def split_words(words: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The ``(key, value)`` pairs of the words, and what is wrong with the others."""
    pairs: list[tuple[str, str]] = []
    problems: list[str] = []
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        key, equals, value = word.partition("=")
        if word.startswith("-"):
            # `--lr 0.1`: the next word is the value and not a fault of its own.
            if not equals and remaining and _is_bare(remaining[0]):
                value = remaining.pop(0)
                word = f"{word} {value}"
            hint = f"{key.lstrip('-').replace('-', '_')}={value or 'VALUE'}"
            problems.append(f"settings are written key=value: write {hint} instead of {word}")
        elif not equals or not key:
            problems.append(f"settings are written key=value: {word!r} is not of that form")
        else:
            pairs.append((key, value))
    return pairs, problems


def plain_path(key: str, text: str) -> Path:
    """The path that ``key=text`` names.

    Raises:
        RecipeError: It is empty or begins with a ``~`` that the shell left standing; a folder of
            that name is never what was meant.
    """
    problem = path_problem(key, text)
    if problem is not None:
        raise RecipeError(problem)
    return Path(text)


def path_problem(key: str, text: str) -> str | None:
    """What is wrong with the path ``text``, if anything."""
    if not text:
        return f"{key}= is empty, a path is needed"
    if text.startswith("~"):
        return f"{key}={text}: the shell did not replace ~, write the whole path"
    return None


def check_path(key: str, value: str | None) -> Iterator[str]:
    """A line for what is wrong with the path that a setting names."""
    problem = None if value is None else path_problem(key, value)
    if problem is not None:
        yield problem


def raise_problems(problems: Sequence[str]) -> None:
    """Raise one error that holds every problem, if there is any."""
    if problems:
        raise RecipeError("; ".join(dict.fromkeys(problems)))


def with_hint(text: str, hint: str) -> str:
    """The text, and the clause of ``nearest`` in brackets where it found something."""
    return f"{text} ({hint})" if hint else text


def _is_bare(word: str) -> bool:
    return "=" not in word and (not word.startswith("-") or _is_number(word))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
