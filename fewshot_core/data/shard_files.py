"""Which files are the shards of a WebDataset, and of which part."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from glob import escape, glob, has_magic
from itertools import product
from os.path import exists, isdir, isfile
from pathlib import Path

from fewshot_core.data import rule
from fewshot_core.data.folders import TEST_FOLDERS, train_and_test_folders
from fewshot_core.data.rule import show_name, sort_naturally
from fewshot_core.data.tree import FolderTree, place_of, walk
from fewshot_core.errors import DataError

_ROOTS = "a folder of .tar files, or their name with {0000..0099}, {a,b} or *, in quotes"
_REMOTE = re.compile(r"[a-z][a-z0-9+]+:", re.IGNORECASE)


def find_shards(root: str, setting: str = "data.root") -> list[Path]:
    """The shards that a name stands for, each once.

    Args:
        root: A folder of ``.tar`` files; or a file name with ``{0000..0099}``, ``{a,b}`` or ``*``.
        setting: The setting that named it, for messages.

    Raises:
        DataError: They are not on this machine, there are none, or one of them is missing.
    """
    _check_local(root, setting)
    found: list[Path] = []
    for name in [root] if exists(place_of(root)) else _expand(root):
        path = place_of(name)
        if isdir(path):
            names = [shard.name for shard in path.glob("*.tar") if not rule.is_hidden(shard.name)]
            here = [path / name for name in sort_naturally(names)]
        elif has_magic(name) and not exists(path):
            here = [Path(name) for name in sort_naturally(glob(_pattern(path)))]
        else:
            here = [path]
        if not here:
            raise DataError(
                f"{setting}: there is no shard in or at {show_name(name)}", allowed=_ROOTS
            )
        found += here
    if not found:
        raise DataError(f"{setting}: {show_name(root)} names no shard", allowed=_ROOTS)
    for shard in found:
        if not isfile(shard):
            problem = "is not a plain file" if exists(shard) else "does not exist"
            raise DataError(f"{setting}: the shard {show_name(shard)} {problem}", allowed=_ROOTS)
    twice = [shard for shard, count in Counter(found).items() if count > 1]
    if twice:
        raise DataError(f"{setting}={show_name(root)} names the shard {show_name(twice[0])} twice")
    return found


@dataclass(frozen=True)
class ShardParts:
    """The shards of both parts.

    Args:
        train: To train on.
        test: To test on; none where the source does not tell them apart.
        left_out: What else is there, by reason.
    """

    train: Sequence[Path]
    test: Sequence[Path] | None
    left_out: Mapping[str, int] = field(default_factory=dict)


def find_parts(root: str, test_root: str | None = None) -> ShardParts:
    """The shards of both parts.

    A folder's parts are its folders, as in :func:`train_and_test_folders`, or told by a word in
    the shards' names: ``train`` and one of ``test``, ``val``, ``validation``.

    Args:
        root: See :func:`find_shards`.
        test_root: The same for the test part; none: what ``root`` holds.

    Raises:
        DataError: See :func:`find_shards`; or some shards of a folder are of no part.
    """
    train, test = _parts(root)
    roots = [root]
    if test_root:
        test = find_shards(test_root, "data.test_root")
        roots.append(test_root)
    left_out: Counter[str] = Counter()
    folders = {path for name in roots if isdir(path := place_of(name))}
    for folder in folders:
        if not folders.intersection(folder.parents):  # else it was counted with that one
            left_out += _rest(folder, {*train, *(test or ())})
    return ShardParts(train, test, left_out)


def _rest(folder: Path, used: set[Path]) -> Counter[str]:
    """What a folder holds beside the shards that are used."""
    found = walk(FolderTree(folder, "data.root"))
    left_out = Counter(found.left_out)
    shards = left_out.pop(rule.other_file("x.tar"), 0)
    unused = shards - sum(folder in shard.parents for shard in used)
    counts = {"shards not used": unused, f"{rule.UNUSED}: {show_name(folder)}": len(found.images)}
    left_out.update({reason: count for reason, count in counts.items() if count > 0})
    return left_out


def _parts(root: str) -> tuple[list[Path], list[Path] | None]:
    _check_local(root, "data.root")
    train, test = train_and_test_folders(root)
    if test is not None:
        return find_shards(str(train)), find_shards(str(test))
    shards = find_shards(root)
    if not isdir(place_of(root)):
        return shards, None
    parts: dict[str, list[Path]] = {}
    for shard in shards:
        words = re.split("[^a-z]+", shard.name.lower())
        part = next((part for part in ("train", *TEST_FOLDERS) if part in words), "")
        parts.setdefault(part, []).append(shard)
    name = next((name for name in TEST_FOLDERS if name in parts), None)
    if name is None or "train" not in parts:
        return shards, None
    if "" in parts:
        raise DataError(
            f"data.root: {show_name(parts[''][0])} lies beside shards of training and test images",
            allowed=f"train or one of {', '.join(TEST_FOLDERS)} in the name",
            fix="name the shards with data.root= and data.test_root=",
        )
    return parts["train"], parts[name]


def _check_local(root: str, setting: str) -> None:
    if _REMOTE.match(root):
        raise DataError(
            f"{setting}: {show_name(root)} is not on this machine",
            allowed=_ROOTS,
            fix="copy the shards here",
        )


def _pattern(path: Path) -> str:
    """For ``glob``: in the names of folders that there are, brackets mean themselves."""
    folder = str(path.parent)
    return str(Path(escape(folder) if isdir(folder) else folder) / path.name)


def _expand(text: str) -> list[str]:
    """What a shell makes of ``{0000..0099}`` and ``{a,b}``."""
    pieces = re.split(r"\{([^{}]*(?:\.\.|,)[^{}]*)\}", text)
    choices = [_choices(piece) if i % 2 else [piece] for i, piece in enumerate(pieces)]
    return ["".join(parts) for parts in product(*choices)]


def _choices(text: str) -> list[str]:
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    if numbers is None:
        return text.split(",")
    first, last = numbers.groups()
    return [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
