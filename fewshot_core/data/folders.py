"""Folders, tar and zip files with one folder of images per class.

A training on the wrong classes is worse than an error, so whatever could change the classes is one:
class folders without images, images beside the class folders, folders within class folders. What
cannot is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os.path import isdir
from pathlib import Path

import torch

from fewshot_core.data import rule
from fewshot_core.data.decode import Listing
from fewshot_core.data.gzipped import is_gzipped, unpacked
from fewshot_core.data.labels import check_classes
from fewshot_core.data.problems import Problems
from fewshot_core.data.rule import show_name, sort_naturally
from fewshot_core.data.tars import Tar
from fewshot_core.data.tree import FolderTree, Found, Tree, place_of, require_place, walk
from fewshot_core.data.zips import Zip
from fewshot_core.errors import DataError

TRAIN_FOLDERS = ("train", "training")
"""What the training part may be called; the first there is."""

TEST_FOLDERS = ("test", "testing", "val", "valid", "validation")
"""What the test part may be called; the first there is."""

_LAYOUT = "a folder, or a .tar, .tar.gz or .zip file, of one folder of images per class"


def list_images(root: str | Path, setting: str = "data.root") -> Listing:
    """The images of a folder of class folders, or of a tar or zip file of them.

    Classes and images are in natural order. The class folders of an archive may lie in one folder
    of it; an archive of several parts is refused.

    Args:
        root: The folder or the ``.tar``, ``.tar.gz`` or ``.zip`` file.
        setting: The setting that named it, for messages.

    Raises:
        DataError: It is missing, damaged, or not laid out that way.
    """
    tree = open_tree(root, setting, _LAYOUT)
    found = walk(tree)
    if isinstance(tree, FolderTree) and not any("/" not in name for name in found.folders):
        raise DataError(
            f"{setting}: {show_name(tree.where)} has no class folders",
            found=_left_out_text(found),
            allowed=_LAYOUT,
        )
    require_images(tree.where, found, setting)
    base = "" if isinstance(tree, FolderTree) else _base(found)
    _check_layout(tree.where, found, base, setting)
    names = [path[len(base) :].split("/")[0] for path in found.images]
    classes = sort_naturally(set(names))
    check_classes(f"{setting}: {show_name(tree.where)}", classes)
    index = {name: i for i, name in enumerate(classes)}
    labels = torch.tensor([index[name] for name in names], dtype=torch.int64)
    return tree_listing(tree, found, tuple(classes), labels)


def open_tree(root: str | Path, setting: str, allowed: str) -> Tree:
    """The folder or archive that a setting names.

    Args:
        root: The folder or the ``.tar``, ``.tar.gz`` or ``.zip`` file.
        setting: The setting, for messages.
        allowed: What it may be, for messages.

    Raises:
        DataError: It is missing, damaged or something else.
    """
    path = place_of(root)
    require_place(path, setting, allowed)
    if path.is_dir():
        return FolderTree(path, setting)
    reader = _reader(path)
    if reader is None or not path.is_file():
        raise DataError(
            f"{setting}: {show_name(path)} is neither a folder nor a .tar, .tar.gz or .zip file",
            allowed=allowed,
        )
    try:
        return reader(path)
    except DataError as error:
        raise DataError(f"{setting}: {error}") from error


def _reader(path: Path) -> Callable[[Path], Tree] | None:
    """What opens an archive of this name."""
    if is_gzipped(path):
        return lambda path: Tar(unpacked(path), path)
    return {".tar": Tar, ".zip": Zip}.get(path.suffix.lower())


def tree_listing(
    tree: Tree, found: Found, classes: tuple[str, ...], labels: torch.Tensor
) -> Listing:
    """The images that were found in a tree."""
    files = _Files(tree, found.images)
    return Listing(
        where=show_name(tree.where),
        classes=classes,
        labels=labels,
        read=files.read,
        key=files.key,
        name=files.name,
        left_out=found.left_out,
    )


@dataclass(frozen=True)
class _Files:
    """Files of a tree by number."""

    tree: Tree
    paths: Sequence[str]

    def read(self, i: int) -> bytes:
        return self.tree.read(self.paths[i])

    def key(self, i: int) -> str:
        return rule.key_of(self.paths[i])

    def name(self, i: int) -> str:
        return show_name(f"{self.tree.where}/{self.paths[i]}")


def require_images(where: Path, found: Found, setting: str) -> None:
    """Raise if nothing was found.

    Raises:
        DataError: There are no images.
    """
    if not found.images:
        raise DataError(
            f"{setting}: {show_name(where)} has no images in it",
            found=_left_out_text(found),
            allowed=rule.endings_text(),
        )


def _left_out_text(found: Found) -> str | None:
    return rule.counts_text([found.left_out]) or None


def train_and_test_folders(root: str) -> tuple[Path, Path | None]:
    """``root/train`` with ``root/test``, or with ``val`` or the like: :data:`TEST_FOLDERS`.

    Where that pair is absent, ``root`` itself holds the classes and there is no test folder.
    """
    path = place_of(root)
    train = next((name for name in TRAIN_FOLDERS if isdir(path / name)), None)
    test = next((name for name in TEST_FOLDERS if isdir(path / name)), None)
    if train is not None and test is not None:
        return path / train, path / test
    return path, None


def with_rest(listing: Listing, root: str, used: Sequence[Path | None]) -> Listing:
    """The listing of a part, which has also left out what lies beside the folders of the parts.

    Args:
        listing: The files of the training part.
        root: Where the folders of the parts are looked for.
        used: The folders of the parts that are used.

    Raises:
        DataError: A folder there cannot be read.
    """
    path = place_of(root)
    if not isdir(path) or path in used:
        return listing
    names = [part.name for part in used if part is not None and part.parent == path]
    rest = walk(FolderTree(path, "data.root"), skipped=names)
    left_out = Counter(listing.left_out) + rest.left_out
    for image in rest.images:
        folder = image.split("/")[0] if "/" in image else "."
        left_out[f"{rule.UNUSED}: {rule.key_of(folder)}"] += 1
    return replace(listing, left_out=left_out)


def match_classes(where: str, classes: tuple[str, ...], test: Listing) -> Listing:
    """The test images with the labels of the training part; a class is known by its name.

    Args:
        where: Where the training images are, for the message.
        classes: Their classes.
        test: The test images.

    Raises:
        DataError: The class names differ.
    """
    if classes == test.classes:
        return test
    missing = sort_naturally(set(classes) - set(test.classes))
    extra = sort_naturally(set(test.classes) - set(classes))
    if not (missing or extra) and len(set(classes)) == len(classes) == len(test.classes):
        place = {name: i for i, name in enumerate(classes)}
        labels = torch.tensor([place[name] for name in test.classes])[test.labels]
        return replace(test, classes=classes, labels=labels)
    parts = [
        f"{what} {', '.join(map(show_name, names[:5]))}{' ...' if len(names) > 5 else ''}"
        for what, names in (("missing:", missing), ("only there:", extra))
        if names
    ]
    raise DataError(
        f"the test classes of {test.where} differ from the training classes of {where}",
        found="; ".join(parts) or "a name that several classes have",
    )


def _base(found: Found) -> str:
    """The one folder of a tar file in which all images lie below folders; with a slash, or empty.

    ``tar --create set`` packs ``set/CLASS/IMAGE``.
    """
    base = ""
    while True:
        tops = {path[len(base) :].split("/")[0] for path in found.images}
        deep = all(path[len(base) :].count("/") > 1 for path in found.images)
        if len(tops) > 1 or not deep:
            return base
        base += f"{tops.pop()}/"


def _check_layout(where: Path, found: Found, base: str, setting: str) -> None:
    """``base``: where the class folders lie, with a slash, or empty."""
    inner = [path[len(base) :].split("/") for path in found.images]
    _check_depths(where, found, inner, setting)
    twice = [
        paths
        for paths in found.twice
        if any(f"{path}/".startswith(f"{paths[1]}/") for path in found.images)
    ]
    Problems(_repetition_error(where, paths, setting) for paths in twice).check()
    tops = [
        name.removeprefix(base)
        for name in found.folders
        if name.startswith(base) and "/" not in name.removeprefix(base)
    ]
    filled = {parts[0] for parts in inner}
    # A folder of nothing but runs, such as runs/, is no class.
    runs = {folder.removeprefix(base).split("/")[0] for folder in found.made}
    empty = [name for name in tops if name not in filled | runs]
    Problems(_empty(where, base + name, setting) for name in sort_naturally(empty)).check()


def _check_depths(where: Path, found: Found, inner: list[list[str]], setting: str) -> None:
    flat = [path for path, parts in zip(found.images, inner, strict=True) if len(parts) < 2]
    Problems(_stray(where, path, setting) for path in flat).check()
    deep = {
        path.rpartition("/")[0]: parts[-2]
        for path, parts in zip(found.images, inner, strict=True)
        if len(parts) > 2
    }
    if not deep:
        return
    if where.is_file():
        _check_parts(where, deep, setting)
    Problems(_nesting_error(where, folder, setting) for folder in deep).check()


def _check_parts(where: Path, deep: dict[str, str], setting: str) -> None:
    """Tell a tar file of several parts from one that is laid out wrong."""
    firsts: dict[str, str] = {}
    for folder, name in deep.items():
        if firsts.setdefault(name, folder) != folder:
            raise DataError(
                f"{setting}: {show_name(where)} has several folders for the class "
                f"'{show_name(name)}'",
                found=f"{show_name(firsts[name])} and {show_name(folder)}",
                fix="make one archive per part and set data.root= and data.test_root=",
            )


def _stray(where: Path, path: str, setting: str) -> DataError:
    if where.is_file():
        return DataError(
            f"{setting}: {show_name(path)} in {show_name(where)} lies in no class folder",
            allowed=_LAYOUT,
        )
    return DataError(
        f"{setting}: {show_name(where / path)} lies beside the class folders, not in one",
        fix="move or remove the file",
    )


def _nesting_error(where: Path, folder: str, setting: str) -> DataError:
    return DataError(
        f"{setting}: {show_name(where / folder)} is a folder within a class folder",
        allowed=_LAYOUT,
        fix="move the images up, or name the folder that holds the class folders",
    )


def _repetition_error(where: Path, paths: tuple[str, str], setting: str) -> DataError:
    return DataError(
        f"{setting}: {show_name(where / paths[0])} is the same folder as "
        f"{show_name(where / paths[1])}",
        fix="remove the link to it: its images would be of two classes",
    )


def _empty(where: Path, folder: str, setting: str) -> DataError:
    return DataError(
        f"{setting}: the class folder {show_name(where / folder)} has no image in it",
        allowed=rule.endings_text(),
        fix="add images or remove the folder",
    )
