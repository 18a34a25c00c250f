"""The data of a run: samples of its classes, escaped, and absent where nothing was kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fewshot_core.data.thumbnails import thumbnail
from fewshot_core.errors import RunFolderError
from fewshot_core.pipeline.report import write_report
from fewshot_core.pipeline.run import Run
from fewshot_core.runs.files import read_json, write_json

from .conftest import MakeRun
from .test_html import Reader

PICTURE = thumbnail(torch.zeros(3, 40, 40, dtype=torch.uint8))


def keep_classes(run: Run, classes: int, shown: int) -> Path:
    path = run.folder.file("classes.json")
    counts = {"train": list(range(100, 100 + classes)), "test": [7] * classes}
    samples = [{"class": label, "pictures": [PICTURE] * 2} for label in range(shown)]
    write_json(path, {"counts": counts, "samples": samples})
    data = read_json(run.folder.file("data.json"))
    names = [f"<class {label}>" for label in range(classes)]
    write_json(run.folder.file("data.json"), data | {"class_names": names})
    return path


def section_of(run: Run) -> str:
    text = write_report(run).read_text()
    Reader(text)
    return text.partition("<h2>Data</h2>")[2].partition("</section>")[0]


def test_every_class_has_its_counts_and_samples(make_run: MakeRun) -> None:
    run = make_run(["search"])
    assert "<img" not in section_of(run)
    keep_classes(run, 3, 3)
    text = section_of(run)
    assert "<strong>&lt;class 2&gt;</strong> <small>102 training · 7 test</small>" in text
    assert text.count(f'<img src="{PICTURE}" alt="">') == 6
    assert "2 training images of class &lt;class 2&gt;" in text
    assert "are shown" not in text


def test_of_many_classes_the_counts_are_a_table(make_run: MakeRun) -> None:
    run = make_run(["search"])
    keep_classes(run, 1000, 20)
    text = section_of(run)
    assert "20 of the 1,000 classes are shown" in text
    assert text.partition("<details>")[2].count("<tr>") == 1001


def test_images_without_classes(make_run: MakeRun) -> None:
    run = make_run(["search"])
    keep_classes(run, 1, 1)
    text = section_of(run)
    assert 'class="classes one"' in text
    assert "&lt;class 0&gt;" not in text


@pytest.mark.parametrize(
    "damage",
    [
        {"counts": {"train": [1], "test": [1, 2]}},
        {"samples": [{"class": 5, "pictures": []}]},
        {"samples": [{"class": 0, "pictures": ["javascript:alert(1)"]}]},
    ],
)
def test_a_damaged_file_is_one_line(make_run: MakeRun, damage: dict[str, object]) -> None:
    run = make_run(["search"])
    path = keep_classes(run, 3, 3)
    write_json(path, read_json(path) | damage)
    with pytest.raises(RunFolderError, match=r"classes\.json is damaged"):
        write_report(run)
