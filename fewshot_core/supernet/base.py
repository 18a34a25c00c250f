"""The supernet: one module that holds every architecture of a region with shared weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fewshot_core.errors import RegionError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

PLANS = 4096
"""Architectures whose plan a supernet keeps."""


@dataclass(frozen=True)
class InheritanceReport:
    """What became of each tensor of a supernet when it inherited from its parent."""

    copied: tuple[str, ...]
    sliced: tuple[str, ...]
    fresh: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Counts, and the names of the tensors that were not simply copied."""
        return {
            "copied": len(self.copied),
            "sliced": list(self.sliced),
            "fresh": list(self.fresh),
        }

    def __str__(self) -> str:
        return f"{len(self.copied)} copied, {len(self.sliced)} sliced, {len(self.fresh)} fresh"


class Supernet(nn.Module, ABC):
    """A network over a region: it holds that region's operations and no others.

    A subclass implements :meth:`forward` and :meth:`extract`. It names its parameters so that the
    same operation has the same name in the supernet of any region; :meth:`inherit_from` relies on
    that.
    """

    loss_compares: ClassVar[bool] = True
    """Whether the task's loss on a batch tells which of two architectures is better."""

    def __init__(self, region: Region) -> None:
        super().__init__()
        self.region = region
        self._plans: dict[Architecture, Any] = {}

    def plan(self, architecture: Architecture) -> Any:
        """What :meth:`make_plan` says, asked once for an architecture and not in every step.

        Raises:
            RegionError: The architecture is not in the region.
        """
        if architecture not in self._plans:
            self.region.require(architecture)
            if len(self._plans) >= PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[architecture] = self.make_plan(architecture)
        return self._plans[architecture]

    def make_plan(self, architecture: Architecture) -> Any:
        """What :meth:`forward` has to know of an architecture of the region; by default itself."""
        return architecture

    @abstractmethod
    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """Run one architecture of the region on a batch.

        Operations that cannot reach the output are not computed.

        Raises:
            RegionError: The architecture is not in the region.
        """

    def path_batch(
        self, architectures: Sequence[Architecture], device: torch.device
    ) -> Tensor | None:
        """Architectures as a tensor, for one program that runs each on a part of a batch.

        :meth:`forward` takes the tensor in place of an architecture, and images whose number is a
        multiple of its length. Shapes and kernels are the same for any architectures, so that a
        device can capture the program once. None where this supernet or the device has none, as by
        default: the architectures are then run one by one.

        Raises:
            RegionError: An architecture is not in the region.
        """
        return None

    def logits_of_many(
        self,
        architectures: Sequence[Architecture],
        calibration: Sequence[Tensor],
        batches: Iterable[Tensor],
    ) -> Iterator[Tensor] | None:
        """Outputs of architectures run at once, batch norm recalibrated for each.

        Args:
            architectures: Architectures of the region.
            calibration: Batches of images that statistics are measured on.
            batches: Images.

        Returns:
            ``[architectures, images, classes]`` for every batch; None where they have to be run
            one by one, as by default.
        """
        return None

    def forward_mixed(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Run every option of every decision at once and add their outputs, weighted.

        Args:
            x: The batch.
            weights: Per decision ``[options]``, in the order of the region's allowed options.

        Raises:
            RegionError: This kind of supernet cannot.
        """
        raise RegionError(
            f"{type(self).__name__} cannot run its options as a mixture",
            fix="use a strategy that asks for scores, or enas, which trains single paths",
        )

    def competing(self) -> tuple[tuple[str, ...], ...]:
        """Groups of decisions whose outputs are added to one another; none by default."""
        return ()

    @abstractmethod
    def extract(self, architecture: Architecture) -> nn.Module:
        """A standalone network with copies of the weights and identical outputs.

        Raises:
            RegionError: The architecture is not in the region.
        """

    def slice_parent(
        self, name: str, parent: Mapping[str, Tensor], shape: torch.Size
    ) -> Tensor | None:
        """What this supernet makes of a tensor of another shape that the parent has.

        The default takes nothing; supernets with elastic widths or kernels override it.

        Args:
            name: The name of the tensor, in ``parent`` as here.
            parent: All tensors of the parent; a kernel is made of more than one.
            shape: The shape of the tensor here.
        """
        return None

    @torch.no_grad()
    def inherit_from(self, parent: Supernet) -> InheritanceReport:
        """Take over the parent's weights and buffers where the two hold the same operations.

        Raises:
            RegionError: The parent belongs to another space.
        """
        if parent.region.space != self.region.space:
            raise RegionError("a supernet inherits only from one of the same space")
        theirs: Mapping[str, Tensor] = parent.state_dict()
        copied, sliced, fresh = [], [], []
        for name, mine in self.state_dict().items():
            source = theirs.get(name)
            if source is not None and source.shape == mine.shape:
                mine.copy_(source)
                copied.append(name)
                continue
            part = None if source is None else self.slice_parent(name, theirs, mine.shape)
            if part is not None:
                mine.copy_(part)
                sliced.append(name)
            else:
                fresh.append(name)
        return InheritanceReport(tuple(copied), tuple(sliced), tuple(fresh))


@torch.no_grad()
def copy_into(network: nn.Module, supernet: nn.Module, rename: Callable[[str], str]) -> None:
    """Fill every tensor of a standalone network from the supernet's ``rename(name)``."""
    weights = supernet.state_dict()
    for name, tensor in network.state_dict().items():
        tensor.copy_(weights[rename(name)])
