"""The images of a run: found again as they were when it began, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object

from fewshot_core.data import ImageData, ImageShape, load_images
from fewshot_core.data.inventory import IMAGES, read_inventory, write_inventory
from fewshot_core.data.samples import FILE, describe_classes
from fewshot_core.errors import DataError
from fewshot_core.recipe.fitting import HELD_LEAST, standard_error
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import read_json, write_json, write_text
from fewshot_core.runs.folder import RunFolder

DATA = "data.json"
"""The file of a run folder that says what its images are."""

_FURTHER = ("class_names", "mean", "std")


@dataclass(frozen=True)
class ImageFacts:
    """What networks, exports and reports have to know of the images, without reading one.

    Attributes:
        shape: Channels, side and number of classes.
        classes: Names, in the order of the labels.
        mean: The mean of each channel, in units where white is 1.
        std: The standard deviation of each channel, in the same units.
        described: What :meth:`fewshot_core.data.ImageData.describe` says.
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
    def from_json(cls, found: dict[str, Any]) -> ImageFacts:
        """What was kept.

        Raises:
            KeyError: A value is missing.
            TypeError: A value is of the wrong kind.
            ValueError: A value is no number.
        """
        names = tuple(str(name) for name in found["class_names"])
        return cls(
            ImageShape(int(found["channels"]), int(found["image_size"]), len(names)),
            names,
            tuple(float(value) for value in found["mean"]),
            tuple(float(value) for value in found["std"]),
            {key: value for key, value in found.items() if key not in _FURTHER},
        )


class RunImages:
    """The images of a run. Its methods read them; all processes of a launch call them alike.

    Args:
        recipe: Its section ``data`` says where they are.
        folder: The run folder, which knows what they were when the run began.
        console: Shows that they are read.
        normalisation: Mean and deviation of every channel as the task wants them; None: as
            measured.
        in_turn: Lets the main process read first.
        given: Images that are in memory already.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder,
        console: Console,
        normalisation: tuple[float, float] | None = None,
        in_turn: Callable[[], AbstractContextManager[Any]] = nullcontext,
        given: ImageData | None = None,
    ) -> None:
        self._recipe, self._folder, self._console = recipe, folder, console
        self._normalisation, self._in_turn = normalisation, in_turn
        self._data = None if given is None else self._normalise(given)
        self._small: ImageData | None = None
        self._facts: ImageFacts | None = None

    def data(self) -> ImageData:
        """The images, read once; of a run that has begun, those that it began with.

        Test images are read when they are asked for.

        Raises:
            DataError: They cannot be read, or are others by now.
        """
        if self._data is None:
            self._data = self._normalise(self._load())
        return self._data

    def search_data(self) -> ImageData:
        """The images as supernets see them: :meth:`data`, or smaller ones.

        Raises:
            DataError: See :meth:`data`.
        """
        size = self._recipe.data.search_size
        if size is None:
            return self.data()
        if self._small is None:
            self._small = self.data().resize(size)
        return self._small

    def facts(self) -> ImageFacts:
        """What there is to know of them without reading one, where the run has kept it.

        Raises:
            DataError: What was kept is damaged; or see :meth:`data`.
        """
        if self._facts is None:
            path = self._folder.known(DATA)
            self._facts = self._read(path) if path.exists() else ImageFacts.of(self.data())
        return self._facts

    @staticmethod
    def _read(path: Path) -> ImageFacts:
        try:
            return ImageFacts.from_json(read_json(path))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is damaged", found=error, fix="delete it, and run fewshot search again"
            ) from None

    def keep(self) -> None:
        """Note in the run folder what they are, unless it is noted."""
        data = self.data()
        if not self._folder.file(IMAGES).exists():
            write_inventory(self._folder.file(IMAGES), data.inventory())
        path, facts = self._folder.file(DATA), ImageFacts.of(data).to_json()
        if not path.exists() or read_json(path) != facts:
            write_json(path, facts)
        if not self._folder.file(FILE).exists():
            text = json.dumps(describe_classes(data), separators=(",", ":"))
            write_text(self._folder.file(FILE), text + "\n")

    def _load(self) -> ImageData:
        path = self._folder.known(IMAGES)
        kept = read_inventory(path) if path.exists() else None
        with self._in_turn(), self._console.progress("images", 1) as tick:
            data = load_images(self._recipe.data, self._recipe.seed, kept=kept)
            if kept is not None:
                kept.require(data.inventory())
            tick(1)
        return data

    def _normalise(self, data: ImageData) -> ImageData:
        if self._normalisation is None:
            return data
        mean, std = ((value,) * data.channels for value in self._normalisation)
        return replace(data, mean=mean, std=std)


def agree_on_images(images: RunImages, accelerator: Accelerator, root: object) -> None:
    """Require that all processes see the same images, with the same labels and parts.

    Args:
        images: The images of the run.
        accelerator: The processes of the launch.
        root: The setting that says where the images are, for the message.

    Raises:
        DataError: One sees others than the main process.
    """
    if accelerator.num_processes == 1:
        return
    mine = images.data().inventory()
    every: list[str] = gather_object([mine.digest])
    other = next((rank for rank, digest in enumerate(every) if digest != every[0]), None)
    if other is not None:
        raise DataError(
            "the processes of this launch see different images",
            found=f"process {other} finds others than process 0 at {root}",
            fix="copy the same images to every machine, or put them on storage that all share",
        )


def warnings_of(data: ImageData, scored: int | None = None) -> list[str]:
    """Lines about images for the user to know before anything is trained.

    Args:
        data: The images.
        scored: On how many validation images accuracies are compared; None: on none.
    """
    lines = [data.left_out] if data.left_out else []
    if scored is not None and scored < HELD_LEAST:
        lines.append(
            f"only {scored:,} validation images tell networks apart: an accuracy of 80 % on them "
            f"has a standard error of {standard_error(scored):.0f} points; a larger "
            "data.validation holds out more"
        )
    repeated = data.inventory().repeated()
    if repeated:
        lines.append(
            f"{repeated:,} of the test images are the same files as training or validation images: "
            "test figures will be too high"
        )
    return lines
