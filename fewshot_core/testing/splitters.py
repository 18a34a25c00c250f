"""What every splitter has to do."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from fewshot_core.spaces.region import Partition, Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.splitters import Splitter


class SplitterSuite:
    """Tests of a splitter; supply the fixtures ``splitter`` and ``region``, which it cuts."""

    exhaustive = 20_000
    """Regions up to this size are checked architecture by architecture, larger ones by samples."""

    samples = 1000

    @pytest.fixture
    def splitter(self) -> Splitter:
        """The splitter under test."""
        raise NotImplementedError("a subclass supplies the fixture `splitter`")

    @pytest.fixture
    def region(self) -> Region:
        """A region that the splitter can cut."""
        raise NotImplementedError("a subclass supplies the fixture `region`")

    @pytest.fixture
    def partition(self, splitter: Splitter, region: Region) -> Partition:
        """What the splitter makes of the region."""
        return splitter(region)

    @pytest.fixture
    def architectures(self, region: Region) -> list[Architecture]:
        """Architectures of the region: all, or a sample."""
        return list(self._members(region))

    def test_it_cuts_the_region_that_it_was_given(
        self, partition: Partition, region: Region
    ) -> None:
        assert isinstance(partition, Partition)
        assert partition.parent == region

    def test_every_architecture_is_in_one_region(
        self, partition: Partition, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            owners = [region for region in partition.regions if region.contains(architecture)]
            assert len(owners) == 1, architecture
            assert partition.locate(architecture) == owners[0]

    def test_no_region_leaves_its_parent(self, partition: Partition, region: Region) -> None:
        for part in partition.regions:
            assert all(region.contains(architecture) for architecture in self._members(part))

    def test_sizes_add_up(self, partition: Partition, region: Region) -> None:
        sizes = [part.size() for part in partition.regions]
        if region.size() is None or None in sizes:
            pytest.skip("the region is too large to be counted")
        assert sum(size for size in sizes if size is not None) == region.size()

    def test_no_region_is_empty(self, partition: Partition) -> None:
        for part in partition.regions:
            assert part.contains(part.sample(random.Random(0)))

    def test_regions_have_names_of_their_own(self, partition: Partition) -> None:
        names = [part.id for part in partition.regions]
        assert len(set(names)) == len(names)

    def test_it_is_deterministic(self, splitter: Splitter, region: Region) -> None:
        assert splitter(region) == splitter(region)

    def test_json_is_read_back(self, partition: Partition, region: Region) -> None:
        assert Partition.from_json(region.space, partition.to_json()) == partition

    def _members(self, region: Region) -> Iterable[Architecture]:
        if region.box_size() <= self.exhaustive:
            return region.enumerate()
        rng = random.Random(0)
        return (region.sample(rng) for _ in range(self.samples))
