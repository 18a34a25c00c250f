"""Words that stand for several: ``seed=0,1,2 strategy=rea,random`` are six sets of words.

A comma separates values unless it is inside brackets, braces, parentheses or quotes, or the setting
is a path, an address or a description: ``retrain.compare=[random,largest]`` is one value, and
``retrain.compare=[random],[largest]`` two. Needs no torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fewshot_core.errors import RecipeError

Words = tuple[tuple[str, str], ...]

_CLOSING = {"[": "]", "{": "}", "(": ")"}
_QUOTES = "'\""


@dataclass(frozen=True)
class Combination:
    """One of the sets of words.

    Attributes:
        chosen: The words that differ from one combination to the next.
        words: All words, in the order in which they were given.
    """

    chosen: Words
    words: Words


def split_value(text: str) -> list[str]:
    """The values that a text separates by commas; the text alone where it separates none.

    A text whose brackets or quotes do not close is one value, and an error of its own later on.
    """
    parts, begun, open_ones, quote = [], 0, [], ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES and not text[begun:place].strip(" [{(,:"):
            quote = character
        elif character in _CLOSING:
            open_ones.append(_CLOSING[character])
        elif open_ones:
            if character == open_ones[-1]:
                open_ones.pop()
        elif character == ",":
            parts.append(text[begun:place].strip())
            begun = place + 1
    if quote or open_ones:
        return [text]
    return [*parts, text[begun:].strip()] if parts else [text]


def has_commas(pairs: Sequence[tuple[str, str]], is_whole: Callable[[str], bool]) -> bool:
    """Whether the words stand for several sets of words."""
    return any(len(split_value(text)) > 1 and not is_whole(key) for key, text in pairs)


def combine(pairs: Sequence[tuple[str, str]], is_whole: Callable[[str], bool]) -> list[Combination]:
    """The sets of words that words with commas stand for; the last word varies fastest.

    Args:
        pairs: Keys and texts. Of a key that is given twice the last counts.
        is_whole: Whether the values of a key are never separated.

    Raises:
        RecipeError: There is nothing between two commas.
    """
    given: dict[str, str] = {}
    for key, text in pairs:
        given.pop(key, None)  # a word that is given again stands where it was given last
        given[key] = text
    values = {
        key: [text] if is_whole(key) else list(dict.fromkeys(split_value(text)))
        for key, text in given.items()
    }
    for key, texts in values.items():
        if len(texts) > 1 and "" in texts:
            raise RecipeError(
                f"{key}={given[key]} has nothing between two commas",
                fix="leave the comma out, or write none where the setting may be empty",
            )
    swept = {key for key, text in given.items() if len(values[key]) > 1}
    found = []
    for choice in itertools.product(*values.values()):
        words = tuple(zip(values, choice, strict=True))
        found.append(Combination(tuple(word for word in words if word[0] in swept), words))
    return found
