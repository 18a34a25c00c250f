from __future__ import annotations

import numpy as np
import pytest

from benchmarks.studies.ranking import errors
from fewshot_core.data import ImageShape
from fewshot_core.pipeline.rank import Truth
from fewshot_core.recipe.load import load_recipe
from fewshot_tasks.cifar10.task import TASK


@pytest.fixture(scope="module")
def truth() -> Truth:
    """All cells; the truth is the number of convolutions on the edge from input to output."""
    recipe = load_recipe(["recipe=nasbench201"]).recipe
    space, costs = TASK.space(recipe), TASK.costs(recipe, ImageShape(3, 32, 10))
    cells = list(space.enumerate())
    every = [costs.costs(cell) for cell in cells]
    place = [d.name for d in space.decisions].index("edge_3_0")
    return Truth(
        space,
        cells,
        np.array([float("conv" in cell.choices[place]) for cell in cells]),
        {name: np.array([row[name] for row in every]) for name in ("connected_params",)},
        np.array([space.connected(cell) is not None for cell in cells]),
        [space.canonical(cell).id for cell in cells],
    )


def test_the_fit_finds_what_is_misjudged(truth: Truth) -> None:
    place = [d.name for d in truth.space.decisions].index("edge_1_0")
    skips = np.array([float(a.choices[place] == "skip_connect") for a in truth.architectures])
    found = errors.fit_errors(truth, {"right": truth.values, "fond of skips": skips})
    liked = {key: row["fond of skips"] - row["truth"] for key, row in found.items()}
    assert max(liked, key=liked.__getitem__) == "edge_1_0 skip_connect"
    assert all(row["right"] == row["truth"] for row in found.values())


def test_the_mean_rank_of_independent_errors_is_better(truth: Truth) -> None:
    rng = np.random.default_rng(0)
    noisy = {name: truth.values + rng.normal(size=len(truth.values)) for name in ("a", "b")}
    found = errors.rank_each(truth, noisy)
    alone = max(found[name]["iso_cost_tau"] for name in noisy)
    assert found["mean rank"]["iso_cost_tau"] > alone + 0.05
