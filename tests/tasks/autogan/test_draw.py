from __future__ import annotations

import random
from xml.etree import ElementTree

import pytest

from fewshot_tasks.autogan.space import generator_space
from fewshot_tasks.autogan.task import TASK


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_every_generator_is_drawn(cells: int) -> None:
    space, rng = generator_space(cells), random.Random(0)
    for _ in range(20):
        architecture = space.sample(rng)
        svg = TASK.draw(space, architecture)
        ElementTree.fromstring(svg)
        features = {name: feature(architecture) for name, feature in space.features().items()}
        assert svg.count(">skip<") == features["skips"]
        assert svg.count(">shortcut<") == features["shortcuts"]
        assert svg.count(">deconv ×2<") == features["deconvs"]
        assert f"generator {space.genotype(architecture)}" in svg
