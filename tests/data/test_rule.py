"""The rule that all sources share: what is an image, in which order, what is said of the rest."""

from __future__ import annotations

import itertools
import random

import pytest
from PIL import Image

from fewshot_core.data import rule
from fewshot_core.data.decode import FORMATS
from fewshot_core.data.labels import check_classes, number_classes
from fewshot_core.data.problems import Problems
from fewshot_core.errors import DataError


def test_images_are_what_pillow_can_open() -> None:
    Image.init()
    assert set(rule.ENDINGS) == {e for e, form in Image.EXTENSION.items() if form in FORMATS}
    assert all(rule.is_image(f"deep.er/x{ending.upper()}") for ending in rule.ENDINGS)
    assert not any(map(rule.is_image, ("x.heic", "x.png.part", "png", ".png", "x.png/y", "")))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("A a B b", "A a B b"),
        ("x10 x9 X9 x09", "X9 x09 x9 x10"),
        ("01 1 001 2", "001 01 1 2"),
        ("cafe\u0301 caf\u00e9", "cafe\u0301 caf\u00e9"),
        ("5² 5 ²", "5 5² ²"),
        ("ss SS \u00df", "SS ss \u00df"),
    ],
)
def test_the_order_is_total(names: str, order: str) -> None:
    """Whatever order they come in: names that sort alike are told apart by their characters."""
    for shuffled in itertools.permutations(names.split()):
        assert rule.sort_naturally(shuffled) == order.split()


def test_numbers_longer_than_python_reads() -> None:
    names = ["1" * 5000, "1" * 5000 + "2", "2"]
    assert rule.sort_naturally(reversed(names)) == ["2", *names[:2]]


def test_labels_are_in_the_order_of_folders() -> None:
    values = ["b", "A", "a", 10, "B", 9, "9"]
    random.Random(0).shuffle(values)
    names, labels = number_classes("here", values)
    assert names == ("9", "10", "A", "a", "B", "b")
    assert [names[label] for label in labels.tolist()] == list(map(str, values))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("caf\udce9", r"here: the class 'caf\xe9' is not UTF-8"),
        ("a\nb", r"here: the class 'a\nb' has a control character in it"),
        ("\x1b[31m", r"'\x1b[31m' has a control character"),
        ("a\u2028b", r"'a\u2028b' has a control character"),
        ("", "the class '' is empty"),
        (" ", "the class ' ' is empty"),
        ("n" * 256, "has 256 characters, more than 255"),
    ],
)
def test_names_that_cannot_be_written(name: str, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        check_classes("here", ["cat", name])
    assert problem in str(caught.value)
    str(caught.value).encode()


def test_every_other_name_can() -> None:
    check_classes("here", ["[red]", "👩\u200d🔬", "a\u00a0b", "%s", "<b>", '"', "\\", "é" * 255])


def test_keys_are_unique_and_can_be_written() -> None:
    paths = ["a/\udcff.png", "a/\\xff.png", "a/\\\\xff.png", "a/ÿ.png", "a/\n.png"]
    keys = [rule.key_of(path) for path in paths]
    assert len(set(keys)) == len(paths)
    assert "".join(keys).encode()
    assert rule.key_of("cats/1.png") == "cats/1.png"


def test_names_are_shown_in_one_line() -> None:
    assert rule.show_name("a\nb\udcffc\r\x1b[0m") == r"a\nb\xffc\r\x1b[0m"
    assert rule.show_name("[red] 日本") == "[red] 日本"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["recipe.yaml", "environment.json"], rule.RUNS),
        ([".lock", "recipe.yaml", "x"], rule.RUNS),
        ([".lock"], rule.RUNS),
        ([".lock", "overrides.txt", "environment.json"], rule.RUNS),
        ([".fewshot-nas.json", "model.safetensors"], rule.EXPORTS),
        ([".lock", "1.png"], None),
        (["recipe.yaml", "1.png"], None),
        (["environment.json"], None),
        ([], None),
    ],
)
def test_folders_of_this_program(names: list[str], reason: str | None) -> None:
    assert rule.explain_as_ours(names) == reason


def test_what_was_left_out_is_one_line() -> None:
    parts = [
        {"hidden files": 2, "files of other kinds: .txt": 1, "files of other kinds: .heic": 30},
        {"hidden files": 1, "broken links": 1, "files of other kinds: .txt": 1},
    ]
    assert rule.left_out_line("/my/images", parts) == (
        "left out of /my/images: 1 broken link, 32 files of other kinds (.heic 30, .txt 2), "
        "3 hidden files"
    )
    assert rule.left_out_line("/my/images", [{}, {}]) == ""
    many = {f"files of other kinds: .{i}": 9 - i for i in range(7)}
    assert "(.0 9, .1 8, .2 7, .3 6, .4 5, ...)" in rule.left_out_line("\n", [many])


def test_problems_are_told_together() -> None:
    Problems().check()
    errors = [
        DataError(f"the image {i} cannot be read", found=i, fix="remove it") for i in range(9)
    ]
    with pytest.raises(DataError) as caught:
        Problems(errors[:1]).check()
    assert str(caught.value) == "the image 0 cannot be read | found: 0 | to fix: remove it"
    with pytest.raises(DataError) as caught:
        Problems(errors).check()
    assert str(caught.value) == (
        "the image 0 cannot be read | found: 0 | to fix: remove it | and 8 more: "
        + "; ".join(f"the image {i} cannot be read" for i in range(1, 6))
        + "; and so on"
    )
    assert caught.value.what == errors[0].what
