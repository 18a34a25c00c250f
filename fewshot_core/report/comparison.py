"""Runs side by side: those that differ only in the seed are a group, and groups are compared.

The first group is what the others are held against, over the seeds that both have.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fewshot_core.data.inventory import IMAGES, TEST, VALIDATION, Inventory, read_inventory
from fewshot_core.errors import DataError, FewshotError
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.load import free_settings, identity
from fewshot_core.recipe.yamltext import write_value
from fewshot_core.report.results_of_run import PARTS, Kind, RunResult
from fewshot_core.trust.paired import Paired, compare_paired, correct_by_holm

NAMING = 3
"""Settings that name a group; more are left out, and told by the numbers of the groups."""


class NotComparableError(FewshotError):
    """Runs are about different images, spaces or metrics."""


@dataclass(frozen=True)
class Group:
    """Runs that differ only in the seed, in the order of their seeds.

    Attributes:
        name: What tells it from the other groups: ``strategy=rea``.
        runs: Its runs.
    """

    name: str
    runs: tuple[RunResult, ...]

    @cached_property
    def scores(self) -> dict[int, float]:
        """The validation score of what was found, by seed."""
        return {one.recipe.seed: one.score for one in self.runs if one.score is not None}

    def tests(self, metric: str) -> dict[int, float]:
        """A test value of the runs that were retrained, by seed."""
        return {one.recipe.seed: one.test[metric] for one in self.runs if metric in one.test}

    def images(self, part: str) -> float:
        """Mean number of training images that a run has seen for a part of its work."""
        return float(np.mean([one.images[part] for one in self.runs]))

    @property
    def hours(self) -> float:
        """Mean hours of training of a run."""
        return float(np.mean([sum(one.seconds.values()) for one in self.runs])) / 3600


@dataclass(frozen=True)
class Row:
    """A group, beside the first one.

    Attributes:
        group: The group.
        of_score: The paired difference of the validation score; None for the first group, and
            where the scores are of another kind.
        of_test: That of the first test metric.
        p_score: The p value of ``of_score``, corrected for the number of groups; nan: none.
        p_test: That of ``of_test``.
        notes: What to know of it, such as that its scores are of another kind.
    """

    group: Group
    of_score: Paired | None = None
    of_test: Paired | None = None
    p_score: float = math.nan
    p_test: float = math.nan
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Groups, the first of which the others are compared with.

    Attributes:
        rows: The groups.
        score: What the validation score of the first group is.
        tests: What the test values are, the one that decides first; empty: nothing was retrained.
        left_out: A line for each run that was left out.
    """

    rows: tuple[Row, ...]
    score: Kind
    tests: tuple[Kind, ...]
    left_out: tuple[str, ...] = ()

    @property
    def trained_images(self) -> int:
        """Training images that were really seen, supernets that runs share counted once."""
        every = [run for row in self.rows for run in row.group.runs]
        here = {run.run.resolve() for run in every}
        return sum(
            number
            for run in every
            for part, number in run.images.items()
            if part != PARTS[0] or run.shared is None or run.shared.resolve() not in here
        )


def compare(results: Sequence[RunResult], left_out: Sequence[str] = ()) -> Comparison:
    """Group runs and compare the groups with the first one.

    Args:
        results: Finished runs; the group of the first is the one that others are compared with.
        left_out: Lines about runs that are not finished.

    Raises:
        NotComparableError: They are about different images, test images, spaces or metrics.
        FewshotError: Two runs of a group have one seed, or there are none.
    """
    if not results:
        raise FewshotError(
            "there is no finished run to compare",
            found="; ".join(left_out) or None,
            fix="fewshot search run=DIR, to its end",
        )
    _require_comparable(results)
    groups = _group(results)
    kinds: dict[str, Kind] = {}
    for result in results:
        for name, kind in result.test_kinds.items():
            kinds.setdefault(name, kind)
    tests = tuple(kinds.values())
    first = groups[0]
    rows = [Row(first)]
    for group in groups[1:]:
        why = _why_scores_differ(first, group)
        of_score = None if why else compare_paired(first.scores, group.scores)
        of_test = None
        if tests:
            name = tests[0].metric.name
            of_test = compare_paired(first.tests(name), group.tests(name))
        rows.append(Row(group, of_score, of_test, notes=(why,) if why else ()))
    rows = _corrected(rows)
    return Comparison(tuple(rows), first.runs[0].score_kind, tests, tuple(left_out))


def _corrected(rows: Sequence[Row]) -> list[Row]:
    """The rows with p values that account for how many groups are compared with the first."""
    scores, tests = (
        correct_by_holm([math.nan if one is None else one.p for one in column])
        for column in ([row.of_score for row in rows], [row.of_test for row in rows])
    )
    return [
        dataclasses.replace(row, p_score=score, p_test=test)
        for row, score, test in zip(rows, scores, tests, strict=True)
    ]


def _group(results: Sequence[RunResult]) -> list[Group]:
    found: dict[str, list[RunResult]] = {}
    for result in results:
        found.setdefault(identity(with_values(result.recipe, {"seed": 0})), []).append(result)
    groups = list(found.values())
    for runs in groups:
        runs.sort(key=lambda one: one.recipe.seed)
        for one, other in itertools.pairwise(runs):
            if one.recipe.seed == other.recipe.seed:
                raise FewshotError(
                    "two runs are the same one, and would count twice",
                    found=f"{one.run} and {other.run}, seed {one.recipe.seed}",
                    fix="leave one of them out",
                )
    names = name_groups([runs[0] for runs in groups])
    return [Group(name, tuple(runs)) for name, runs in zip(names, groups, strict=True)]


def name_groups(firsts: Sequence[RunResult]) -> list[str]:
    """Names of groups by the settings in which they differ.

    A setting that only some of them have, such as one of their strategy, is named where no other
    tells them apart.
    """
    if len(firsts) == 1:
        return [firsts[0].recipe.recipe]
    settings = []
    for first in firsts:
        free = {*free_settings(first.recipe), "seed"}
        flat = flatten(dataclasses.asdict(first.recipe))
        settings.append({key: value for key, value in flat.items() if key not in free})
    keys = list(dict.fromkeys(key for one in settings for key in one))
    shared = [key for key in keys if all(key in one for one in settings)]
    differing = [key for key in shared if len({repr(one[key]) for one in settings}) > 1]
    partly = [
        key
        for key in keys
        if key not in shared and len({repr(one[key]) for one in settings if key in one}) > 1
    ]
    chosen: list[str] = []
    for key in [*differing, *partly]:
        before = _count(settings, chosen)
        if before < len(settings) and _count(settings, [*chosen, key]) > before:
            chosen.append(key)
    names = []
    for place, one in enumerate(settings):
        words = [f"{_short(k)}={write_value(one[k])}" for k in chosen[:NAMING] if k in one]
        name = " ".join(words) or firsts[place].recipe.recipe
        names.append(name if name not in names else f"{name} ({place + 1})")
    return names


def _count(settings: Sequence[Mapping[str, object]], keys: Sequence[str]) -> int:
    """How many groups the keys tell apart."""
    return len({repr([one.get(key, "absent") for key in keys]) for one in settings})


def _short(key: str) -> str:
    """``strategy`` for ``strategy.name``, as people type it."""
    section, _, last = key.rpartition(".")
    return section if section and last in ("name", "by", "policy") else key


# -- what may be compared ------------------------------------------------------------------------


def _require_comparable(results: Sequence[RunResult]) -> None:
    """Raise unless all runs are about one space, one metric and the same images.

    Raises:
        NotComparableError: They are not.
    """
    first = results[0]
    for other in results[1:]:
        for what, mine, theirs in _differences(first, other):
            raise NotComparableError(
                f"{first.run} and {other.run} cannot be compared: they have another {what}",
                found=f"{mine} and {theirs}",
                fix="name runs of one kind",
            )
    _require_same_images(results)


def _differences(a: RunResult, b: RunResult) -> Iterator[tuple[str, object, object]]:
    if a.recipe.task != b.recipe.task:
        yield "task", a.recipe.task, b.recipe.task
    if a.space != b.space:
        yield "space", a.space, b.space
    for name in a.test_kinds.keys() | b.test_kinds.keys():
        mine, theirs = a.test_kinds.get(name), b.test_kinds.get(name)
        if a.test and b.test and mine != theirs:
            yield "test metric", _name(mine), _name(theirs)


def _name(kind: Kind | None) -> str:
    return "none" if kind is None else kind.text


def _require_same_images(results: Sequence[RunResult]) -> None:
    """All runs have the same images, and those of one seed the same test images."""
    reference: Inventory | None = None
    tests: dict[int, tuple[RunResult, frozenset[object]]] = {}
    for result in results:
        mine = read_inventory(result.run / IMAGES)
        if reference is None:
            reference = mine
        try:
            reference.require(mine)
        except DataError as error:
            raise NotComparableError(
                f"{results[0].run} and {result.run} cannot be compared: they have other images",
                found=_what_was_found(error),
                fix="name runs of the same images",
            ) from None
        parts = frozenset(place for place, entry in mine.entries.items() if entry.part == TEST)
        before = tests.setdefault(result.recipe.seed, (result, parts))
        if before[1] != parts:
            raise NotComparableError(
                f"{before[0].run} and {result.run} cannot be compared: they have the same seed and "
                "other test images",
                found=f"{len(before[1]):,} and {len(parts):,} test images",
                fix="name runs with the same data settings",
            )


def _what_was_found(error: DataError) -> str:
    parts = [part for part in str(error).split(" | ") if part.startswith("found: ")]
    return parts[0].removeprefix("found: ") if parts else error.what


def _why_scores_differ(first: Group, other: Group) -> str:
    """Why validation scores of two groups are of two kinds; empty: they are not."""
    if first.runs[0].score_kind != other.runs[0].score_kind:
        return "validation scores are of another kind than those of the first group"
    mine, theirs = (_by_seed(group, _validation_images) for group in (first, other))
    if any(mine[seed] != theirs[seed] for seed in mine.keys() & theirs.keys()):
        return "validation scores are on other validation images than those of the first group"
    return ""


def _by_seed(
    group: Group, look: Callable[[RunResult], frozenset[object]]
) -> dict[int, frozenset[object]]:
    return {one.recipe.seed: look(one) for one in group.runs}


def _validation_images(result: RunResult) -> frozenset[object]:
    entries = read_inventory(result.run / IMAGES).entries
    return frozenset(place for place, entry in entries.items() if entry.part == VALIDATION)
