"""How fast all distinct cells are scored: one by one, and by the scorer's own way for many."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.gpu.rows import Rows
from benchmarks.gpu.session import make_untrained, open_run
from benchmarks.gpu.speed import CELLS, TINY
from benchmarks.studies.runs import StudyRun
from fewshot_core.data import ImageData
from fewshot_core.recipe.schema import scored_images
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.supernet import Supernet
from fewshot_core.training.objective import Scorer

KEY = "scoring | cells"

SCORED = ("evaluator.recalibrate=256",)
"""Settings of every score."""

LIMIT, LOOK_SECONDS = 60.0, 12.0
"""The scores of all are waited for if they take no more seconds than this, as is seen by then."""

Scored = Iterator[tuple[Architecture, Mapping[str, float]]]


def run_scoring(rows: Rows, data: ImageData, toy: bool, images: int) -> bool:
    """The row; whether the device still works."""
    seconds = 0.3 if toy else 5.0

    def measure() -> dict[str, Any]:
        limit = 0.5 if toy else min(LIMIT, rows.budget.left - 3 * seconds)
        return measure_scoring(words_of(toy, images), data, seconds, limit)

    return rows.run(KEY, 4 * seconds, measure)


def words_of(toy: bool, images: int) -> tuple[str, ...]:
    """Settings of a supernet whose cells are scored on so many images."""
    return (*CELLS, *SCORED, *(TINY if toy else ()), f"evaluator.images={images}")


def measure_scoring(
    words: Sequence[str], data: ImageData, seconds: float, limit: float
) -> dict[str, Any]:
    """Both ways, with fresh weights: the time does not depend on them."""
    with open_run(words, data) as run:
        model, scorer = make_untrained(run)
        cells = list_distinct(run.space)
        known: dict[Architecture, Mapping[str, float]] = {}
        # Cells next to each other cost about the same, so they are taken from three places.
        places = [len(cells) // 5, len(cells) // 2, 4 * len(cells) // 5]
        _take(score_one_by_one(model, scorer, cells[:10]), known, limit)  # a warm-up
        counts, took = 0, 0.0
        for place in places:
            found = _take(
                score_one_by_one(model, scorer, cells[place:]), known, seconds / len(places)
            )
            counts, took = counts + found[0], took + found[2]
        many: dict[Architecture, Mapping[str, float]] = {}
        done, first, whole = _take(scorer.score_many(model, cells), many, limit, len(cells))
        pace = (whole - first) / max(1, done - 1)  # the first come when all of a group are ready
        return {
            "recipe": list(words),
            "cells": len(cells),
            "images": _count_images(run),
            "one_by_one_cells": counts,
            "one_by_one_ms_per_cell": round(1e3 * took / counts, 3),
            "one_by_one_seconds_of_all": round(took / counts * len(cells), 1),
            "many_cells": done,
            "many_first_seconds": round(first, 3),
            "many_ms_per_cell": round(1e3 * pace, 3),
            "many_seconds_of_all": round(first + pace * (len(cells) - 1), 1),
            "many_finished": done == len(cells),
            "largest_difference": _largest_difference(known, many),
        }


def score_one_by_one(model: Supernet, scorer: Scorer, cells: Sequence[Architecture]) -> Scored:
    """Scores as a run computes them on a CPU: each in turn."""
    for cell in cells:
        yield cell, scorer.score(model, cell)


def list_distinct(space: SearchSpace) -> list[Architecture]:
    """The representatives of all networks of a space, in the order of the space."""
    return list(dict.fromkeys(space.canonical(cell) for cell in space.enumerate()))


def _take(
    scores: Scored,
    known: dict[Architecture, Mapping[str, float]],
    limit: float,
    of: int | None = None,
) -> tuple[int, float, float]:
    """Take scores for so many seconds; their number, and the seconds of the first and of all.

    Where all are known to be ``of``, fewer seconds are enough to see that it takes more.
    """
    began, first = time.perf_counter(), 0.0
    count = 0
    for cell, metrics in scores:
        known[cell], count = metrics, count + 1
        now = time.perf_counter() - began
        first = first or now
        passed = now - first  # without what is compiled for the first ones
        too_slow = of is not None and passed > LOOK_SECONDS and passed / count * of > limit
        if passed > limit or too_slow:
            break
    took = time.perf_counter() - began
    getattr(scores, "close", lambda: None)()  # what is shared is let go of
    return count, first, took


def _count_images(run: StudyRun) -> int:
    """Validation images of a score."""
    there = len(run.data.validation)
    return min(scored_images(run.recipe.evaluator) or there, there)


def _largest_difference(
    some: Mapping[Architecture, Mapping[str, float]],
    others: Mapping[Architecture, Mapping[str, float]],
) -> dict[str, float]:
    """Between the scores of cells that both ways have scored."""
    both = [cell for cell in some if cell in others]
    return {"cells": float(len(both))} | {
        kind: round(max((abs(some[c][kind] - others[c][kind]) for c in both), default=0.0), 5)
        for kind in ("accuracy", "loss")
    }
