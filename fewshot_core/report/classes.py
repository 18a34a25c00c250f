"""The classes of a run's images as its folder keeps them: counts, and a few images of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fewshot_core.data.samples import FILE
from fewshot_core.data.thumbnails import require_thumbnail
from fewshot_core.errors import RunFolderError
from fewshot_core.runs.files import read_json


@dataclass(frozen=True)
class Classes:
    """The classes of a run's images.

    Attributes:
        counts: For each part the number of images of every class.
        samples: ``data:`` addresses of a few training images, by class; some classes have none.
    """

    counts: Mapping[str, Sequence[int]]
    samples: Mapping[int, Sequence[str]]

    def __len__(self) -> int:
        return len(next(iter(self.counts.values())))


def read_classes(run: Path) -> Classes | None:
    """What a run folder keeps; None in one of an earlier version.

    Raises:
        RunFolderError: It is damaged.
    """
    path = run / FILE
    if not path.exists():
        return None
    fix = "delete it; fewshot retrain writes it anew"
    kept = read_json(path, fix)
    try:
        counts = {str(part): [int(n) for n in kept["counts"][part]] for part in kept["counts"]}
        samples = {
            int(one["class"]): [require_thumbnail(text) for text in one["pictures"]]
            for one in kept["samples"]
        }
        (size,) = {len(row) for row in counts.values()}
        if not all(0 <= label < size for label in samples):
            raise ValueError("a class that is none")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged", found=repr(error)[:120], fix=fix) from None
    return Classes(counts, samples)
