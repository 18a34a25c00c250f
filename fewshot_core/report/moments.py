"""What a network made along its training: a slider, with real images beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from fewshot_core.contexts import Moment, Moments
from fewshot_core.errors import RunFolderError
from fewshot_core.report.markup import section

MOST = 10
"""Moments that are shown."""

CHARACTERS = 700_000
"""Of all pictures of the slider, at most; where they take more, fewer moments are shown."""

EXACT = 30_000
"""Bytes up to which an image file is taken as it is; of a larger one a JPEG is made."""


@dataclass(frozen=True)
class Frame:
    """A moment of the slider: its label, what was measured, and ``data:`` address."""

    label: str
    text: str
    picture: str


@dataclass(frozen=True)
class Slides:
    """The slider of a page.

    Attributes:
        caption: A sentence that says what is shown.
        frames: In their order.
        real: ``data:`` address of real images; None: there are none.
        instead_of: Name of a picture that shows no more than this.
    """

    caption: str
    frames: Sequence[Frame]
    real: str | None = None
    instead_of: str = ""


def read_slides(moments: Moments) -> Slides:
    """The slider of what a training made, its image files read.

    Raises:
        RunFolderError: One of them is damaged.
    """
    real = None if moments.real is None else _embed(moments.real)
    frames: list[Frame] = []
    for count in range(min(MOST, len(moments.moments)), 0, -1):
        chosen = _spread(moments.moments, count)
        frames = [Frame(f"step {one.step:,}", one.text, _embed(one.picture)) for one in chosen]
        if sum(len(frame.picture) for frame in frames) <= CHARACTERS:
            break
    return Slides(moments.caption, frames, real, moments.instead_of)


def _spread(moments: Sequence[Moment], count: int) -> list[Moment]:
    """The first, the last, and some between them."""
    return [moments[i * (len(moments) - 1) // max(1, count - 1)] for i in range(count)]


def _embed(path: Path) -> str:
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            kind = "png" if image.format == "PNG" and len(content) <= EXACT else "jpeg"
            if kind == "jpeg":
                file = io.BytesIO()
                image.convert("RGB").save(file, "JPEG", quality=82)
                content = file.getvalue()
    except (OSError, SyntaxError, ValueError) as error:
        raise RunFolderError(
            f"{path} is damaged", found=str(error)[:120], fix="delete it"
        ) from None
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def slides_section(slides: Slides | None) -> str:
    """The section; without the script of the page all moments stand in a row."""
    if slides is None:
        return ""
    last = len(slides.frames) - 1
    frames = "".join(_figure(frame) for frame in slides.frames)
    real = ""
    if slides.real is not None:
        real = (
            f'<figure class="real"><img src="{slides.real}" alt="As many real images">'
            "<figcaption>Real: as many training images, none of them chosen.</figcaption></figure>"
        )
    return section(
        "While it was trained",
        f'<p class="note">{escape(slides.caption)}</p>'
        '<div class="slides"><p class="script"><label>Moment of the training '
        f'<input type="range" min="0" max="{last}" value="{last}" step="1"></label></p>'
        f'<div class="pair"><div class="frames">{frames}</div>{real}</div></div>',
    )


def _figure(frame: Frame) -> str:
    text = f": {frame.text}" if frame.text else ""
    return (
        f'<figure data-label="{escape(frame.label)}"><img src="{frame.picture}" '
        f'alt="Samples at {escape(frame.label)}"><figcaption>{escape(frame.label)}{escape(text)}'
        "</figcaption></figure>"
    )
