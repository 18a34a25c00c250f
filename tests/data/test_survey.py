"""A look at all images of a source, on made ones with everything that can be wrong."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from fewshot_core.data import survey as module
from fewshot_core.data.sources import list_parts
from fewshot_core.data.survey import Survey, images_to_read, take_survey
from fewshot_core.errors import DataError
from fewshot_core.pipeline.survey_words import choice_table, concerns, found_table
from fewshot_core.recipe.fitting import FittedSetting
from fewshot_core.recipe.schema import DataSettings


def encoded(value: int, form: str = "PNG", mode: str = "RGB", side: int = 40, **more: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.linear_gradient("L").resize((side + value % 3, side)).point(lambda p: p ^ value)
    image.convert(mode).save(buffer, form, **more)
    return buffer.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def survey_of(root: Path) -> Survey:
    return take_survey(list_parts(DataSettings(source="images", root=str(root))))


def plain(count: int, start: int = 0) -> dict[str, bytes]:
    return {f"{name}/{i:03}.png": encoded(start + i + 100 * k)
            for k, name in enumerate(("cat", "dog")) for i in range(count)}  # fmt: skip


def test_what_there_is(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    files = plain(4) | {
        "cat/a.webp": encoded(50, "WEBP"),
        "cat/b.gif": encoded(51, "GIF", "P"),
        "cat/c.tiff": encoded(52, "TIFF", "CMYK"),
        "cat/d.jpg": encoded(53, "JPEG", exif=turned),
        "cat/e.png": encoded(54, mode="RGBA", side=20),
        "cat/f.bmp": encoded(55, "BMP", "L", side=10),
        "cat/notes.txt": b"x",
    }
    seen: list[tuple[int, int]] = []
    parts = list_parts(DataSettings(source="images", root=str(write(tmp_path, files))))
    survey = take_survey(parts, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (14, 14)
    assert len(seen) == images_to_read(parts) == 14
    assert survey.train.counts == {"cat": 10, "dog": 4}
    assert survey.formats == {"PNG": 9, "WEBP": 1, "GIF": 1, "TIFF": 1, "JPEG": 1, "BMP": 1}
    assert survey.modes == {"RGB": 10, "P": 1, "CMYK": 1, "RGBA": 1, "L": 1}
    assert (survey.transparent, survey.rotated, survey.bad, survey.sampled) == (1, 1, [], False)
    assert "1 file of other kinds" in survey.left_out
    facts = survey.facts()
    assert (facts.images, facts.classes, facts.smallest) == (14, 2, 4)
    assert (facts.side, facts.channels, facts.tested) == (40, 3, None)
    said = list(concerns(survey, 96))
    assert any("1 class has fewer than 10 images: dog 4" in line for line in said)
    assert any("14 images have a side of less than half of 96 pixels" in line for line in said)
    assert any("EXIF" in line for line in said)


def test_every_bad_file_is_listed(tmp_path: Path) -> None:
    whole = encoded(1, "JPEG", side=400)
    bad = {
        "cat/empty.png": b"",
        "cat/text.jpg": b"not an image",
        "cat/cut.jpg": whole[: len(whole) // 2],
        "dog/deep.png": encoded(3, mode="I;16"),
        **{f"dog/{i}.jpg": b"GIF89a" for i in range(20)},
    }
    survey = survey_of(write(tmp_path, plain(3) | bad))
    assert {Path(name).relative_to(tmp_path).as_posix() for name, _ in survey.bad} == set(bad)
    faults = {Path(name).name: fault for name, fault in survey.bad}
    assert faults["empty.png"] == "an empty file"
    assert faults["deep.png"].startswith("more than 8 bits per channel")
    assert faults["text.jpg"].startswith("none of JPEG")
    assert "truncated" in faults["cut.jpg"]
    assert survey.looked_at == len(survey) == 30


def test_nothing_but_bad_files(tmp_path: Path) -> None:
    survey = survey_of(write(tmp_path, {"cat/1.png": b"", "dog/1.png": b""}))
    with pytest.raises(DataError, match=r"no image of .* can be read"):
        survey.facts()
    found_table(survey)


def test_copies_within_and_between_parts(tmp_path: Path) -> None:
    train = {f"train/{name}": content for name, content in plain(3).items()}
    test = {f"valid/{name}": content for name, content in plain(3, 40).items()}
    train["train/cat/again.png"] = train["train/cat/000.png"]
    train["train/dog/other.png"] = train["train/cat/001.png"]
    test["valid/dog/seen.png"] = train["train/dog/002.png"]
    survey = survey_of(write(tmp_path, train | test))
    names = [tuple(Path(name).name for name in pair) for pair in survey.copies]
    assert names == [("again.png", "000.png"), ("other.png", "001.png")]
    assert [Path(one).name for one, _ in survey.contradictions] == ["other.png"]
    assert [tuple(Path(n).name for n in pair) for pair in survey.crossing] == [
        ("seen.png", "002.png")
    ]
    assert survey.facts().tested == 7
    text = " ".join(concerns(survey, 32))
    assert "1 image lies in two classes as the same file" in text
    assert "2 images are copies of others: " in text
    assert "test figures will be too high" in text


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "valid"), ("train", "val"), ("training", "validation"), ("train", "test")],
)
def test_folders_of_parts(tmp_path: Path, train: str, test: str) -> None:
    files = {f"{train}/{name}": content for name, content in plain(4).items()}
    files |= {f"{test}/{name}": content for name, content in plain(2, 40).items()}
    survey = survey_of(write(tmp_path, files))
    assert (len(survey.train), survey.facts().tested) == (8, 4)


def test_many_images_are_sampled_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WHOLE", 10)
    monkeypatch.setattr(module, "SAMPLE", 6)
    survey = survey_of(write(tmp_path, plain(10)))
    assert (survey.looked_at, len(survey.sizes), len(survey)) == (6, 6, 20)
    assert survey.sampled
    assert "those of 6 images, taken at equal distances from all 20" in next(
        iter(concerns(survey, 32))
    )


def test_uneven_classes(tmp_path: Path) -> None:
    files = {f"cat/{i}.png": encoded(i) for i in range(50)}
    files |= {f"dog/{i}.png": encoded(i + 100) for i in range(10)}
    said = list(concerns(survey_of(write(tmp_path, files)), 40))
    assert said == [
        "classes are uneven: cat has 50 images, dog 10; always to say cat would be right in 83 %"
    ]


@pytest.mark.parametrize("width", [80, 200])
def test_words_that_are_typed_come_out_whole(width: int, tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None)
    reason = "a reason of many words " * 8
    console.print(choice_table([FittedSetting("retrain.augment", "rand-m9-mstd0.5", reason)] * 3))
    console.print(found_table(survey_of(write(tmp_path / "[red]x", plain(2)))))
    lines = out.getvalue().splitlines()
    assert sum("  retrain.augment=rand-m9-mstd0.5  " in line for line in lines) == 3
    assert max(map(len, lines)) <= width
    assert "[red]x" in out.getvalue().replace("\n", "").replace(" ", "")
