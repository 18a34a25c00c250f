"""Generator and discriminator as one module: what a training prepares, saves and hands on.

Losses are computed inside ``forward``, because Accelerate's wrapper around a module that several
processes train adds up the gradients of one ``forward`` at a time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_core.errors import RegionError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet, copy_into
from fewshot_tasks.autogan.discriminator import Discriminator
from fewshot_tasks.autogan.network import Generator, GeneratorBody
from fewshot_tasks.autogan.settings import GanSettings
from fewshot_tasks.autogan.space import Cell, GeneratorSpace

CRITIC, GENERATOR = "critic", "generator"
"""Whose loss ``forward`` returns in place of images."""


def hinge(role: str, discriminator: nn.Module, make: Callable[[], Tensor], real: Any) -> Tensor:
    """The hinge loss of one side, a scalar in float32 (Gong et al., section 3; Miyato et al. 2018).

    Args:
        role: ``critic`` or ``generator``.
        discriminator: Images, and sizes of their batches, to scores.
        make: Generates a batch of images.
        real: Images of the data, for the critic.
    """
    if role == GENERATOR:
        return -discriminator(make()).float().mean()
    with torch.no_grad():
        fake = make()
    batches = [len(real), len(fake)]
    scores = discriminator(torch.cat([real, fake.to(real.dtype)]), batches).float()
    mine, theirs = scores.split(batches)
    return F.relu(1 - mine).mean() + F.relu(1 + theirs).mean()


class SharedGenerator(Supernet):
    """All generators of a region; block types have their own convolutions, the rest is shared."""

    def __init__(self, region: Region, **shape: int) -> None:
        """``shape``: as of :class:`fewshot_tasks.autogan.network.GeneratorBody`."""
        super().__init__(region)
        assert isinstance(region.space, GeneratorSpace)
        self.shape = shape
        self.body = GeneratorBody(region.space.cells_of(region), **shape)

    @property
    def latent(self) -> int:
        """Numbers in a noise vector."""
        return self.body.latent

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """Noise ``[B, latent]`` to images ``[B, C, S, S]`` in [-1, 1]."""
        return self.body.run(x, self.plan(architecture))

    def make_plan(self, architecture: Architecture) -> tuple[Cell, ...]:
        space = self.region.space
        assert isinstance(space, GeneratorSpace)
        return space.of_cells(architecture)

    def extract(self, architecture: Architecture) -> Generator:
        """The standalone generator of an architecture, with the supernet's weights."""
        generator = Generator(self.plan(architecture), **self.shape)
        copy_into(generator, self, lambda name: f"body.{name}")
        generator.train(self.training)
        parameter = next(self.parameters())
        return generator.to(device=parameter.device, dtype=parameter.dtype)


class AdversarialSupernet(Supernet):
    """The shared generator of a region and its own discriminator.

    A child inherits both, so that its discriminator goes on where the parent's stands.
    """

    # What a generator loses against a discriminator that learns along with it is no measure.
    loss_compares = False

    def __init__(
        self,
        region: Region,
        *,
        generator: dict[str, int],
        discriminator: dict[str, int],
        rules: GanSettings | None = None,
    ) -> None:
        super().__init__(region)
        self.rules = rules or GanSettings()
        self._arguments = {"generator": generator, "discriminator": discriminator}
        self.generator = SharedGenerator(region, **generator)
        self.discriminator = Discriminator(
            **discriminator, batch_deviation=self.rules.batch_deviation
        )

    def forward(
        self, x: Tensor, architecture: Architecture, role: str | None = None, real: Any = None
    ) -> Tensor:
        """Images of an architecture, or the loss of one side; ``x`` is noise ``[B, latent]``."""
        if role is None:
            return self.generator(x, architecture)
        return hinge(role, self.discriminator, lambda: self.generator(x, architecture), real)

    def extract(self, architecture: Architecture) -> Generator:
        """The standalone generator, without a discriminator."""
        return self.generator.extract(architecture)

    def begin_anew(self, seed: int) -> None:
        """Put fresh weights in place of those that have collapsed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = AdversarialSupernet(self.region, rules=self.rules, **self._arguments)
        self.load_state_dict(fresh.state_dict())


class AdversarialNetwork(nn.Module):
    """A standalone generator, its discriminator, and a moving average of the generator.

    The average is over weights and buffers; it is what is scored and handed over.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        *,
        generator: dict[str, int],
        discriminator: dict[str, int],
        rules: GanSettings | None = None,
    ) -> None:
        super().__init__()
        self.rules = rules or GanSettings()
        self.generator = Generator(cells, **generator)
        self.discriminator = Discriminator(**discriminator, batch_deviation=False)
        if self.rules.ema:
            self.average = copy.deepcopy(self.generator).requires_grad_(False)

    @property
    def result(self) -> Generator:
        """The generator that counts."""
        result: Generator = self.average if self.rules.ema else self.generator
        return result

    def forward(
        self,
        x: Tensor,
        architecture: Architecture | None = None,
        role: str | None = None,
        real: Any = None,
    ) -> Tensor:
        """Images of the result, or the loss of one side; ``x`` is noise ``[B, latent]``."""
        if architecture is not None:
            raise RegionError("a standalone generator has no architectures to choose from")
        if role is None:
            images: Tensor = self.result(x)
            return images
        return hinge(role, self.discriminator, lambda: self.generator(x), real)

    def start_from(self, generator: nn.Module, discriminator: Discriminator) -> None:
        """Take over a generator and the discriminator that it was trained against, in place.

        Args:
            generator: One of the same cells; the average begins with its weights, too.
            discriminator: One of the same width; see :meth:`Discriminator.start_from`.
        """
        self.generator.load_state_dict(generator.state_dict())
        self.result.load_state_dict(generator.state_dict())
        self.discriminator.start_from(discriminator)

    @torch.no_grad()
    def update_average(self, updates: int) -> None:
        """Move the average towards the generator; ``updates`` were made before.

        The decay begins at 1/10 and rises to ``ema``: min(ema, (1 + n) / (10 + n)).
        """
        if not self.rules.ema:
            return
        share = 1 - min(self.rules.ema, (1 + updates) / (10 + updates))
        theirs = self.generator.state_dict()
        for name, mine in self.average.state_dict().items():
            if mine.is_floating_point():
                mine.lerp_(theirs[name].to(mine.dtype), share)
            else:
                mine.copy_(theirs[name])


Adversaries = AdversarialSupernet | AdversarialNetwork
