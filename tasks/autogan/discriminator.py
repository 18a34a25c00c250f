"""The discriminator, which is not searched: SN-GAN's, growing with the generator.

Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, and Gong et
al., ICCV 2019, section 3.1. Every convolution and the linear layer have spectral norm with one
power iteration; there is no batch norm.

Beside a supernet it may also see how much the images of a batch differ (minibatch standard
deviation, Karras et al., "Progressive Growing of GANs", ICLR 2018, section 3). A discriminator that
judges one image at a time does not mind generators that each make a single picture, as long as the
pictures of all of them together are as varied as the data; a batch comes from one generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

POOLING = 2
"""The first so many blocks halve the side."""


def _conv(channels_in: int, channels_out: int, size: int) -> nn.Module:
    conv = nn.Conv2d(channels_in, channels_out, size, padding=size // 2)
    # Before the parametrization: afterwards it would initialise what is computed, without effect.
    nn.init.xavier_uniform_(conv.weight)
    return spectral_norm(conv)


class _Block(nn.Module):
    """Residual: ``[B, C, H, W]`` to ``[B, width, H/2, W/2]``, or the same side without pooling.

    ``beside`` more channels are seen by the convolutions, not by the shortcut.
    """

    def __init__(self, channels: int, width: int, first: bool, pool: bool, beside: int = 0) -> None:
        super().__init__()
        self.first, self.pool = first, pool
        self.conv1 = _conv(channels + beside, width, 3)
        self.conv2 = _conv(width, width, 3)
        if pool:
            self.shortcut = _conv(channels, width, 1)

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        h = x if self.first else F.relu(x)
        h = self.conv1(h if beside is None else torch.cat([h, beside], 1))
        h = self.conv2(F.relu(h))
        if not self.pool:
            return h + x
        h = F.avg_pool2d(h, 2)
        # Images are pooled before the convolution, features after it.
        if self.first:
            return h + self.shortcut(F.avg_pool2d(x, 2))
        return h + F.avg_pool2d(self.shortcut(x), 2)


class Discriminator(nn.Module):
    """Images ``[B, C, S, S]`` to scores ``[B]``, higher for what looks real.

    With a generator of n cells it has n blocks and one more; so it grows as the generator does.
    """

    def __init__(
        self,
        *,
        channels: int,
        cells: int,
        image_channels: int = 3,
        batch_deviation: bool = False,
    ) -> None:
        """``batch_deviation``: the last block sees the deviation of a batch as one more channel."""
        super().__init__()
        self.batch_deviation = batch_deviation
        blocks = [
            _Block(channels if i else image_channels, channels, i == 0, i < POOLING)
            for i in range(cells)
        ]
        last = _Block(channels, channels, False, False, beside=int(batch_deviation))
        self.blocks = nn.Sequential(*blocks, last)
        self.head = spectral_norm(nn.Linear(channels, 1, bias=False))

    def forward(self, images: Tensor, batches: Sequence[int] | None = None) -> Tensor:
        """``batches``: sizes of the batches that the images are made of, by default one."""
        x = self.blocks[:-1](images)
        beside = deviations(x, batches or [len(x)]) if self.batch_deviation else None
        features: Tensor = F.relu(self.blocks[-1](x, beside)).sum((2, 3))
        return self.head(features)[:, 0]

    @torch.no_grad()
    def start_from(self, other: Discriminator) -> None:
        """Take over the weights of another of the same width, in place.

        What the last block of the other has for the deviation of a batch is left out where this
        one does not see it; the vectors of spectral norm are cut and scaled to length 1, and go on
        from there.
        """
        theirs = other.state_dict()
        for name, mine in self.state_dict().items():
            tensor = theirs[name]
            if tensor.shape != mine.shape:
                # The deviation is the last channel that the convolution reads.
                tensor = tensor[:, : mine.shape[1]] if mine.dim() > 1 else tensor[: len(mine)]
                tensor = tensor if mine.dim() > 1 else F.normalize(tensor, dim=0)
            mine.copy_(tensor)


def deviations(x: Tensor, batches: Sequence[int]) -> Tensor:
    """How much the features of each batch differ, ``[B, C, H, W]`` to ``[B, 1, H, W]``.

    One number for a batch: the standard deviation of each feature over it, and their mean.
    """
    found = [
        # Below the root, because that of zero has no gradient.
        (batch.float().var(0, correction=0) + 1e-8).sqrt().mean().expand(len(batch))
        for batch in x.split(list(batches))
    ]
    return torch.cat(found).to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])
