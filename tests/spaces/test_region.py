from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter

import pytest

from fewshot_core.errors import FewshotError, RegionError
from fewshot_core.spaces import region as region_module
from fewshot_core.spaces.region import Band, Partition, Region, RegionTree
from fewshot_core.spaces.space import Architecture, Decision, SearchSpace
from fewshot_core.spaces.splitters import ByBands, ByDecision, ByRandom
from fewshot_core.testing.toys import toy_space

SPACE = toy_space()  # a, b: 3 options, c: 4
ROOT = Region.root(SPACE)
HUGE = Region.root(toy_space(*[7] * 40))


def members(region: Region) -> set[Architecture]:
    return set(region.enumerate())


# --- regions


def test_the_root_is_the_whole_space() -> None:
    assert members(ROOT) == set(SPACE.enumerate())
    assert ROOT.id == "root"
    assert ROOT.size() == SPACE.size() == 36
    assert HUGE.size() == 7**40


def test_restriction_keeps_what_has_the_options() -> None:
    part = ROOT.restrict("a", (0, 2))
    assert members(part) == {a for a in SPACE.enumerate() if a.choices[0] in (0, 2)}
    assert part.size() == 24
    assert part.options("a") == (0, 2)


def test_restricting_twice_intersects() -> None:
    twice = ROOT.restrict("c", (0, 1, 2)).restrict("c", (2, 1))
    assert twice == ROOT.restrict("c", (1, 2))
    other = ROOT.restrict("a", (0,)).restrict("c", (3,))
    assert other == ROOT.restrict("c", (3,)).restrict("a", (0,))


def test_an_option_that_was_cut_away_stays_away() -> None:
    with pytest.raises(RegionError, match=r"'a' has no option \[1\] in region 'a=0\+2'"):
        ROOT.restrict("a", (0, 2)).restrict("a", (1,))


def test_a_decision_keeps_an_option() -> None:
    with pytest.raises(RegionError):
        ROOT.restrict("a", ())


@pytest.mark.parametrize(
    "allowed",
    [
        ((0,), (0,)),  # a decision is missing
        ((), (0,), (0,)),
        ((9,), (0,), (0,)),
        ((1, 0), (0,), (0,)),  # not in the decision's order
        ((0, 0), (0,), (0,)),
    ],
)
def test_bad_options_are_refused(allowed: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(RegionError):
        Region(SPACE, allowed)


def test_one_band_for_each_feature() -> None:
    with pytest.raises(RegionError, match="one band"):
        Region(SPACE, ROOT.allowed, (Band("sum", 0, 1), Band("sum", 1, 2)))


def test_bands_are_half_open() -> None:
    band = ROOT.band("sum", 2, 4)
    sums = {sum(a.choices) for a in band.enumerate()}
    assert sums == {2, 3}
    assert 2.0 in Band("sum", 2, 4)
    assert 4.0 not in Band("sum", 2, 4)


def test_bands_of_one_feature_intersect() -> None:
    both = ROOT.band("sum", 1, 4).band("sum", 2, 9)
    assert both == ROOT.band("sum", 2, 4)
    assert ROOT.band("sum", 2, 4).band("sum", -math.inf, math.inf) == ROOT.band("sum", 2, 4)


def test_bands_and_options_both_hold() -> None:
    part = ROOT.restrict("a", (2,)).band("sum", 3, 4)
    assert members(part) == {
        a for a in SPACE.enumerate() if a.choices[0] == 2 and sum(a.choices) == 3
    }
    assert part.size() == len(members(part)) > 0


@pytest.mark.parametrize("band", [(50, 60), (2, 2), (3, 1)])
def test_an_empty_band_holds_nothing(band: tuple[float, float]) -> None:
    empty = ROOT.band("sum", *band)
    assert empty.size() == 0
    assert not any(empty.contains(architecture) for architecture in SPACE.enumerate())
    with pytest.raises(RegionError, match="holds no architecture"):
        empty.sample(random.Random(0))


def test_an_unreachable_band_of_a_huge_region_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_module, "REJECTIONS", 100)
    with pytest.raises(RegionError, match="among 100 random ones"):
        HUGE.band("sum", 10_000, 20_000).sample(random.Random(0))


def test_the_size_of_a_huge_band_is_unknown() -> None:
    assert HUGE.band("sum", 0, 120).size() is None


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(FewshotError, match="no feature 'summ'"):
        ROOT.band("summ", 0, 1).size()


def test_foreign_architectures_are_outside() -> None:
    inside = next(SPACE.enumerate())
    for stranger in (
        Architecture("other", inside.choices),
        Architecture(SPACE.name, inside.choices[:2]),
        Architecture(SPACE.name, (*inside.choices, 0)),
        Architecture(SPACE.name, (0, 0, 9)),
    ):
        assert not ROOT.contains(stranger)
        with pytest.raises(RegionError, match=stranger.id):
            ROOT.require(stranger)


def test_samples_of_a_band_are_uniform() -> None:
    band = ROOT.band("sum", 2, 4)
    rng = random.Random(0)
    counts = Counter(band.sample(rng) for _ in range(4000))
    expected = 4000 / (band.size() or 0)
    assert set(counts) == members(band)
    assert all(abs(count - expected) < 6 * math.sqrt(expected) for count in counts.values())


def test_samples_of_a_huge_band_are_inside() -> None:
    band = HUGE.band("sum", 0, 120)
    rng = random.Random(0)
    assert all(band.contains(band.sample(rng)) for _ in range(50))


def test_mutation_changes_one_decision_and_stays() -> None:
    region = ROOT.restrict("a", (0, 2)).band("sum", 2, 5)
    rng = random.Random(0)
    for parent in region.enumerate():
        children = {region.mutate(parent, rng) for _ in range(80)}
        neighbours = {
            a
            for a in region.enumerate()
            if sum(x != y for x, y in zip(a.choices, parent.choices, strict=True)) == 1
        }
        assert children == neighbours


def test_mutation_in_a_region_of_one_is_the_architecture() -> None:
    region = Region.root(toy_space(1, 1))
    only = next(region.enumerate())
    assert region.mutate(only, random.Random(0)) == only


def test_mutation_prefers_no_decision() -> None:
    region = Region.root(toy_space(2, 7))
    parent, rng = Architecture(region.space.name, (0, 0)), random.Random(0)
    share = sum(region.mutate(parent, rng).choices[0] != 0 for _ in range(2000)) / 2000
    assert share == pytest.approx(0.5, abs=0.06)


def test_reachable_options_are_those_in_use() -> None:
    assert ROOT.band("sum", 0, 2).reachable() == ({0, 1}, {0, 1}, {0, 1})
    assert ROOT.restrict("a", (2,)).reachable() == ({2}, {0, 1, 2}, {0, 1, 2, 3})


# --- ids and JSON

DISTINCT = [
    ROOT,
    ROOT.restrict("a", (0,)),
    ROOT.restrict("a", (0, 1)),
    ROOT.restrict("b", (0,)),
    ROOT.restrict("a", (0,)).restrict("b", (0,)),
    ROOT.band("sum", 2, 4),
    ROOT.band("sum", 2, math.inf),
    ROOT.band("sum", -math.inf, 4),
    ROOT.band("sum", 2, 4).restrict("a", (0,)),
    ROOT.band("random:1", 0, 0.5),
    ROOT.band("random:1", 0, 0.5).band("random:2", 0, 0.5),
    ROOT.band("sum", 123_456_789, 123_456_790),
    ROOT.band("sum", 123_456_788, 123_456_790),
    ROOT.band("sum", 0, 1 / 3),
    ROOT.band("sum", 0, 1 / 3 + 1e-9),
]


def test_ids_are_distinct() -> None:
    assert len({region.id for region in DISTINCT}) == len(DISTINCT)


def test_ids_are_stable() -> None:
    """They name the checkpoints of runs that exist."""
    region = ROOT.restrict("a", (0, 2)).restrict("c", (1,)).band("sum", 2, math.inf)
    assert region.id == "a=0+2,c=1,sum=2toinf"
    assert ROOT.band("sum", 0.5, 1e9).id == "sum=0.5to1000000000"
    assert ROOT.band("random:77", -math.inf, 0.25).id == "random=-infto0.25"


@pytest.mark.parametrize("region", DISTINCT, ids=lambda region: region.id)
def test_json_is_read_back(region: Region) -> None:
    text = json.dumps(region.to_json(), allow_nan=False)
    assert Region.from_json(SPACE, json.loads(text)) == region


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"allowed": {"a": [0], "b": [0]}, "bands": []},
        {"allowed": {"a": [0], "b": [0], "c": [9]}, "bands": []},
        {"allowed": {"a": [0], "b": [0], "c": 0}, "bands": []},
        {"allowed": {"a": [0], "b": [0], "c": [0]}},
        {"allowed": {"a": [0], "b": [0], "c": [0]}, "bands": [{"feature": "sum", "low": 0}]},
        {
            "allowed": {"a": [0], "b": [0], "c": [0]},
            "bands": [{"feature": "sum", "low": "x", "high": 1}],
        },
    ],
)
def test_malformed_json_is_refused(value: object) -> None:
    with pytest.raises(RegionError):
        Region.from_json(SPACE, value)  # type: ignore[arg-type]


# --- partitions


def by_option(region: Region, decision: str) -> tuple[Region, ...]:
    return tuple(region.restrict(decision, (option,)) for option in region.options(decision))


@pytest.fixture
def no_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at architectures one by one fails."""

    def refuse(self: Region) -> None:
        raise AssertionError("the proof enumerated")

    for name in ("enumerate", "_box"):
        monkeypatch.setattr(Region, name, refuse)


@pytest.mark.usefixtures("no_enumeration")
def test_a_huge_partition_is_proved_without_enumeration() -> None:
    halves = ByBands("sum", (100.0, 120.5))(HUGE).regions
    cells = [cell for half in halves for cell in by_option(half, "b")]
    # Different decisions are cut in different parts, so this is no grid.
    parts = [*cells[1:], *by_option(cells[0], "d")]
    partition = Partition(HUGE, tuple(parts))
    assert len(partition.regions) == 3 * 7 - 1 + 7
    rng = random.Random(0)
    for _ in range(20):
        architecture = HUGE.sample(rng)
        assert sum(region.contains(architecture) for region in partition.regions) == 1


@pytest.mark.parametrize("damage", ["drop", "double", "leak", "shift"])
def test_a_huge_partition_that_is_none_is_refused(damage: str) -> None:
    parts = list(by_option(HUGE, "b"))
    parent = HUGE
    if damage == "drop":
        parts.pop()
    elif damage == "double":
        parts.append(parts[0].restrict("c", (3,)))
    elif damage == "leak":
        parent = HUGE.restrict("c", (0, 1))
    else:  # disjoint and as many as the parent has, but others
        parent = HUGE.restrict("b", (0, 1, 2, 3, 4, 5))
        parts = parts[1:]
    with pytest.raises(RegionError, match="could not be proved"):
        Partition(parent, tuple(parts))


def test_exactly_the_partitions_are_accepted() -> None:
    """Every choice of two or three pieces of a small region, held against enumeration."""
    pieces = [
        *(ROOT.restrict(d.name, g) for d in SPACE.decisions for g in _groups(d.options)),
        *(ROOT.band("sum", low, high) for low, high in ((-math.inf, 3), (3, math.inf), (3, 5))),
    ]
    held = {piece: members(piece) for piece in pieces}
    accepted = 0
    for count in (2, 3):
        for regions in itertools.combinations(pieces, count):
            owners = Counter(itertools.chain.from_iterable(held[region] for region in regions))
            good = len(owners) == owners.total() == 36
            accepted += good
            assert _is_accepted(regions) == good
    assert accepted > 15


def _is_accepted(regions: tuple[Region, ...]) -> bool:
    try:
        Partition(ROOT, regions)
    except RegionError:
        return False
    return True


def _groups(options: tuple[object, ...]) -> list[tuple[object, ...]]:
    sizes = range(1, len(options))
    return [group for size in sizes for group in itertools.combinations(options, size)]


def test_overlap_names_an_architecture() -> None:
    regions = (ROOT.restrict("a", (0, 1)), ROOT.restrict("a", (1, 2)))
    with pytest.raises(RegionError, match=r"\[1, 0, 0\] lies in 2 regions.*a=0\+1.*a=1\+2"):
        Partition(ROOT, regions)


def test_a_gap_names_an_architecture() -> None:
    with pytest.raises(RegionError, match=r"\[1, 0, 0\] lies in 0 regions"):
        Partition(ROOT, (ROOT.restrict("a", (0,)), ROOT.restrict("a", (2,))))


def test_a_leak_names_an_architecture() -> None:
    parent = ROOT.restrict("b", (0,))
    with pytest.raises(RegionError, match=r"'a=1\+2' leaves its parent 'b=0'.*\[1, 1, 0\]"):
        Partition(parent, (parent.restrict("a", (0,)), ROOT.restrict("a", (1, 2))))


def test_regions_of_another_space_are_refused() -> None:
    with pytest.raises(RegionError, match="one space"):
        Partition(ROOT, (Region.root(toy_space(2, 2)),))


def test_no_regions_are_refused() -> None:
    with pytest.raises(RegionError, match="at least one"):
        Partition(ROOT, ())


def test_bands_that_hold_for_nothing_are_proved_by_enumeration() -> None:
    """No sum lies between 2 and 3, so these cover without their boxes touching."""
    regions = (ROOT.band("sum", -math.inf, 2.5), ROOT.band("sum", 2.7, math.inf))
    partition = Partition(ROOT, regions)
    assert [region.size() for region in partition.regions] == [
        sum(sum(a.choices) <= 2 for a in SPACE.enumerate()),
        sum(sum(a.choices) >= 3 for a in SPACE.enumerate()),
    ]


def test_locating_a_stranger_is_an_error() -> None:
    part = ROOT.restrict("a", (0, 1))
    partition = ByDecision("a")(part)
    with pytest.raises(RegionError, match="not in region 'a=0\\+1'"):
        partition.locate(Architecture(SPACE.name, (2, 0, 0)))


def test_partition_json_is_proved_again() -> None:
    partition = ByDecision("c")(ROOT)
    value = json.loads(json.dumps(partition.to_json()))
    assert Partition.from_json(SPACE, value) == partition
    value["regions"].pop()
    with pytest.raises(RegionError, match="lies in 0 regions"):
        Partition.from_json(SPACE, value)


@pytest.mark.parametrize("value", [None, {}, {"parent": ROOT.to_json()}, []])
def test_malformed_partition_json_is_refused(value: object) -> None:
    with pytest.raises(RegionError):
        Partition.from_json(SPACE, value)  # type: ignore[arg-type]


# --- trees


@pytest.fixture
def tree() -> RegionTree:
    """Cut by a, then by the sum, then by c where a is 0."""
    whole = RegionTree(ROOT).grow(ByDecision("a")).grow(ByBands("sum", (3.0,)))

    def only_zero(region: Region) -> Partition:
        return (
            ByDecision("c")(region) if region.options("a") == (0,) else Partition(region, (region,))
        )

    return whole.grow(only_zero)


def test_a_tree_locates_what_its_leaves_contain(tree: RegionTree) -> None:
    leaves = tree.leaves()
    assert len(leaves) == 2 * 4 + 4
    for architecture in SPACE.enumerate():
        owners = [leaf for leaf in leaves if leaf.contains(architecture)]
        assert owners == [tree.locate(architecture)]


def test_leaves_have_ids_of_their_own(tree: RegionTree) -> None:
    ids = [region.id for region, _ in tree.walk()]
    assert len(set(ids)) == len(ids) == 1 + 3 + 6 + 8


def test_walking_meets_parents_first(tree: RegionTree) -> None:
    seen: set[Region] = set()
    for region, parent in tree.walk():
        assert parent is None or parent in seen
        if parent is not None:
            assert members(region) < members(parent)
        seen.add(region)
    assert next(iter(tree.walk())) == (ROOT, None)


def test_a_tree_without_cuts_is_its_own_leaf() -> None:
    tree = RegionTree(ROOT)
    assert tree.leaves() == (ROOT,)
    assert list(tree.walk()) == [(ROOT, None)]
    assert tree.locate(next(SPACE.enumerate())) == ROOT
    with pytest.raises(RegionError):
        tree.locate(Architecture("other", (0, 0, 0)))


def test_a_cut_into_one_is_no_cut() -> None:
    tree = RegionTree(ROOT).grow(lambda region: Partition(region, (region,)))
    assert tree == RegionTree(ROOT)


def test_two_random_cuts_in_a_row() -> None:
    tree = RegionTree(ROOT).grow(ByRandom(2, 1)).grow(ByRandom(2, 2))
    assert len(tree.leaves()) == 4
    assert len({leaf.id for leaf in tree.leaves()}) == 4
    assert sum(leaf.size() or 0 for leaf in tree.leaves()) == 36


def test_a_tree_whose_children_are_not_its_partition_is_refused() -> None:
    with pytest.raises(RegionError, match="children"):
        RegionTree(ROOT, ByDecision("a")(ROOT), ())


def test_tree_json_nests(tree: RegionTree) -> None:
    value = json.loads(json.dumps(tree.to_json(), allow_nan=False))
    assert value["size"] == 36
    assert [child["region"]["id"] for child in value["children"]] == ["a=0", "a=1", "a=2"]
    assert [len(child["children"]) for child in value["children"]] == [2, 2, 2]


def test_options_of_other_types_keep_their_names() -> None:
    space = SearchSpace("s", (Decision("r", (0.5, 1.0)), Decision("k", ("x", "y"))))
    assert Region.root(space).restrict("r", (1.0,)).restrict("k", ("y",)).id == "r=1.0,k=y"


def test_a_tree_comes_back_from_its_json() -> None:
    root = Region.root(toy_space())
    tree = RegionTree(root).grow(ByDecision("a")).grow(ByBands("sum", (2.0,)))
    value = json.loads(json.dumps(tree.to_json()))
    assert RegionTree.from_json(root.space, value) == tree


@pytest.mark.parametrize("value", [{}, [], {"region": {}, "children": []}, {"region": 3}])
def test_what_is_no_tree_is_refused(value: object) -> None:
    with pytest.raises(RegionError):
        RegionTree.from_json(toy_space(), value)  # type: ignore[arg-type]
