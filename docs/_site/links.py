"""Links of Markdown pages: relative in the files, so that they work on GitHub, and on the site.

The rule: a link is relative to the file it stands in. One that leaves `docs` names a file or folder
of the repository; on the site it becomes its address there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

_FENCE = re.compile(r"^(?:```|~~~).*?^(?:```|~~~)[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n\s*\n).)+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s]+)(?P<after>\))")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.*?)[ \t]*#*$", re.MULTILINE)


def without_code(text: str) -> str:
    """The text with its code blanked out, every other character where it was."""
    for code in (_FENCE, _CODE):
        text = code.sub(lambda found: re.sub(r"[^\n]", "\0", found.group()), text)
    return text


def targets(text: str) -> Iterator[str]:
    """What the links and pictures of a page name, in order; code is not read."""
    # A link's text may be code, and only its target counts.
    yield from (found["target"] for found in _LINK.finditer(without_code(text)))


def is_external(target: str) -> bool:
    """Whether a link names a page of somebody else."""
    return re.match(r"[a-z]+:", target) is not None


def rewrite(text: str, change: Callable[[str], str]) -> str:
    """The page with every relative target changed; code and addresses are left as they are."""
    pieces, end = [], 0
    for found in _LINK.finditer(without_code(text)):
        pieces.append(text[end : found.start("target")])
        target = found["target"]
        own = target.startswith("#") or is_external(target)
        pieces.append(target if own else change(target))
        end = found.end("target")
    return "".join([*pieces, text[end:]])


def on_site(target: str, folder: Path, docs: Path, repository: str) -> str:
    """The target as the site has it.

    Args:
        target: A relative link.
        folder: The folder of the file it stands in.
        docs: The folder of the pages.
        repository: Address of its files, with ``{kind}`` for ``blob`` or ``tree``.

    Raises:
        FileNotFoundError: The repository has no such file.
    """
    path, mark, anchor = target.partition("#")
    file = Path(os.path.normpath(folder / path))
    if not file.exists():
        raise FileNotFoundError(f"{target}: there is no {file}")
    if file.suffix == ".ipynb" or docs not in file.parents:
        kind = "tree" if file.is_dir() else "blob"
        name = file.relative_to(docs.parent).as_posix()
        return f"{repository.format(kind=kind)}/{name}{mark}{anchor}"
    return target


def anchors(text: str) -> list[str]:
    """The anchors of the headings of a page, as GitHub and the site make them."""
    found: list[str] = []
    plain = _FENCE.sub("", text)
    for heading in _HEADING.findall(plain):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        again = sum(1 for other in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other))
        found.append(f"{slug}-{again}" if again else slug)
    return found
