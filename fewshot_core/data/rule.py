"""The one rule of what is read: which names are images, what is left out and in which order.

Folders, tar files, shards and images without classes share it, so that the same files give the
same images however they are stored. An order here depends on names alone: not on the process, its
hash seed, the locale or the order in which a file system lists a folder.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from posixpath import splitext

ENDINGS = (
    ".apng", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pfm", ".pgm", ".png",
    ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Endings of images: all that Pillow knows for the formats in :data:`decode.FORMATS`."""

# Why something is left out. What follows ": " in a key says which; see :func:`left_out_line`.
HIDDEN_FILES = "hidden files"
HIDDEN_FOLDERS = "hidden folders"
OTHER_FILES = "files of other kinds"
SPECIAL_FILES = "special files"
BROKEN = "broken links"
LOOPS = "links back to a folder above"
TWICE = "folders reached a second time"
RUNS = "run folders"
EXPORTS = "exported models"
UNUSED = "images of folders not used"

MARKER = ".fewshot-nas.json"
"""The file by which a folder that was exported is known."""

_SYSTEM = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
_BEGUN = {".lock", "overrides.txt", "environment.json"}  # what a start that was killed leaves

_LONGEST_NAME = 255  # characters of a class name; what file systems allow for a folder
_DIGITS = 1000  # of a number in a name that count for its order; int() refuses some thousands
_DETAILS = 5  # kinds that are named for one reason
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # Unicode categories that break a line or cannot be written


def is_image(name: str) -> bool:
    """Whether a file of this name, or path, is taken for an image."""
    return splitext(name)[1].lower() in ENDINGS


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name belongs to an editor, archiver or system."""
    return name.startswith(".") or name in _SYSTEM


def is_hidden_path(path: str) -> bool:
    """Whether the file at this POSIX path is hidden, or lies in a hidden folder."""
    return any(map(is_hidden, path.split("/")))


def explain_as_ours(names: Collection[str]) -> str | None:
    """The reason to leave out a folder that holds these names: this program wrote it; else none."""
    if MARKER in names:
        return EXPORTS
    if "recipe.yaml" in names and (".lock" in names or "environment.json" in names):
        return RUNS
    return RUNS if ".lock" in names and _BEGUN.issuperset(names) else None


def other_file(name: str) -> str:
    """The reason to leave out a file that is no image."""
    return f"{OTHER_FILES}: {splitext(name)[1].lower() or 'no ending'}"


def endings_text() -> str:
    """What counts as an image."""
    return f"files ending in {', '.join(ENDINGS)}"


# --- orders


def natural_key(name: str) -> list[int | str]:
    """Sorts numbers in names by their value, and letters without regard to case.

    Different names may have one key; :func:`sort_naturally` tells them apart.
    """
    pieces = re.split(r"(\d+)", name.lower())
    # Only every other piece is digits to int(): "²" is a digit to str.isdigit().
    return [int(piece[:_DIGITS]) if i % 2 else piece for i, piece in enumerate(pieces)]


def sort_naturally(names: Iterable[str]) -> list[str]:
    """The names by natural order; those that it takes for equal by their characters."""
    return sorted(names, key=lambda name: (natural_key(name), name))


# --- names in messages, files and keys


def show_name(name: object) -> str:
    """A name or path for a message: one line that any terminal can show.

    Bytes that are not UTF-8, and characters that break a line, appear as escapes.
    """
    text = str(name)
    if text.isprintable():
        return text
    return "".join(
        char if unicodedata.category(char) not in _CONTROL else _escape(char) for char in text
    )


def key_of(path: str) -> str:
    """A path as a key that can be written as UTF-8; different paths have different keys."""
    try:
        path.encode()
    except UnicodeEncodeError:
        pass
    else:
        return path.replace("\\", "\\\\") if "\\" in path else path
    return "".join(
        _escape(char) if unicodedata.category(char) == "Cs" else char
        for char in path.replace("\\", "\\\\")
    )


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def name_problem(name: str) -> str | None:
    """What keeps a name from being that of a class; none: nothing.

    Names of classes are written to JSON, model cards and ONNX files.
    """
    if not name.strip():
        return "is empty"
    if len(name) > _LONGEST_NAME:
        return f"has {len(name)} characters, more than {_LONGEST_NAME}"
    categories = {unicodedata.category(char) for char in name} & _CONTROL
    if "Cs" in categories:
        return "is not UTF-8"
    return "has a control character in it" if categories else None


# --- what is said


def left_out_line(where: str, parts: Iterable[Mapping[str, int]]) -> str:
    """One line that counts what was left out by reason; empty where that is nothing.

    Args:
        where: The data, as the user named it.
        parts: For each part the reasons with their numbers. A reason may say which, after ": ".

    Returns:
        Such as ``left out of /my/images: 3 hidden files, 2 files of other kinds (.txt 2)``.
    """
    text = counts_text(parts)
    return f"left out of {show_name(where)}: {text}" if text else ""


def counts_text(parts: Iterable[Mapping[str, int]]) -> str:
    """What :func:`left_out_line` says after the colon."""
    totals: Counter[str] = Counter()
    details: dict[str, Counter[str]] = {}
    for part in parts:
        for key, count in part.items():
            reason, _, detail = key.partition(": ")
            totals[reason] += count
            if detail:
                details.setdefault(reason, Counter())[detail] += count
    return ", ".join(
        _count_in_words(reason, totals[reason], details.get(reason, {}))
        for reason in sorted(totals)
    )


def _count_in_words(reason: str, count: int, details: Mapping[str, int]) -> str:
    if count == 1:
        reason = re.sub(r"\b(file|folder|image|link|model|row|shard)s\b", r"\1", reason, count=1)
    ranked = sorted(details.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{show_name(detail)} {number}" for detail, number in ranked[:_DETAILS]]
    more = ["..."] if len(ranked) > _DETAILS else []
    return f"{count} {reason}" + (f" ({', '.join(named + more)})" if named else "")
