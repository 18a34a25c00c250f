"""Small pictures of images, as text that a report can embed."""

from __future__ import annotations

import base64
import io
import re

from PIL import Image
from torch import Tensor

from fewshot_core.data.images import as_picture

SIDE = 64
"""Pixels of a side, at most."""

EXACT = 32
"""Up to so many pixels a side an image is kept as it is; a larger one as JPEG, in a tenth."""

_TEXT = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}")


def thumbnail(pixels: Tensor, side: int = SIDE) -> str:
    """An image as a ``data:`` address.

    Args:
        pixels: uint8 ``[C, H, W]``, C 1 or 3.
        side: A larger image is reduced to so many pixels a side.
    """
    picture = as_picture(pixels)
    picture.thumbnail((side, side), Image.Resampling.BOX)
    small = max(picture.size) <= EXACT
    content = io.BytesIO()
    if small:
        picture.save(content, "PNG", optimize=True)
    else:
        picture.save(content, "JPEG", quality=85)
    text = base64.b64encode(content.getvalue()).decode("ascii")
    return f"data:image/{'png' if small else 'jpeg'};base64,{text}"


def require_thumbnail(text: object) -> str:
    """What a file keeps as a thumbnail, if it is nothing else: it goes into pages as it is.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(text, str) or not _TEXT.fullmatch(text):
        raise ValueError("no thumbnail")
    return text
