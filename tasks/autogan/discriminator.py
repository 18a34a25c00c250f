"""The discriminator, which is not searched: SN-GAN's, growing with the generator.

Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, and Gong et
al., ICCV 2019, section 3.1. Every convolution and the linear layer have spectral norm with one
power iteration; there is no batch norm.
"""

from __future__ import annotations

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
    """Residual: ``[B, C, H, W]`` to ``[B, width, H/2, W/2]``, or the same side without pooling."""

    def __init__(self, channels: int, width: int, first: bool, pool: bool) -> None:
        super().__init__()
        self.first, self.pool = first, pool
        self.conv1 = _conv(channels, width, 3)
        self.conv2 = _conv(width, width, 3)
        if pool:
            self.shortcut = _conv(channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(x if self.first else F.relu(x))
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

    def __init__(self, *, channels: int, cells: int, image_channels: int = 3) -> None:
        super().__init__()
        blocks = [
            _Block(channels if i else image_channels, channels, i == 0, i < POOLING)
            for i in range(cells)
        ]
        self.blocks = nn.Sequential(*blocks, _Block(channels, channels, False, False))
        self.head = spectral_norm(nn.Linear(channels, 1, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = F.relu(self.blocks(images)).sum((2, 3))
        return self.head(features)[:, 0]
