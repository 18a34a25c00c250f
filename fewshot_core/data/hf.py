"""Data sets of Hugging Face's package ``datasets``: saved ones, folders, and names on the Hub.

timm's reader of them knows no folder of ``save_to_disk`` and takes a column without asking for its
type; what is read here is the stored file itself, as from a folder of images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import escape
from os.path import exists, isdir
from pathlib import Path
from typing import Any

import torch

from fewshot_core.data import rule
from fewshot_core.data.decode import Listing
from fewshot_core.data.folders import TEST_FOLDERS
from fewshot_core.data.labels import check_classes, number_classes
from fewshot_core.data.problems import Problems
from fewshot_core.data.rule import show_name
from fewshot_core.data.tree import FolderTree, place_of, read_file, require_place, walk
from fewshot_core.data.unlabelled import one_class
from fewshot_core.errors import DataError

_ROOTS = "a folder of save_to_disk, Parquet files or images, or a name on the Hub"
_LABEL_NAMES = ("label", "labels")  # columns that are taken for labels without a ClassLabel


@dataclass(frozen=True)
class Columns:
    """Which columns are read.

    Args:
        image: None: the only one of images.
        label: None: the only one of classes, else one called ``label`` or ``labels``.
        labelled: Whether labels are read.
    """

    image: str | None = None
    label: str | None = None
    labelled: bool = True


def list_hf(
    root: str, test_root: str | None, columns: Columns, download: bool
) -> tuple[Listing, Listing | None]:
    """The training and test images of a data set.

    The training part is the split ``train``, or the only split. The test part is that of
    ``test_root``, else the first of ``test``, ``val``, ``validation`` that has labels, else none.

    Args:
        root: A folder of ``save_to_disk``; a folder that ``load_dataset`` reads (Parquet, images);
            or a name on the Hub, with ``:CONFIG`` where the data set has several.
        test_root: The same for test images of their own.
        columns: What to read.
        download: Whether the Hub may be asked.

    Raises:
        DataError: The package or the data set is not there, or its columns do not do.
    """
    splits = _load(root, "data.root", download)
    train = _only_split(splits, ("train",), root, "data.root")
    listing = _listing(splits[train], _where(root, train), columns)
    test = None
    if test_root:
        others = _load(test_root, "data.test_root", download)
        name = _only_split(others, TEST_FOLDERS, test_root, "data.test_root")
        test = _listing(others[name], _where(test_root, name), columns)
        test = _counting(test, test_root, others, {name})
        return _counting(listing, root, splits, {train}), test
    for name in TEST_FOLDERS:
        if name in splits and name != train and _has_labels(splits[name], columns):
            test = _listing(splits[name], _where(root, name), columns)
            return _counting(listing, root, splits, {train, name}), test
    return _counting(listing, root, splits, {train}), None


def _counting(listing: Listing, root: str, splits: dict[str, Any], used: set[str]) -> Listing:
    """The listing, which has also left out the other splits, and files that are in none."""
    left_out = Counter(listing.left_out)
    for name, split in splits.items():
        if name not in used and len(split):
            left_out[f"rows of splits not used: {name}"] += len(split)
    return replace(listing, left_out=left_out + _files_left_out(place_of(root), splits))


def _files_left_out(path: Path, splits: dict[str, Any]) -> Counter[str]:
    """Images in a folder that the package did not take, where it took some as they lie there."""
    if not isdir(path) or _is_saved(path):
        return Counter()
    found = walk(FolderTree(path, "data.root"))
    left_out = Counter(
        {key: n for key, n in found.left_out.items() if not key.startswith(rule.OTHER_FILES)}
    )
    taken = {name for split in splits.values() for name in _paths(split)}
    folder = str(path.resolve())
    missed = sum(f"{folder}/{name}" not in taken for name in found.images)
    if missed:
        left_out["images that the package datasets does not take"] += missed
    return left_out


def _paths(split: Any) -> set[str]:
    """Where the images of a split are that are stored as files of their own."""
    columns = [name for name, feature in split.features.items() if _is_image(feature)]
    return {
        path
        for name in columns
        for chunk in split.data.column(name).chunks
        for path in chunk.flatten()[chunk.type.get_field_index("path")].to_pylist()
    }


def _package() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "data.source=hfds needs the package datasets, which is not installed",
            found=error,
            fix="pip install 'datasets>=4.0' (the extra hf), or choose another source",
        ) from error
    return datasets


def _load(root: str, setting: str, download: bool) -> dict[str, Any]:
    """Splits by name; no code that came with the data is run, `datasets` 4 has no way to."""
    datasets, path = _package(), place_of(root)
    local = exists(path) or root.startswith((".", "/", "~"))
    if local:
        require_place(path, setting, _ROOTS)
        if not path.is_dir():
            raise DataError(f"{setting}: {show_name(path)} is not a folder", allowed=_ROOTS)
    if not local and not download and not datasets.config.HF_HUB_OFFLINE:
        raise DataError(
            f"{setting}: {root} is no folder, and data.download=false allows no other",
            fix="set data.download=true; HF_HUB_OFFLINE=1 uses what was downloaded before",
        )
    try:
        loaded = _load_data(datasets, path, root, local)
    except DataError:
        raise
    # The package raises what its readers raise: OSError, ValueError, RuntimeError, Arrow's errors.
    except Exception as error:
        raise DataError(
            f"{setting}: {root} cannot be loaded by the package datasets",
            found=f"{type(error).__name__}: {error}",
            fix=None if local else "connect this machine to the Hub, or name a folder",
        ) from error
    return dict(loaded) if isinstance(loaded, dict) else {"": loaded}


def _load_data(datasets: Any, path: Path, root: str, local: bool) -> Any:
    if local:
        if _is_saved(path):
            return datasets.load_from_disk(str(path))
        folder, made = str(path.resolve()), walk(FolderTree(path, "data.root")).made
        files = _files_without(datasets, folder, made) if made else None
        return datasets.load_dataset(folder, data_files=files)
    name, _, config = root.partition(":")
    return datasets.load_dataset(name, config or None)


def _is_saved(path: Path) -> bool:
    return any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _files_without(datasets: Any, folder: str, made: Sequence[str]) -> dict[str, list[str]]:
    """By split, what the package would read in a folder, without the runs and exports in it."""
    patterns = datasets.data_files.get_data_patterns(folder)
    files = datasets.data_files.DataFilesDict.from_patterns(patterns, base_path=folder)
    inside = tuple(f"{folder}/{name}/" for name in made)
    kept = {
        split: [escape(file) for file in names if not file.startswith(inside)]
        for split, names in files.items()
    }
    if not all(kept.values()):
        raise DataError(
            "the names of run folders in it look like those of parts of a data set",
            found=", ".join(made[:4]),
            fix="move the run folders out of it",
        )
    return kept


def _only_split(splits: dict[str, Any], wanted: Sequence[str], root: str, setting: str) -> str:
    for name in wanted:
        if name in splits:
            return name
    if len(splits) != 1:
        raise DataError(
            f"{setting}: {root} has several splits",
            found=", ".join(splits) or "none",
            allowed=f"{' or '.join(wanted)}, or one split alone",
        )
    return next(iter(splits))


def _where(root: str, split: str) -> str:
    return f"{root} ({split})" if split else root


def _listing(dataset: Any, where: str, columns: Columns) -> Listing:
    if not len(dataset):
        raise DataError(f"{where} has no rows")
    image = _image_column(dataset.features, where, columns.image)
    if columns.labelled:
        classes, labels = _labels(dataset, where, columns.label)
    else:
        classes, labels = one_class(len(dataset))
    rows = _Rows(_files(dataset, image, where), image, show_name(where))
    return Listing(
        where=where,
        classes=classes,
        labels=labels,
        read=rows.read,
        key=str,
        name=rows.name,
    )


@dataclass(frozen=True)
class _Rows:
    """Images of a data set, as the files that are stored in a column."""

    files: Any
    column: str
    where: str

    def read(self, i: int) -> bytes:
        return _read(self.files[i][self.column])

    def name(self, i: int) -> str:
        return f"in row {i} of {self.where}"


def _files(dataset: Any, image: str, where: str) -> Any:
    """Rows of nothing but the image, as the file that is stored."""
    try:
        kind = _package().Image(decode=False)
        return dataset.select_columns([image]).cast_column(image, kind)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"the column {image} of {where} does not hold images",
            found=dataset.features[image],
            allowed="image files, as bytes or paths",
        ) from error


def _read(file: dict[str, Any]) -> bytes:
    data: bytes | None = file["bytes"]
    if data is None and file["path"] is None:
        raise OSError("the row has no image")
    return read_file(file["path"]) if data is None else data


def _image_column(features: dict[str, Any], where: str, wanted: str | None) -> str:
    if wanted is not None:
        return _find_column(features, where, wanted, "data.image_key")
    return _one(
        [name for name, feature in features.items() if _is_image(feature)],
        features,
        f"{where} has no single column of images",
        "data.image_key= names it",
    )


def _is_image(feature: Any) -> bool:
    # Parquet files that were not written by `datasets` have the two fields and no more.
    fields = isinstance(feature, dict) and set(feature) == {"bytes", "path"}
    return fields or isinstance(feature, _package().Image)


def _label_column(features: dict[str, Any], where: str, wanted: str | None) -> str:
    if wanted is not None:
        return _find_column(features, where, wanted, "data.label_key")
    kind = _package().ClassLabel
    found = [name for name, feature in features.items() if isinstance(feature, kind)]
    return _one(
        found or [name for name in _LABEL_NAMES if name in features],
        features,
        f"{where} has no single column of classes",
        "data.label_key= names it; data.labelled=false does without",
    )


def _find_column(features: dict[str, Any], where: str, wanted: str, setting: str) -> str:
    if wanted not in features:
        raise DataError(f"{where} has no column {wanted} ({setting})", allowed=", ".join(features))
    return wanted


def _one(found: list[str], features: dict[str, Any], problem: str, fix: str) -> str:
    if len(found) != 1:
        raise DataError(problem, found=", ".join(found or features), fix=fix)
    return found[0]


def _labels(dataset: Any, where: str, wanted: str | None) -> tuple[tuple[str, ...], torch.Tensor]:
    column = _label_column(dataset.features, where, wanted)
    feature, values = dataset.features[column], dataset[column][:]
    names = getattr(feature, "names", None)
    unusable = Problems()
    for row, value in enumerate(values):
        known = isinstance(value, int | str) and not isinstance(value, bool) and value != ""
        if not known or (names is not None and not 0 <= value < len(names)):
            unusable.add(
                DataError(
                    f"row {row} of {where} has no usable label in the column {column}",
                    found=repr(value)[:80],
                    allowed="a whole number or a name",
                )
            )
    unusable.check()
    if names is None:
        return number_classes(where, values)
    check_classes(where, names)
    return tuple(names), torch.tensor(values, dtype=torch.int64)


def _has_labels(dataset: Any, columns: Columns) -> bool:
    """Whether a split can be tested on: on the Hub, test parts often hide their labels as -1."""
    if not columns.labelled:
        return True
    column = _label_column(dataset.features, "the test split", columns.label)
    return any(value is not None and value != -1 for value in dataset[column][:])
