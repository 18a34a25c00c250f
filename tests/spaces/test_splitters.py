from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from fewshot_core.errors import ArchitectureError, RecipeError, RegionError
from fewshot_core.plugins import plugin
from fewshot_core.recipe.schema import SplitLevel, SplitSettings, default_split
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.splitters import (
    ByBands,
    ByDecision,
    ByGroups,
    ByRandom,
    LearnedLevel,
    Splitter,
    SplitterContext,
    grow_tree,
    make_splitter,
)
from fewshot_core.testing.splitters import SplitterSuite
from fewshot_core.testing.toys import toy_space

ROOT = Region.root(toy_space())
HUGE = Region.root(toy_space(*[7] * 40))
SPLITTERS: dict[str, Splitter] = {
    "decision": ByDecision("c"),
    "groups": ByGroups("c", ((0, 3), (1, 2))),
    "bands": ByBands("sum", (2.0, 5.0)),
    "random": ByRandom(3, seed=1),
}
REGIONS = {
    "whole": ROOT,
    "part": ROOT.restrict("a", (0, 2)).restrict("c", (1, 3)),
    "band": ROOT.band("sum", 1, 4),
    "huge": HUGE.restrict("c", (0, 1, 2, 3)),
}


class TestSplitters(SplitterSuite):
    samples = 200

    @pytest.fixture(params=SPLITTERS, name="kind")
    def kind_of_splitter(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture(params=REGIONS, name="place")
    def place_of_region(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def region(self, place: str) -> Region:
        return REGIONS[place]

    @pytest.fixture
    def splitter(self, kind: str, place: str) -> Splitter:
        if kind == "bands" and place == "huge":
            return ByBands("sum", (110.0, 125.0))
        return SPLITTERS[kind]


def ids(splitter: Splitter, region: Region = ROOT) -> list[str]:
    return [part.id for part in splitter(region).regions]


def test_one_region_for_every_option() -> None:
    assert ids(ByDecision("c")) == ["c=0", "c=1", "c=2", "c=3"]
    assert ids(ByDecision("c"), ROOT.restrict("c", (1, 3))) == ["c=1", "c=3"]


def test_an_unknown_decision_names_the_near_one() -> None:
    with pytest.raises(ArchitectureError, match="no decision 'cc'"):
        ByDecision("cc")(ROOT)


def test_groups_make_regions() -> None:
    assert ids(ByGroups("c", ((3, 0), (1, 2)))) == ["c=0+3", "c=1+2"]


def test_options_that_were_cut_away_drop_out_of_their_group() -> None:
    groups = ByGroups("c", ((0, 3), (1,), (2,)))
    assert ids(groups, ROOT.restrict("c", (0, 2))) == ["c=0", "c=2"]


@pytest.mark.parametrize(
    "groups",
    [
        ((0, 1), (2,)),  # 3 is missing
        ((0, 1), (2, 3, 9)),
        ((0, 1), (1, 2, 3)),
        ((0, 0), (1, 2, 3)),
        (),
    ],
)
def test_groups_name_every_option_once(groups: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(RegionError, match="every option once"):
        ByGroups("c", groups)(ROOT)


def test_a_cut_is_the_start_of_a_band() -> None:
    low, high = ByBands("sum", (3.0,))(ROOT).regions
    assert max(sum(a.choices) for a in low.enumerate()) == 2
    assert min(sum(a.choices) for a in high.enumerate()) == 3


def test_bands_that_hold_for_nothing_are_dropped() -> None:
    assert ids(ByBands("sum", (-5.0, 3.2, 3.5, 99.0))) == ["sum=-5to3.2", "sum=3.5to99"]


@pytest.mark.parametrize("region", [ROOT, HUGE], ids=["small", "huge"])
def test_a_cut_outside_the_region_makes_no_region(region: Region) -> None:
    band = region.band("sum", -math.inf, 5)
    assert ids(ByBands("sum", (3.0, 5.0, 7.0)), band) == ["sum=-infto3", "sum=3to5"]


@pytest.mark.parametrize("cuts", [(3.0, 2.0), (3.0, 2.0, 1.0)])
def test_cuts_that_do_not_rise_are_refused(cuts: tuple[float, ...]) -> None:
    with pytest.raises(RegionError):
        ByBands("sum", cuts)(ROOT)


def test_random_shares_are_about_equal() -> None:
    region = Region.root(toy_space(10, 10, 10))
    sizes = [part.size() or 0 for part in ByRandom(4, seed=0)(region).regions]
    assert sum(sizes) == 1000
    assert all(200 < size < 300 for size in sizes)


def test_random_shares_differ_by_seed() -> None:
    region = Region.root(toy_space(10, 10))

    def first(seed: int) -> set[str]:
        return {a.id for a in ByRandom(2, seed)(region).regions[0].enumerate()}

    assert first(0) == first(0)
    assert first(0) != first(1)


# --- from a recipe


def level(by: str, **more: Any) -> SplitLevel:
    made: SplitLevel = replace(plugin("splitter", by).default(), **more)
    return made


def split(by: str, **more: Any) -> SplitSettings:
    return replace(default_split(by), **more)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (level("none"), None),
        (level("decision", decision="a"), ByDecision("a")),
        (level("groups", decision="a", groups=[[0], [1, 2]]), ByGroups("a", ((0,), (1, 2)))),
        (level("bands", feature="sum", cuts=[2.0]), ByBands("sum", (2.0,))),
        (level("random", count=3), ByRandom(3, 11)),
    ],
    ids=lambda value: getattr(value, "by", ""),
)
def test_a_recipe_makes_its_splitter(level: SplitLevel, expected: Splitter | None) -> None:
    assert make_splitter(level, SplitterContext(seed=11)) == expected


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"unknown splitter 'decison'.*did you mean 'decision'"):
        make_splitter(SplitLevel(by="decison"), SplitterContext(seed=0))


def test_a_tree_grows_level_by_level() -> None:
    then = [level("none"), level("bands", feature="sum", cuts=[3.0])]
    tree = grow_tree(ROOT, split("decision", decision="a", then=then), SplitterContext(seed=0))
    assert [leaf.id for leaf in tree.leaves()] == [
        f"a={option},sum={band}" for option in (0, 1, 2) for band in ("-infto3", "3toinf")
    ]


def test_no_split_is_one_region() -> None:
    assert grow_tree(ROOT, default_split(), SplitterContext(seed=0)).leaves() == (ROOT,)


def test_random_levels_are_independent() -> None:
    tree = grow_tree(ROOT, split("random", then=[level("random")]), SplitterContext(seed=0))
    assert len(tree.leaves()) == 4  # the same cut again would leave two


def test_a_learned_splitter_is_given_the_supernet_and_its_loss() -> None:
    parent, loss = object(), object()
    context = SplitterContext(7, parent, loss)  # type: ignore[arg-type]
    made = make_splitter(level("gradients", count=3, samples=5), context)
    assert vars(made) == {
        "supernet": parent, "loss": loss, "count": 3, "samples": 5, "seed": 7,
    }  # fmt: skip


def test_a_learned_split_says_before_whether_it_can_cut() -> None:
    gradients = split("gradients", count=4)
    assert isinstance(gradients, LearnedLevel)
    gradients.require(ROOT)
    with pytest.raises(RegionError, match="into 4 groups"):
        gradients.require(ROOT.restrict("c", (0, 1)))
