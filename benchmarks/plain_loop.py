"""The loops that `speed.py` compares ours with: what a competent user writes without this project.

The network is a plain one. It has the parameters, the paths and the arithmetic of our supernet,
and leaves out as ours does what cannot reach the output, but it is put together from modules of
torch alone, and nothing in it comes from `tasks/cifar10/supernet.py`. Gains of our kernels and of
our way through a cell would otherwise hide in both loops. What is shared with ours is
`tasks/cifar10/network.py`, the skeleton and the operations, which is plain torch itself.

There are two sources of images. Torchvision's transforms on PIL images in a DataLoader are what
one writes first. Images that lie normalised in memory, without augmentation, cost a loop next to
nothing: the harder baseline, since what is left of a difference comes from the network.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from fewshot_core.data import ImageArray
from fewshot_core.recipe.schema import Recipe
from fewshot_core.spaces.paths import UniformPaths
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.cifar10.network import (
    CellSkeleton,
    Edge,
    edge_key,
    live_edges,
    make_operation,
    run_cell,
)
from fewshot_tasks.cifar10.space import OPERATIONS, CellSpace

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)

Batches = Iterator[tuple[Tensor, Tensor]]


class PlainCell(nn.Module):
    """Every operation of every edge; a path runs one of each."""

    def __init__(self, space: CellSpace, channels: int) -> None:
        super().__init__()
        names = [name for name in OPERATIONS if name != "none"]
        self.edges = nn.ModuleDict(
            {
                edge_key(target, source): nn.ModuleDict(
                    {name: make_operation(name, channels, affine=False) for name in names}
                )
                for target, source in space.edges
            }
        )

    def forward(self, x: Tensor, edges: list[Edge]) -> Tensor:
        def apply(edge: Edge, value: Tensor) -> Tensor:
            operations: Any = self.edges[edge_key(edge[0], edge[1])]
            output: Tensor = operations[edge[2]](value)
            return output

        return run_cell(x, edges, apply)


class PlainSupernet(nn.Module):
    """The cell supernet as one would write it."""

    def __init__(self, recipe: Recipe, space: CellSpace) -> None:
        super().__init__()
        self.space = space
        self.net = CellSkeleton(
            lambda channels: PlainCell(space, channels),
            channels=recipe.network.channels,
            cells_per_stage=recipe.network.cells_per_stage,
            num_classes=10,
            in_chans=3,
        )

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        edges = [
            (target, source, str(operation))
            for (target, source), operation in zip(
                self.space.edges, architecture.choices, strict=True
            )
        ]
        logits: Tensor = self.net(x, live_edges(edges))
        return logits


def plain_loop(
    recipe: Recipe,
    space: CellSpace,
    batches: Batches,
    steps: int,
    precision: str,
    channels_last: bool,
) -> Callable[[int], None]:
    """Training from a step on, so many steps, on random single paths, those of our loop."""
    torch.manual_seed(0)
    net = PlainSupernet(recipe, space)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(memory_format=layout)
    paths = UniformPaths(Region.root(space))
    settings = recipe.supernet
    optimizer = torch.optim.SGD(
        net.parameters(),
        settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=True,
    )

    def run(first: int) -> None:
        for step, (x, y) in zip(range(first, first + steps), batches, strict=False):
            (architecture,) = paths.draw(random.Random(step))
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = F.cross_entropy(net(x.to(memory_format=layout), architecture), y)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), settings.grad_clip or float("inf"))
            optimizer.step()

    return run


class _PilImages(Dataset[tuple[Tensor, int]]):
    def __init__(self, images: ImageArray) -> None:
        to_pil = transforms.ToPILImage()
        self.images = [to_pil(image) for image in images.images]
        self.labels = images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def loaded_batches(images: ImageArray, batch_size: int) -> Batches:
    """Torchvision's transforms on PIL images, endlessly.

    Without workers: on two cores they take from the training what they give.
    """
    loader = DataLoader(_PilImages(images), batch_size, shuffle=True, drop_last=True)
    while True:
        yield from loader


def ready_batches(images: ImageArray, batch_size: int) -> Batches:
    """Images that were normalised beforehand, shuffled and not augmented, endlessly."""
    normalise = transforms.Normalize(MEAN, STD)
    pixels = normalise(images.images.float() / 255)
    while True:
        order = torch.randperm(len(pixels))
        for index in order.split(batch_size):
            if len(index) == batch_size:
                yield pixels[index], images.labels[index]
