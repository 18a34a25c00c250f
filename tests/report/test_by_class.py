"""Class by class: what a page shows of what retrained networks said of the test images."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest
import torch

from fewshot_core.data.thumbnails import require_thumbnail, thumbnail
from fewshot_core.errors import RunFolderError
from fewshot_core.pipeline.report import write_report
from fewshot_core.pipeline.run import Run
from fewshot_core.runs.files import read_json, write_json, write_text

from .conftest import MakeRun
from .test_html import Reader

PICTURE = thumbnail(torch.zeros(1, 8, 8, dtype=torch.uint8))


def keep_predictions(run: Run, confusions: Sequence[tuple[int, int, int]], classes: int) -> None:
    """As if every retrained network had confused classes so, each of 40 test images."""
    wrong = dict.fromkeys(range(classes), 0)
    for label, _, count in confusions:
        wrong[label] += count
    kept = {
        "images": [40] * classes,
        "right": [40 - wrong[label] for label in range(classes)],
        "confusions": confusions,
        "worst": [
            {"image": 7, "class": a, "predicted": b, "given": 0.1, "likely": 0.8,
             "picture": PICTURE}
            for a, b, _ in [*confusions, (1, 1, 0)]
        ],
    }  # fmt: skip
    for result in read_json(run.folder.file("retrain.json"))["results"]:
        folder = run.folder.file("retrain", f"{result['id']}-{result['seed']}")
        write_text(folder / "predictions.json", json.dumps(kept))


def section_of(run: Run) -> str:
    text = write_report(run).read_text()
    Reader(text)
    return text.partition("<h2>Class by class</h2>")[2].partition("</section>")[0]


def test_a_run_of_an_earlier_version_has_no_such_section(make_run: MakeRun) -> None:
    run = make_run(["retrain"])
    assert section_of(run) == ""
    keep_predictions(run, [(3, 5, 2)], 10)
    assert section_of(run)
    for path in run.folder.path.glob("retrain/*/predictions.json"):
        path.unlink()
    assert section_of(run) == ""


def test_the_matrix_is_a_table_of_all_seeds(make_run: MakeRun) -> None:
    run = make_run(["retrain"])
    data = read_json(run.folder.file("data.json"))
    names = [f"<{name}>" for name in "abcdefghij"]
    write_json(run.folder.file("data.json"), data | {"class_names": names})
    keep_predictions(run, [(3, 5, 2), (0, 1, 1)], 10)
    text = section_of(run)
    assert "9 of 1,200 answers of the networks of 3 seeds (found by the search) are wrong" in text
    assert "Hardest class: &lt;d&gt;, 95.0 % right" in text
    assert "&lt;d&gt; taken for &lt;f&gt;, 6 of 120" in text
    matrix = text.partition("<table")[2].partition("</table>")[0]
    assert matrix.count('scope="row"') == matrix.count('scope="col"') == 10
    cells = re.findall(r'<td class="(\w+)"[^>]*>([\d,]+)</td>', matrix)
    assert len(cells) == 100
    assert cells[33] == ("right", "114")
    assert cells[35] == ("wrong", "6")
    assert cells[36] == ("none", "0")
    assert sum(int(count) for _, count in cells) == 1200
    accuracies = text.partition("</figure>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", accuracies)
    assert re.findall(r"<th[^>]*>(.*?)</th>", rows[0]) == [
        "class", "images", "found", "random", "largest",
    ]  # fmt: skip
    assert re.findall(r"<td[^>]*>(.*?)</td>", rows[1]) == ["&lt;d&gt;", "40", *["95.0"] * 3]
    images = re.findall(r'<li class="(\w+)"><img [^>]*alt="([^"]*)"', text)
    assert images[0] == ("wrong", "Test image 7, class &lt;d&gt;, taken for &lt;f&gt;")
    assert images[-1] == ("right", "Test image 7, class &lt;b&gt;")


@pytest.mark.parametrize("classes", [30, 150])
def test_many_classes_are_drawn_or_listed(make_run: MakeRun, classes: int) -> None:
    run = make_run(["retrain"])
    keep_predictions(run, [(2, 9, 8), (3, 5, 2)], classes)
    text = section_of(run)
    squares = re.findall(r'<rect class="(?:right|wrong)"', text)
    assert len(squares) == (0 if classes > 100 else classes + 2)
    assert f"The other {classes - 20} classes" in text
    listed = text.partition("taken for</th>")[2]
    assert re.findall(r"<td[^>]*>(.*?)</td>", listed)[:4] == ["2", "9", "24", "20.0"]


def test_no_mistake_at_all(make_run: MakeRun) -> None:
    run = make_run(["retrain"])
    keep_predictions(run, [], 10)
    assert "0 of 1,200 answers of the networks of 3 seeds (found by the search) are wrong." in (
        section_of(run)
    )


@pytest.mark.parametrize(
    "damage",
    [
        {"right": [1]},
        {"confusions": [[0, 10, 1]]},
        {"confusions": []},
        {"confusions": [[3, 5, 3]]},
        {"confusions": [[3, 3, 2]]},
        {"right": [-1] * 10},
        {"worst": [{"image": 0}]},
        {"worst": [dict(zip(("image", "class", "predicted", "given", "likely"), [0] * 5,
                            strict=True)) | {"picture": 'x" onerror="alert(1)'}]},
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line(make_run: MakeRun, damage: dict[str, object]) -> None:
    run = make_run(["retrain"])
    keep_predictions(run, [(3, 5, 2)], 10)
    path = next(run.folder.path.glob("retrain/*/predictions.json"))
    write_json(path, read_json(path) | damage)
    with pytest.raises(RunFolderError, match=r"predictions\.json is damaged.*run fewshot retrain"):
        write_report(run)


def test_a_thumbnail_is_small_and_nothing_else() -> None:
    noise = torch.randint(0, 256, (3, 224, 224), dtype=torch.uint8)
    assert len(thumbnail(noise)) < 6000
    assert require_thumbnail(thumbnail(noise)).startswith("data:image/jpeg")
    assert PICTURE.startswith("data:image/png")
    for bad in ("data:image/svg+xml;base64,AAAA", PICTURE + '"', 7):
        with pytest.raises(ValueError, match="thumbnail"):
            require_thumbnail(bad)
