"""Classes found from labels that are numbers or names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fewshot_core.data.problems import Problems
from fewshot_core.data.rule import name_problem, show_name, sort_naturally
from fewshot_core.errors import DataError


def number_classes(where: str, values: Sequence[int | str]) -> tuple[tuple[str, ...], Tensor]:
    """Class names and labels, of the classes that occur, in the order in which folders stand.

    Args:
        where: Where the labels are, for the message.
        values: One for each image; the name of a class that is a number is that number.

    Returns:
        The names, and int64 ``[N]``, indices into them.

    Raises:
        DataError: There are fewer than two classes, or the name of one cannot be written.
    """
    texts = [str(value) for value in values]
    names = tuple(sort_naturally(set(texts)))
    check_classes(where, names)
    index = {name: i for i, name in enumerate(names)}
    return names, torch.tensor([index[text] for text in texts], dtype=torch.int64)


def check_classes(where: str, names: Sequence[str]) -> None:
    """Require two classes, with names that can be written.

    Raises:
        DataError: There are fewer, or a name has more than 255 characters, none, control characters
            or bytes that are not UTF-8.
    """
    problems = [(name, problem) for name in names if (problem := name_problem(name))]
    Problems(_unwritable(where, *problem) for problem in problems).check()
    if len(names) < 2:
        found = ", ".join(map(show_name, names)) or "none"
        raise DataError(f"{where} has fewer than two classes", found=found)


def _unwritable(where: str, name: str, problem: str) -> DataError:
    return DataError(
        f"{where}: the class '{show_name(name[:80])}' {problem}",
        allowed="UTF-8 without control characters, 1 to 255 characters",
        fix="rename the class: the files of a trained network hold its name",
    )
