"""The images of a run: found again as they were when it began, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelerate.utils import gather_object

from fewshot_core.data import ImageData, ImageShape, load_images
from fewshot_core.data.inventory import IMAGES, read_inventory, write_inventory
from fewshot_core.errors import DataError
from fewshot_core.runs.files import read_json, write_json

if TYPE_CHECKING:
    from fewshot_core.pipeline.session import Session

DATA = "data.json"
"""The file of a run folder that says what its images are."""


@dataclass(frozen=True)
class ImageFacts:
    """What networks, exports and reports have to know of the images, without reading one.

    Attributes:
        shape: Channels, side and number of classes.
        classes: Names, in the order of the labels.
        mean: Per channel, in units where white is 1.
        std: The same for the standard deviation.
        described: As of :meth:`fewshot_core.data.ImageData.describe`.
    """

    shape: ImageShape
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    described: dict[str, Any]

    @classmethod
    def of(cls, data: ImageData) -> ImageFacts:
        """Those of images that are there."""
        return cls(data.shape, data.classes, data.mean, data.std, data.describe())

    def to_json(self) -> dict[str, Any]:
        """A JSON value."""
        names = {"class_names": list(self.classes), "mean": list(self.mean), "std": list(self.std)}
        return self.described | names

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> ImageFacts | None:
        """What was kept; None of a run of an earlier version, which kept less.

        Raises:
            TypeError: A value is of the wrong kind.
        """
        if not isinstance(found, dict) or "class_names" not in found:
            return None
        names = tuple(str(name) for name in found["class_names"])
        return cls(
            ImageShape(int(found["channels"]), int(found["image_size"]), len(names)),
            names,
            tuple(float(value) for value in found["mean"]),
            tuple(float(value) for value in found["std"]),
            {key: value for key, value in found.items() if key not in _FURTHER},
        )


_FURTHER = ("class_names", "mean", "std")


def open_images(session: Session) -> ImageData:
    """Load the images; of a run that has begun, those that it began with.

    Raises:
        DataError: They cannot be read, or are others by now.
    """
    path = session.folder.file(IMAGES)
    kept = read_inventory(path) if path.exists() else None
    recipe = session.recipe
    with session.accelerator.main_process_first(), session.console.progress("images", 1) as tick:
        data = load_images(recipe.data, recipe.seed, kept=kept)
        if kept is not None:
            kept.require(data.inventory())
        tick(1)
    return session.normalised(data)


def facts_of(session: Session) -> ImageFacts:
    """What the run has kept of its images; of an older or a new run, what they are now."""
    path = session.folder.file(DATA)
    if path.exists():
        try:
            kept = ImageFacts.from_json(read_json(path))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is damaged", found=error, fix="delete it, and run tools/search.py again"
            ) from None
        if kept is not None:
            return kept
    return ImageFacts.of(session.data)


def agree_on_images(session: Session) -> None:
    """Require that all processes see the same images, with the same labels and parts.

    Raises:
        DataError: One sees others than the main process.
    """
    accelerator = session.accelerator
    if accelerator.num_processes == 1:
        return
    mine = session.data.inventory()
    every: list[str] = gather_object([mine.digest])
    other = next((rank for rank, digest in enumerate(every) if digest != every[0]), None)
    if other is not None:
        raise DataError(
            "the processes of this launch see different images",
            found=f"process {other} finds others than process 0 at {session.recipe.data.root}",
            fix="copy the same images to every machine, or put them on storage that all share",
        )


def keep_images(session: Session) -> None:
    """Note what the images are, unless the run has done so."""
    folder = session.folder
    if not folder.main:
        return
    if not folder.file(IMAGES).exists():
        write_inventory(folder.file(IMAGES), session.data.inventory())
    facts = ImageFacts.of(session.data).to_json()
    if not folder.file(DATA).exists() or read_json(folder.file(DATA)) != facts:
        write_json(folder.file(DATA), facts)


def warnings_of(data: ImageData) -> list[str]:
    """Lines about images for the user to know before anything is trained."""
    lines = [data.left_out] if data.left_out else []
    repeated = data.inventory().repeated()
    if repeated:
        lines.append(
            f"{repeated:,} of the test images are the same files as training or validation images: "
            "test figures will be too high"
        )
    return lines
