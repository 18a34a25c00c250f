"""Drawn cells: well-formed, complete, and nothing on top of anything else."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree

import pytest

from fewshot_core.spaces.space import Architecture
from fewshot_tasks.cifar10.draw import LABELS, cell_svg
from fewshot_tasks.cifar10.space import OPERATIONS, nasbench201

SPACE = nasbench201()
NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(genotype: str) -> ElementTree.Element:
    return ElementTree.fromstring(cell_svg(SPACE, SPACE.parse(genotype)))


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{NAMESPACE}text")]


def test_every_operation_is_labelled() -> None:
    rng = random.Random(0)
    for _ in range(200):
        architecture = SPACE.sample(rng)
        root = ElementTree.fromstring(cell_svg(SPACE, architecture))
        labels = sorted(text for text in texts(root) if text in LABELS.values())
        assert labels == sorted(LABELS[str(o)] for o in architecture.choices if o != "none")
        assert [text for text in texts(root) if text in ("in", "1", "2", "out")] == [
            "in", "1", "2", "out",
        ]  # fmt: skip


def test_what_leads_nowhere_is_faint() -> None:
    root = drawn("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    faint = [group for group in root.iter(f"{NAMESPACE}g") if group.get("opacity")]
    assert [text for group in faint for text in texts(group)] == ["conv 3×3"]
    dashed = [e for e in root.iter(f"{NAMESPACE}circle") if e.get("stroke-dasharray")]
    assert len(dashed) == 2


def test_a_cell_without_a_path_says_so() -> None:
    empty = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert "no path from input to output" in texts(drawn(empty))


@pytest.mark.parametrize("operation", OPERATIONS[1:])
def test_labels_lie_inside_and_apart(operation: str) -> None:
    """All edges present, which is the fullest there can be."""
    architecture = Architecture(SPACE.name, (operation,) * len(SPACE.edges))
    root = ElementTree.fromstring(cell_svg(SPACE, architecture))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    boxes = []
    for element in root.iter(f"{NAMESPACE}text"):
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        half = 0.3 * 14 * len(element.text or "")  # about 0.6 em for a character
        boxes.append((x - half, y - 12, x + half, y + 3))
        assert boxes[-1][0] >= 0
        assert boxes[-1][1] >= 0
        assert boxes[-1][2] <= width
        assert boxes[-1][3] <= height
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_it_follows_the_colour_of_the_page() -> None:
    svg = cell_svg(SPACE, SPACE.sample(random.Random(1)))
    assert "currentColor" in svg
    assert "#fff" not in svg
    assert "<title>cell |" in svg
