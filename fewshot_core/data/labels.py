"""Classes found from labels that are numbers or names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.utils.misc import natural_key
from torch import Tensor

from fewshot_core.errors import DataError


def numbered(where: str, values: Sequence[int | str]) -> tuple[tuple[str, ...], Tensor]:
    """Class names and labels, of the classes that occur, in the order in which folders stand.

    Args:
        where: Where the labels are, for the message.
        values: One for each image; the name of a class that is a number is that number.

    Returns:
        The names, and int64 ``[N]``, indices into them.

    Raises:
        DataError: There are fewer than two classes.
    """
    names = tuple(sorted({str(value) for value in values}, key=natural_key))
    check_classes(where, names)
    index = {name: i for i, name in enumerate(names)}
    return names, torch.tensor([index[str(value)] for value in values], dtype=torch.int64)


def check_classes(where: str, names: Sequence[str]) -> None:
    """Require two classes.

    Raises:
        DataError: There are fewer.
    """
    if len(names) < 2:
        raise DataError(f"{where} has fewer than two classes", found=", ".join(names) or "none")
