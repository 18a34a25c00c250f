"""Where images come from: ``load_images`` and what it returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fewshot_core.data.decode import (
    Listing,
    Progress,
    check_memory,
    check_readable,
    decode,
    first_image,
    open_all,
)
from fewshot_core.data.files import ImageFiles
from fewshot_core.data.folders import (
    list_images,
    match_classes,
    train_and_test_folders,
    with_rest,
)
from fewshot_core.data.hf import Columns, list_hf
from fewshot_core.data.images import (
    ImageArray,
    Images,
    ImageShape,
    channel_statistics,
    class_balanced_split,
    class_balanced_subset,
)
from fewshot_core.data.inventory import (
    TEST,
    TRAIN,
    VALIDATION,
    Inventory,
    inventory_of_pixels,
    take_inventory,
)
from fewshot_core.data.packaged import (
    KNOWN_TORCH,
    list_cluttered_digits,
    list_digits,
    list_torch,
)
from fewshot_core.data.rule import left_out_line
from fewshot_core.data.shard_files import find_parts
from fewshot_core.data.shards import ShardKeys, list_shards
from fewshot_core.data.unlabelled import list_unlabelled, without_classes
from fewshot_core.errors import DataError, nearest
from fewshot_core.recipe.schema import DataSettings
from fewshot_core.seeds import derive_seed

# The held-out test part is the same for every seed of a run: otherwise a network that one run
# found on some images would be tested on them by a run with another seed.
_TEST_SEED = derive_seed("held-out test part")

_ROOTED = {
    "images": "the folder, .tar or .zip file of images",
    "wds": "the folder or the names of the WebDataset shards",
    "hfds": "the folder of the Hugging Face data set, or its name on the Hub",
}

STATISTICS = 1000
"""Images that mean and deviation are taken of, where images are not in memory."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """The images of a run, in three parts.

    Args:
        source: The source's name.
        train: Images to train on.
        validation: Images to score architectures on.
        mean: Per channel, over the training part only, in units where white is 1.
        std: The same for the standard deviation.
        test_count: Test images; none while they are not known without loading them.
        load_test: Loads them; use :meth:`test`.
        stored: Where they lie; None for images that were made in memory.
        left_out: One line that counts what the source holds and was left out; empty: nothing.
    """

    source: str
    train: Images
    validation: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    test_count: int | None
    load_test: Callable[[], Images] = field(repr=False)
    stored: StoredImages | None = field(default=None, repr=False)
    left_out: str = ""

    def test(self) -> Images:
        """The test images, read on the first call: a search that never asks never sees them.

        They have the size and channels of the training images.

        Raises:
            DataError: They cannot be read, or have other classes than the training images.
        """
        return self._test

    @cached_property
    def _test(self) -> Images:
        return self.load_test()

    def check_test(self) -> None:
        """Find out whether the test images can be read. Nothing of them is kept.

        Images that are read at every use are opened and not decoded.

        Raises:
            DataError: One cannot be read, or they have other classes than the training images.
        """
        if self.stored is not None:
            self.stored.check_test()

    def inventory(self) -> Inventory:
        """Every image with its class, part and content; read once for all copies of this."""
        if self.stored is not None:
            return self.stored.inventory
        parts = {TRAIN: self.train, VALIDATION: self.validation, TEST: self.test()}
        return inventory_of_pixels(parts)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        return self.train.classes

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.train.input_size[0]

    @property
    def image_size(self) -> int:
        """Side in pixels."""
        return self.train.input_size[1]

    @property
    def shape(self) -> ImageShape:
        """What a network has to know of the images."""
        return ImageShape(self.channels, self.image_size, len(self.classes))

    def resize(self, size: int) -> ImageData:
        """The same images with other pixels; the normalisation stays."""
        return replace(
            self,
            train=self.train.resize(size),
            validation=self.validation.resize(size),
            load_test=lambda: self.test().resize(size),
        )

    def describe(self) -> dict[str, Any]:
        """What a run records about its data, as JSON values."""
        return {
            "source": self.source,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": self.test_count,
            "channels": self.channels,
            "image_size": self.image_size,
            "classes": len(self.classes),
        }


@dataclass(frozen=True)
class Parts:
    """A source's own division, before anything is decoded.

    Attributes:
        train: Its training images.
        test: Lists its test part; None: test images are held out of ``train``.
        test_count: How many there are, where that is known.
        left_out: One line of what is no image; empty: nothing.
    """

    train: Listing
    test: Callable[[], Listing] | None
    test_count: int | None
    left_out: str = ""


@dataclass(frozen=True, eq=False)
class StoredImages:
    """The files behind the images of a run.

    Args:
        train: The training images, and the test images where a source has no test part of its own.
        parts: int64 indices into them, by part.
        own_test: Lists the test part of the source, if it has one.
        in_memory: Whether all images are decoded once.
    """

    train: Listing
    parts: Mapping[str, Tensor]
    own_test: Callable[[], Listing] | None
    in_memory: bool

    @cached_property
    def inventory(self) -> Inventory:
        """Every image with its class, part and content."""
        own = self.own_test() if self.own_test is not None else None
        return take_inventory(self.train, self.parts, own, in_memory=self.in_memory)

    def check_test(self) -> None:
        """See :meth:`ImageData.check_test`."""
        if self.own_test is None:
            listing, indices = self.train, self.parts[TEST]
        else:
            listing = self.own_test()
            indices = torch.arange(len(listing))
        (check_readable if self.in_memory else open_all)(listing, indices)


def load_images(
    settings: DataSettings,
    seed: int,
    progress: Progress | None = None,
    kept: Inventory | None = None,
) -> ImageData:
    """Decode the training and validation images of a source into memory.

    First the test part is set aside: the source's own, else ``settings.test`` of every class,
    the same images for every seed. Then ``settings.limit`` chooses among the rest, and
    ``settings.validation`` of what it leaves is held out, both per class and by ``seed``.
    Test images are not decoded; see :meth:`ImageData.test`.

    With many processes, call it on the main process first: a download must happen once.

    Args:
        settings: The section ``data`` of the recipe.
        seed: The run's seed.
        progress: Called now and then with images done and images in all.
        kept: What a run that goes on has kept: its images, whose parts are taken from here.

    Raises:
        DataError: In one line, whatever is wrong with the source, a file or a setting; or the
            images have other names or classes than those of ``kept``.
    """
    parts = list_parts(settings)
    if kept is None:
        train, validation, test = _divide(parts, settings, seed)
    else:
        train, validation, test = _as_kept(parts, kept)
    division = {TRAIN: train, VALIDATION: validation, TEST: test}
    stored = StoredImages(parts.train, division, parts.test, settings.memory)
    channels, size = _first_shape(parts.train, test, settings)
    if not settings.memory:
        return _unread(parts, stored, settings, (channels, size))
    known = len(test) if parts.test is None else parts.test_count or 0
    check_memory(len(train) + len(validation) + known, channels, size)
    # Decoded together, because one coloured image makes every image RGB; the parts are views.
    wanted = torch.cat([train, validation])
    pixels = decode(parts.train, wanted, size, progress=progress)
    labels, classes = parts.train.labels[wanted], parts.train.classes
    cut = len(train)
    mean, std = channel_statistics(pixels[:cut])
    return ImageData(
        source=settings.source,
        train=ImageArray(pixels[:cut], labels[:cut], classes),
        validation=ImageArray(pixels[cut:], labels[cut:], classes),
        mean=mean,
        std=std,
        test_count=len(test) if parts.test is None else parts.test_count,
        load_test=_test_loader(parts, test, size, pixels.shape[1]),
        stored=stored,
        left_out=parts.left_out,
    )


def _unread(
    parts: Parts, stored: StoredImages, settings: DataSettings, shape: tuple[int, int]
) -> ImageData:
    """The same, read at every use; the statistics are those of a sample."""
    train, validation, held = stored.parts.values()
    channels, size = shape
    part = ImageFiles(parts.train, train, size, channels)
    sample = class_balanced_subset(part.labels, STATISTICS, _TEST_SEED)
    mean, std = channel_statistics(part.pixels(sample))
    own = parts.test

    def load_test() -> ImageFiles:
        if own is None:
            return ImageFiles(parts.train, held, size, channels)
        listing = own()
        return ImageFiles(listing, torch.arange(len(listing)), size, channels)

    return ImageData(
        source=settings.source,
        train=part,
        validation=ImageFiles(parts.train, validation, size, channels),
        mean=mean,
        std=std,
        test_count=len(held) if own is None else parts.test_count,
        load_test=load_test,
        stored=stored,
        left_out=parts.left_out,
    )


def list_parts(settings: DataSettings) -> Parts:
    """The images of a source by name and class, before any is read.

    Raises:
        DataError: The source does not exist, or is not laid out as it should be.
    """
    bundled = {"digits": list_digits, "cluttered_digits": list_cluttered_digits}
    if settings.source in bundled:
        return Parts(_classes(bundled[settings.source](), settings), None, None)
    if settings.source in _ROOTED:
        if not settings.root:
            raise DataError(
                f"data.source={settings.source} needs data.root=, {_ROOTED[settings.source]}"
            )
        own = {"images": _folder_parts, "wds": _shard_parts, "hfds": _hf_parts}
        return _check_parts(settings.root, *own[settings.source](settings, settings.root))
    if settings.source.startswith("torch/"):
        return _torch_parts(settings)
    known = (*bundled, *_ROOTED, *KNOWN_TORCH)
    raise DataError(
        "data.source is unknown",
        found=settings.source,
        allowed=", ".join(known),
        fix=nearest(settings.source, known) or None,
    )


def _check_parts(root: str, train: Listing, test: Listing | None) -> Parts:
    if test is None:
        return Parts(train, None, None, left_out_line(root, [train.left_out]))
    test = match_classes(train.where, train.classes, test)
    line = left_out_line(root, [train.left_out, test.left_out])
    return Parts(train, lambda: test, len(test), line)


def _folder_parts(settings: DataSettings, name: str) -> tuple[Listing, Listing | None]:
    root, test_root = train_and_test_folders(name)
    listed = list_images if settings.labelled else list_unlabelled
    if settings.test_root:
        train = with_rest(listed(root), name, [root])
        return train, listed(settings.test_root, "data.test_root")
    train = with_rest(listed(root), name, [root, test_root])
    return train, listed(test_root) if test_root else None


def _shard_parts(settings: DataSettings, name: str) -> tuple[Listing, Listing | None]:
    parts = find_parts(name, settings.test_root)
    keys = ShardKeys(settings.image_key, settings.label_key, settings.labelled)
    listing = list_shards(parts.train, name, keys)
    listing = replace(listing, left_out=Counter(listing.left_out) + Counter(parts.left_out))
    if parts.test is None:
        return listing, None
    return listing, list_shards(parts.test, settings.test_root or f"{name} (test)", keys)


def _hf_parts(settings: DataSettings, name: str) -> tuple[Listing, Listing | None]:
    columns = Columns(settings.image_key, settings.label_key, settings.labelled)
    return list_hf(name, settings.test_root, columns, settings.download)


def _classes(listing: Listing, settings: DataSettings) -> Listing:
    return listing if settings.labelled else without_classes(listing)


def _torch_parts(settings: DataSettings) -> Parts:
    train = _classes(list_torch(settings, train=True), settings)
    where, classes = train.where, train.classes  # not `train` itself, which holds its images

    def test() -> Listing:
        listing = _classes(list_torch(settings, train=False), settings)
        return match_classes(where, classes, listing)

    return Parts(train, test, None)


def _divide(parts: Parts, settings: DataSettings, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices into ``parts.train``: training, validation and held-out test images."""
    labels, classes = parts.train.labels, parts.train.classes
    rest, test = torch.arange(len(labels)), torch.empty(0, dtype=torch.int64)
    if parts.test is None:
        _check_share("data.test", settings.test)
        # Two of what stays: one image to train on, and one to score with.
        rest, test = class_balanced_split(labels, settings.test, _TEST_SEED, classes, keep=2)
    _check_share("data.validation", settings.validation)
    if settings.limit is not None:
        least = 2 * len(labels.unique())
        if settings.limit < least:
            raise DataError(
                "data.limit is too small to train on and to score with every class",
                found=settings.limit,
                allowed=f"{least} or more for {least // 2} classes",
            )
        chosen = class_balanced_subset(labels[rest], settings.limit, seed, minimum=2)
        rest = rest[chosen]
    kept, held = class_balanced_split(labels[rest], settings.validation, seed, classes)
    return rest[kept], rest[held], test


def _as_kept(parts: Parts, kept: Inventory) -> tuple[Tensor, Tensor, Tensor]:
    """The parts that a run began with; names are compared now, contents by who asks for them."""
    own = parts.test() if parts.test is not None else None
    kept.require(take_inventory(parts.train, {}, own, contents=False))
    train, validation, test = (
        kept.indices(parts.train, part) for part in (TRAIN, VALIDATION, TEST)
    )
    return train, validation, test


def _check_share(setting: str, share: float) -> None:
    if not 0 < share < 1:
        raise DataError(f"{setting} is out of range", found=share, allowed="between 0 and 1")


def _first_shape(listing: Listing, test: Tensor, settings: DataSettings) -> tuple[int, int]:
    """Channels and side, from the first image that is not a test image.

    That image is the same for every seed, so two seeds never train at two sizes.
    """
    if settings.image_size is not None and settings.image_size < 1:
        raise DataError(
            "data.image_size is out of range", found=settings.image_size, allowed="1 or more"
        )
    held = set(test.tolist())
    first = next(i for i in range(len(listing)) if i not in held)
    try:
        channels, side = first_image(listing, first)
    except DataError:
        if settings.memory:  # the others would be read next: tell of all that are damaged
            check_readable(listing, torch.tensor([i for i in range(len(listing)) if i not in held]))
        raise
    return channels, settings.image_size or side


def _test_loader(parts: Parts, held: Tensor, size: int, channels: int) -> Callable[[], ImageArray]:
    """A function that decodes the test part, and holds on to no more than it needs for that."""
    if parts.test is None:
        train = parts.train
        return lambda: _load_test(train, held, size, channels)
    own = parts.test

    def load() -> ImageArray:
        listing = own()
        return _load_test(listing, torch.arange(len(listing)), size, channels)

    return load


def _load_test(listing: Listing, indices: Tensor, size: int, channels: int) -> ImageArray:
    check_memory(len(indices), channels, size)
    pixels = decode(listing, indices, size, channels)
    return ImageArray(pixels, listing.labels[indices], listing.classes)
