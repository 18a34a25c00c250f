"""Files that are no images, or odd ones: what is read all the same, and one line for the rest."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fewshot_core.data.decode import FORMATS, check_readable, decode, open_all
from fewshot_core.data.folders import list_images
from fewshot_core.errors import DataError
from tests.data.forms import images, loader, png, samples, write_folder, write_tar

load, refused = loader("images")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "set", images(4))


def stored(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A PNG file that claims to have ``side`` x ``side`` pixels and has none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
CUT = stored(Image.fromarray(NOISE), "PNG")[:5000]
DAMAGED = {
    "empty": (b"", "an empty file"),
    "text": (b"no image", f"none of {', '.join(FORMATS)}"),
    "cut": (CUT, "truncated"),
    "bomb": (bomb(60_000), "decompression bomb"),
    "deep": (stored(Image.fromarray(np.full((4, 4), 4000, np.uint16)), "PNG"), "PIL mode I;16"),
    "float": (stored(Image.new("F", (4, 4)), "TIFF"), "PIL mode F"),
    "header": (png(0)[:20], "cannot be read"),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("memory", [True, False])
def test_one_line_for_each_kind(root: Path, kind: str, memory: bool) -> None:
    data, reason = DAMAGED[kind]
    for path in (root / "cat").iterdir():
        path.write_bytes(data)
    line = refused(root, memory=memory)
    assert f"the image {root}/cat/00" in line
    assert reason in line


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("source", ["images", "wds"])
def test_all_that_is_damaged_is_told_at_once(tmp_path: Path, source: str, memory: bool) -> None:
    rows = [(label, b"no image" if i % 3 == 1 else d) for i, (label, d) in enumerate(images(10))]
    root = write_folder(tmp_path / "set", rows)
    if source == "wds":
        root = write_tar(tmp_path / "a.tar", samples(rows))
    line = loader(source)[1](root, memory=memory, test=0.1)  # of every class one is not read
    damaged = line.count("the image ")
    assert damaged == 6
    assert "cannot be read | found: none of JPEG" in line
    assert any(f"and {n} more: the image {root}" in line for n in (6, 7, 8, 9))
    assert line.endswith("; and so on")


def test_the_first_image_is_told_with_the_others(root: Path) -> None:
    for path in root.glob("*/*.png"):
        path.write_bytes(b"")
    assert "and 8 more" in refused(root)  # one image of each class is a test image


def test_images_can_be_looked_at_beforehand(root: Path) -> None:
    listing = list_images(root)
    every = torch.arange(12)
    check_readable(listing, every)
    open_all(listing, every)
    (root / "dog" / "005.png").write_bytes(CUT)
    open_all(listing, every)  # its header is whole
    with pytest.raises(DataError, match=r"dog/005\.png cannot be read \| found: .*truncated"):
        check_readable(listing, every)
    (root / "dog" / "006.png").unlink()
    (root / "eel" / "008.png").write_bytes(DAMAGED["deep"][0])
    with pytest.raises(DataError) as caught:
        open_all(listing, every)
    assert "dog/006.png cannot be read | found: No such file or directory" in str(caught.value)
    assert f"and 1 more: the image {root}/eel/008.png has more than 8 bits" in str(caught.value)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_modes_that_are_read(root: Path, mode: str) -> None:
    form = "JPEG" if mode in ("CMYK", "YCbCr") else "TIFF" if mode == "PA" else "PNG"
    image = Image.new("RGB", (8, 8), (200, 100, 50)).convert(mode)
    (root / "cat" / "000.png").write_bytes(stored(image, form))
    listing = list_images(root)
    [pixels] = decode(listing, torch.tensor([0]), 8, 3)
    if mode == "1":
        assert pixels.unique().tolist() == [0, 255]
        return
    wanted = (124, 124, 124) if mode in ("L", "LA") else (200, 100, 50)
    nearly = 60 if mode in ("P", "PA") else 2  # the next colour of the palette
    assert np.abs(pixels[:, 3, 3].numpy().astype(int) - wanted).max() <= nearly


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3)])
def test_sizes_that_are_read(root: Path, size: tuple[int, int]) -> None:
    (root / "cat" / "000.png").write_bytes(stored(Image.new("RGB", size, (9, 8, 7)), "PNG"))
    for side in (1, 8):
        [pixels] = decode(list_images(root), torch.tensor([0]), side, 3)
        assert pixels.flatten(1).unique(dim=1).tolist() == [[9], [8], [7]]


def test_large_images_are_read_without_a_warning(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(root)
        palette = Image.new("P", (4, 4))
        palette.info["transparency"] = b"\0\1"
        (root / "cat" / "000.png").write_bytes(stored(palette, "PNG"))
        load(root, labelled=False, memory=False).train.pixels(torch.arange(3))
