from __future__ import annotations

import json
import random

import pytest

from fewshot_core.costs.table import CostTable, Limits, measure, require_feasible
from fewshot_core.errors import ConstraintError
from fewshot_core.spaces.region import Region
from fewshot_tasks.autogan.costs import generator_costs
from fewshot_tasks.autogan.network import Generator
from fewshot_tasks.autogan.space import GeneratorSpace, generator_space

SHAPE = {"channels": 4, "latent": 6, "image_size": 16, "image_channels": 1}


@pytest.fixture(scope="module")
def space() -> GeneratorSpace:
    return generator_space()


@pytest.fixture(scope="module")
def table(space: GeneratorSpace) -> CostTable:
    return generator_costs(space, SHAPE)


def least_of(table: CostTable, region: Region, measure_name: str) -> float:
    return table.total(table.cheapest(region, measure_name))[measure_name]


def test_the_table_is_what_fvcore_counts(space: GeneratorSpace, table: CostTable) -> None:
    rng = random.Random(0)
    texts = ["0,0,2,1,0,0,2,1,1,0,0,2,1,3", "1,2,0,0,1,1,1,1,1,0,2,2,0,2"]
    for architecture in [*map(space.parse, texts), *(space.sample(rng) for _ in range(40))]:
        network = Generator(space.of_cells(architecture), **SHAPE)
        expected = measure(network, (SHAPE["latent"],))
        assert table.total(architecture) == expected, space.genotype(architecture)
        costs = table.costs(architecture)
        assert costs["connected_flops"] == expected["flops"]
        assert expected["params"] == sum(p.numel() for p in network.parameters())


def test_the_cheapest_of_a_region(space: GeneratorSpace, table: CostTable) -> None:
    region = Region.root(space)
    for name in ("cell1_upsample", "cell2_upsample", "cell3_upsample"):
        region = region.restrict(name, ("deconv",))
    region = region.restrict("cell3_skips", ("cell1", "both"))
    for decision in ("cell1_block", "cell2_block", "cell3_block"):
        region = region.restrict(decision, ("pre",))
    for name in ("params", "flops", "fvcore_flops"):
        least = min(table.total(architecture)[name] for architecture in region.enumerate())
        assert least_of(table, region, name) == least


def test_a_limit_that_nothing_meets_is_refused(space: GeneratorSpace, table: CostTable) -> None:
    root = Region.root(space)
    require_feasible(root, table, Limits(params=least_of(table, root, "params")))
    with pytest.raises(ConstraintError, match="the cheapest architecture has"):
        require_feasible(root, table, Limits(params=least_of(table, root, "params") - 1))


def test_json(table: CostTable) -> None:
    value = json.loads(json.dumps(table.to_json()))
    skips = value["options"]["cell3"]  # from cell 1 by two deconvolutions, from cell 2 by one
    assert skips["skips 2 2"]["params"] > skips["skips 1 2"]["params"]
