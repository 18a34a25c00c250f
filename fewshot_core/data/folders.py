"""Folders and tar files of class folders, listed by timm's readers and checked here.

timm skips what it does not understand without a word: class folders without images, images beside
the class folders, folders within class folders. A training on the wrong classes is worse than an
error, so each of these is one.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from PIL import Image
from timm.data.readers import create_reader
from timm.data.readers.img_extensions import get_img_extensions

from fewshot_core.data.decode import Listing, open_image
from fewshot_core.data.labels import check_classes
from fewshot_core.errors import DataError

TEST_FOLDERS = ("test", "val", "validation")
"""What the test part may be called; the first there is."""

_LAYOUT = "a folder, or an uncompressed .tar file, of one folder of images per class"


def list_images(root: str | Path, setting: str = "data.root") -> Listing:
    """The images of a folder of class folders, or of a tar file of them.

    Files and folders whose name starts with a dot, and ``__MACOSX``, are left out: editors and
    archivers put copies and metadata there.

    Args:
        root: The folder or ``.tar`` file.
        setting: The setting that named it, for messages.

    Raises:
        DataError: It is missing, damaged, or not laid out that way.
    """
    path = Path(root).expanduser()
    if not path.exists():
        raise DataError(f"{setting}: {path} does not exist", allowed=_LAYOUT)
    if path.is_dir():
        folders = [entry for entry in sorted(path.iterdir()) if _is_class_folder(entry)]
        if not folders:
            raise DataError(f"{setting}: {path} has no class folders", allowed=_LAYOUT)
    elif path.suffix == ".tar":
        folders = []
    else:
        raise DataError(f"{setting}: {path} is neither a folder nor a .tar file", allowed=_LAYOUT)
    reader = _reader(path, setting)
    names = [str(name) for name in reader.filenames(absolute=False)]
    used = [i for i, name in enumerate(names) if not is_hidden(PurePosixPath(name).parts)]
    if path.is_dir():
        _check_folder(path, folders, [PurePosixPath(names[i]) for i in used], setting)
    else:
        _check_tar(path, (names[i] for i in used), setting)
    listing = _listing(path, reader, names, used)
    check_classes(f"{setting}: {path}", listing.classes)
    return listing


def train_and_test_folders(root: str) -> tuple[Path, Path | None]:
    """``root/train`` with ``root/test``, ``val`` or ``validation`` (the first there is).

    Where that pair is absent, ``root`` itself holds the classes and there is no test folder.
    """
    path = Path(root).expanduser()
    if (path / "train").is_dir():
        for name in TEST_FOLDERS:
            if (path / name).is_dir():
                return path / "train", path / name
    return path, None


def check_same_classes(where: str, classes: tuple[str, ...], test: Listing) -> None:
    """Require that labels mean the same in the test part as in the training part.

    Args:
        where: Where the training images are, for the message.
        classes: Their classes.
        test: The test images.

    Raises:
        DataError: The class names differ.
    """
    if classes == test.classes:
        return
    missing = sorted(set(classes) - set(test.classes))
    extra = sorted(set(test.classes) - set(classes))
    parts = [
        f"{what} {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        for what, names in (("missing:", missing), ("only there:", extra))
        if names
    ]
    raise DataError(
        f"the test classes of {test.where} differ from the training classes of {where}",
        found="; ".join(parts) or "another order",
    )


def _reader(path: Path, setting: str) -> Any:
    # The cache that timm keeps beside a large tar is a pickle: data must not bring code along.
    options = {} if path.is_dir() else {"cache_tarinfo": False}
    try:
        return create_reader("", root=str(path), **options)
    except tarfile.TarError as error:
        raise DataError(f"{setting}: {path} is not a readable tar file", found=error) from error
    except PermissionError as error:
        raise DataError(f"{setting}: {path} may not be read", found=error) from error
    except (RuntimeError, ValueError) as error:  # how timm says that it found no image
        raise DataError(
            f"{setting}: {path} has no images in it", allowed=extensions_text()
        ) from error


def _listing(path: Path, reader: Any, names: list[str], used: list[int]) -> Listing:
    """The images at ``used``, with classes renumbered over those that are left."""
    if path.is_dir():
        class_index, targets = reader.class_to_idx, [target for _, target in reader.samples]
    else:
        class_index, targets = reader.class_name_to_idx, reader.targets.tolist()
    present = {targets[i] for i in used}
    ordered = sorted(class_index.items(), key=lambda item: item[1])
    kept = [(name, old) for name, old in ordered if old in present]
    renumbered = {old: new for new, (_, old) in enumerate(kept)}

    def opened(i: int) -> Image.Image:
        with reader[used[i]][0] as stream:
            return open_image(stream.read())

    return Listing(
        where=str(path),
        classes=tuple(name for name, _ in kept),
        labels=torch.tensor([renumbered[targets[i]] for i in used], dtype=torch.int64),
        open=opened,
        name=lambda i: f"{path}/{names[used[i]]}",
        close=lambda: None if path.is_dir() else _close_tar(reader.tar_state),
    )


def _close_tar(state: Any) -> None:
    """Close the tar file that timm's reader keeps open; its next read opens it again."""
    for inner in state.children.values():  # tar files within the tar, read through it
        inner.reset()
    if state.tf is not None:
        state.tf.close()
        state.reset()


def extensions_text() -> str:
    """What counts as an image."""
    return f"files ending in {', '.join(get_img_extensions())}"


def _is_class_folder(entry: Path) -> bool:
    return entry.is_dir() and not is_hidden([entry.name])


def is_hidden(parts: Iterable[str]) -> bool:
    """Whether a path with these parts is one of editors and archivers."""
    return any((part.startswith(".") and part != ".") or part == "__MACOSX" for part in parts)


def _check_folder(
    path: Path, folders: list[Path], names: list[PurePosixPath], setting: str
) -> None:
    for name in names:
        if len(name.parts) == 1:
            raise DataError(
                f"{setting}: {path / name} lies beside the class folders, not in one",
                fix="move or remove the file",
            )
        if len(name.parts) > 2:
            raise DataError(
                f"{setting}: {path / name.parent} is a folder within a class folder",
                allowed=_LAYOUT,
                fix="move the images up, or name the folder that holds the class folders",
            )
    filled = {name.parts[0] for name in names}
    empty = [folder for folder in folders if folder.name not in filled]
    if empty:
        raise DataError(
            f"{setting}: the class folder {empty[0]} has no image in it",
            allowed=extensions_text(),
            fix="add images or remove the folder",
        )


def _check_tar(path: Path, names: Iterable[str], setting: str) -> None:
    """timm takes the last folder's name for the class, wherever that folder lies in the tar."""
    parents: dict[str, PurePosixPath] = {}
    for name in names:
        parent = PurePosixPath(name).parent
        if not parent.name:
            raise DataError(f"{setting}: {name} in {path} lies in no class folder", allowed=_LAYOUT)
        if parents.setdefault(parent.name, parent) != parent:
            raise DataError(
                f"{setting}: {path} has several folders for the class {parent.name!r}",
                found=f"{parents[parent.name]} and {parent}",
                fix="make one tar file per part and set data.root= and data.test_root=",
            )
