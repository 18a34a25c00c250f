"""The slider of what a training made: few and small pictures, the first and the last among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewshot_core.contexts import Moment, Moments
from fewshot_core.errors import RunFolderError
from fewshot_core.report.moments import CHARACTERS, MOST, read_slides, slides_section

from .test_html import Reader


def moments_of(folder: Path, count: int, side: int) -> Moments:
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    made = []
    for step in range(count):
        path = folder / f"{step}.png"
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
        made.append(Moment(step, path, f"FID <{step}>"))
    return Moments("made", made, made[0].picture, "progress")


def test_the_first_and_the_last_are_shown(tmp_path: Path) -> None:
    slides = read_slides(moments_of(tmp_path, 31, 8))
    assert len(slides.frames) == MOST
    assert (slides.frames[0].label, slides.frames[-1].label) == ("step 0", "step 30")
    text = slides_section(slides)
    Reader(text)
    assert text.count("<img") == MOST + 1
    assert "step 30: FID &lt;30&gt;" in text
    assert 'max="9" value="9"' in text
    one = read_slides(replace(moments_of(tmp_path, 1, 8), real=None))
    assert [frame.label for frame in one.frames] == ["step 0"]
    assert "Real" not in slides_section(one)
    assert slides_section(None) == ""


def test_large_pictures_are_fewer_and_no_larger_than_a_page_bears(tmp_path: Path) -> None:
    slides = read_slides(moments_of(tmp_path, 12, 512))
    assert 2 <= len(slides.frames) < MOST
    assert sum(len(frame.picture) for frame in slides.frames) <= CHARACTERS
    assert all(frame.picture.startswith("data:image/jpeg") for frame in slides.frames)


def test_a_damaged_picture_is_one_line(tmp_path: Path) -> None:
    moments = moments_of(tmp_path, 2, 8)
    moments.moments[1].picture.write_bytes(b"no image")
    with pytest.raises(RunFolderError, match=r"1\.png is damaged"):
        read_slides(moments)
