from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from fewshot_core.plugins import KINDS, plugins
from fewshot_core.recipe.declare import check_values, help_of, setting, with_values
from fewshot_core.recipe.loose import loose_type
from fewshot_core.tasks import load_description, task_names


@dataclass(frozen=True)
class Inner:
    share: float = setting(0.5, "a share", above=0, below=1)
    kind: str = setting("a", "a | b", choices=("a", "b"))


@dataclass(frozen=True)
class Outer:
    count: int | None = setting(2, "how many", low=1, high=3)
    several: list[str] = setting(["a"], "kinds", choices=("a", "b"))
    inner: Inner = setting(Inner, "a section")
    inners: list[Inner] = setting([], "sections")


def problems(**values: object) -> list[str]:
    return list(check_values(with_values(Outer(), values)))


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({}, []),
        ({"count": None, "inner.share": 0.99, "inner.kind": "b"}, []),
        ({"count": 0}, ["count=0 must be at least 1 and at most 3"]),
        ({"count": 4}, ["count=4 must be at least 1 and at most 3"]),
        ({"inner.share": 0.0}, ["inner.share=0.0 must be above 0 and below 1"]),
        ({"inner.share": float("nan")}, ["inner.share=nan must be above 0 and below 1"]),
        ({"inner.kind": "c"}, ["inner.kind=c is none of a, b"]),
        ({"several": ["b", "c"]}, ["several=c is none of a, b"]),
        (
            {"inners": [Inner(), Inner(share=2)]},
            ["inners[1].share=2 must be above 0 and below 1"],
        ),
    ],
)
def test_ranges_and_choices(values: dict[str, object], lines: list[str]) -> None:
    assert problems(**values) == lines


def test_a_copy_with_other_values_leaves_the_first_as_it_is() -> None:
    outer = Outer(inners=[Inner(), Inner()])
    other = with_values(outer, {"inners[1].share": 0.1, "inner.kind": "b"})
    assert (other.inners[1].share, other.inner.kind) == (0.1, "b")
    assert (outer.inners[1].share, outer.inner.kind) == (0.5, "a")
    assert Outer().several is not Outer().several
    with pytest.raises(AttributeError, match="Inner has no setting 'chare'"):
        with_values(outer, {"inner.chare": 1})


PLAIN = {"batch_size", "lr", "min_lr", "warmup_epochs", "momentum", "weight_decay", "seeds", "seed"}
"""Settings that need no words."""


def undescribed(section: type) -> list[str]:
    found = []
    for field in dataclasses.fields(section):
        factory = field.default_factory
        if isinstance(factory, type) and dataclasses.is_dataclass(factory):
            found += undescribed(factory)
        elif not help_of(field) and field.name not in PLAIN:
            found.append(f"{section.__name__}.{field.name}")
    return found


@pytest.mark.parametrize("task", task_names())
def test_every_setting_of_a_recipe_says_what_it_is(task: str) -> None:
    assert undescribed(loose_type(load_description(task).sections)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_plugin_says_what_it_is(kind: str) -> None:
    for entry in plugins(kind).values():
        assert entry.about, entry.name
        assert undescribed(entry.settings) == []
        assert dataclasses.fields(entry.settings)
        assert entry.default() == entry.settings(), f"{entry.name} names itself by default"
