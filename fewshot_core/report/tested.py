"""What retrained classifiers said of the test images, as run folders keep it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewshot_core.data.thumbnails import require_thumbnail
from fewshot_core.errors import RunFolderError
from fewshot_core.runs.files import read_json
from fewshot_core.runs.retrained import PREDICTIONS


@dataclass(frozen=True)
class TestedImage:
    """A test image, and what a network said of it.

    Attributes:
        index: Its place among the test images.
        target: Its class.
        predicted: The class that the network took it for.
        given: The probability that its class had.
        likely: The probability that the predicted class had.
        picture: A small picture of it as a ``data:`` address.
    """

    index: int
    target: int
    predicted: int
    given: float
    likely: float
    picture: str


@dataclass(frozen=True)
class Tested:
    """What the networks of one label said of the test images.

    Attributes:
        label: What they are: ``found``.
        name: The same in words.
        seeds: How many networks.
        images: Test images of every class.
        right: Of these, those that were named rightly; the networks added up.
        confusions: Images by class and predicted class, where these differ; the networks added up.
        worst: Those that the first network was most wrong about, the worst first.
    """

    label: str
    name: str
    seeds: int
    images: Sequence[int]
    right: Sequence[int]
    confusions: Mapping[tuple[int, int], int]
    worst: Sequence[TestedImage]

    def share(self, label: int) -> float:
        """Share of the images of a class that were named rightly; 0 where it has none."""
        return self.right[label] / max(1, self.seeds * self.images[label])

    def commonest(self) -> list[tuple[tuple[int, int], int]]:
        """The confusions, the commonest first."""
        return sorted(self.confusions.items(), key=lambda one: (-one[1], one[0]))


def read_tested(label: str, name: str, trainings: Sequence[Path]) -> Tested | None:
    """What the networks of one label said.

    Args:
        label: The label.
        name: The same in words.
        trainings: The folders of their trainings, one for each seed.

    Returns:
        None where not every one of them has told, as in a run of an earlier version.

    Raises:
        RunFolderError: A file is damaged.
    """
    paths = [folder / PREDICTIONS for folder in trainings]
    if not paths or not all(path.exists() for path in paths):
        return None
    found = [_read(path) for path in paths]
    first, images = found[0], found[0].images
    if any(one.images != images for one in found):  # a seed was tested on other images
        return None
    confusions: Counter[tuple[int, int]] = Counter()
    for one in found:
        confusions.update(one.confusions)
    right = [sum(counts) for counts in zip(*(one.right for one in found), strict=True)]
    return Tested(label, name, len(found), images, right, confusions, first.worst)


def _read(path: Path) -> Tested:
    kept = read_json(path, fix=f"delete it, and run fewshot retrain run={path.parents[2]} again")
    try:
        images, right = [int(n) for n in kept["images"]], [int(n) for n in kept["right"]]
        confusions = {(int(a), int(b)): int(n) for a, b, n in kept["confusions"]}
        worst = [_image(one) for one in kept["worst"]]
        labels = [*(x for pair in confusions for x in pair)]
        labels += [x for one in worst for x in (one.target, one.predicted)]
        if len(images) != len(right) or not all(0 <= x < len(images) for x in labels):
            raise ValueError("a class that is none")
        _require_sums(images, right, confusions)
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{path} is damaged",
            found=repr(error)[:120],
            fix=f"delete it, and run fewshot retrain run={path.parents[2]} again",
        ) from None
    return Tested("", "", 1, images, right, confusions, worst)


def _require_sums(
    images: Sequence[int], right: Sequence[int], confusions: Mapping[tuple[int, int], int]
) -> None:
    """Raise ``ValueError`` where counts cannot be of these images."""
    wrong = [count - good for count, good in zip(images, right, strict=True)]
    told = [0] * len(images)
    for (label, other), count in confusions.items():
        if count < 1 or label == other:
            raise ValueError("a confusion that is none")
        told[label] += count
    whole = all(0 <= some <= every for some, every in zip(told, wrong, strict=True))
    if min(right, default=0) < 0 or not whole or bool(sum(wrong)) != bool(confusions):
        raise ValueError("counts that do not add up")


def _image(kept: Mapping[str, Any]) -> TestedImage:
    return TestedImage(
        int(kept["image"]),
        int(kept["class"]),
        int(kept["predicted"]),
        float(kept["given"]),
        float(kept["likely"]),
        require_thumbnail(kept["picture"]),
    )
