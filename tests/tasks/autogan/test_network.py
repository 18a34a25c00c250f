"""Generators and the discriminator against the figures of docs/autogan.md."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fewshot_core.costs.table import measure
from fewshot_core.export.onnx import write_onnx
from fewshot_tasks.autogan.adversaries import CRITIC, GENERATOR, AdversarialNetwork, hinge
from fewshot_tasks.autogan.discriminator import Discriminator, deviations
from fewshot_tasks.autogan.network import Generator, split_vector, to_bytes
from fewshot_tasks.autogan.settings import GanSettings
from fewshot_tasks.autogan.space import generator_space

A = "1 0 1 1 1 0 0 1 1 1 0 1 0 3"
B = "1 0 1 1 1 0 1 1 1 1 0 1 1 3"
C = "1 1 1 1 1 0 0 1 1 1 0 1 0 3"
E2GAN = "0 1 0 1 0 1 2 1 0 0 1 0 1 2"
SNGAN = "1 1 1 1 1 1 1 1 0 1 1 1 1 0"


def cells(text: str) -> list[tuple[int, ...]]:
    return split_vector([int(word) for word in text.split()])


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("text", "size", "count", "macs"),
    [
        (A, 32, 4_405_251, 1_765_015_552),
        (B, 32, 4_471_043, 1_832_124_416),
        (C, 32, 4_406_275, 1_765_015_552),
        (E2GAN, 32, 4_867_331, 1_781_792_768),
        (A, 48, 5_065_731, 3_971_284_992),
    ],
)
def test_published_generators(text: str, size: int, count: int, macs: int) -> None:
    costs = measure(Generator(cells(text), image_size=size), (128,))
    assert (costs["params"], costs["flops"]) == (count, macs)


@pytest.mark.parametrize(("width", "count"), [(64, 264_768), (128, 1_053_824)])
def test_discriminator(width: int, count: int) -> None:
    discriminator = Discriminator(channels=width, cells=3)
    assert parameters(discriminator) == count
    assert discriminator(torch.randn(2, 3, 32, 32)).shape == (2,)


@pytest.mark.parametrize(("cells", "size", "inside"), [(1, 8, 4), (2, 16, 4), (3, 32, 8)])
def test_the_discriminator_grows(cells: int, size: int, inside: int) -> None:
    discriminator = Discriminator(channels=4, cells=cells)
    assert discriminator.blocks(torch.randn(1, 3, size, size)).shape == (1, 4, inside, inside)


def test_deviations_are_those_of_each_batch() -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 3, 2, 2)
    x[3:] = x[3]
    found = deviations(x, [3, 4])
    assert found.shape == (7, 1, 2, 2)
    varied = np.std(x[:3].numpy(), axis=0).mean()
    assert found[:3].unique().item() == pytest.approx(varied, rel=1e-4)
    assert found[3:].unique().item() == pytest.approx(1e-4)  # images that are all the same


def test_a_batch_without_variety_has_a_gradient() -> None:
    x = torch.ones(4, 3, 2, 2, requires_grad=True)
    deviations(x, [4]).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("sees", [False, True])
def test_a_discriminator_that_sees_the_variety_of_a_batch(sees: bool) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(channels=4, cells=2, batch_deviation=sees).eval()
    images = torch.randn(6, 3, 16, 16)
    alike = images[:1].expand(6, -1, -1, -1)
    together = discriminator(torch.cat([images, alike]), [6, 6])
    assert torch.allclose(together[:6], discriminator(images), atol=1e-6)
    assert torch.allclose(together[0], together[6], atol=1e-6) != sees


@pytest.mark.parametrize("sees", [False, True])
def test_every_layer_of_the_discriminator_has_norm_one(sees: bool) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(channels=8, cells=3, batch_deviation=sees)
    for _ in range(50):  # power iterations
        discriminator(torch.randn(2, 3, 32, 32))
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 11
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(norm) == pytest.approx(1, abs=0.02)


def test_convolutions_are_initialised_by_xavier() -> None:
    """Also those with spectral norm, whose computed weight would ignore it."""
    discriminator = Discriminator(channels=64, cells=3)
    conv = discriminator.blocks[1].conv1
    bound = (6 / (2 * 64 * 9)) ** 0.5
    original = conv.parametrizations.weight.original
    assert 0.98 * bound < original.abs().max() <= bound
    generator = Generator(cells(A), channels=64)
    assert 0.98 * bound < generator.cells[0].first["pre"].conv.weight.abs().max() <= bound


def test_the_hand_made_baseline_is_a_point_of_the_space() -> None:
    """SN-GAN's generator, written out: residual blocks that normalise before they convolve."""
    torch.manual_seed(0)
    generator = Generator(cells(SNGAN), channels=6, latent=5)
    z = torch.randn(3, 5)
    relu, up = nn.functional.relu, nn.Upsample(scale_factor=2)
    x = generator.stem(z).view(3, 6, 4, 4)
    for cell in generator.cells:
        first, second = cell.first["pre"], cell.second["pre"]
        h = first.conv(up(relu(first.norm(x))))
        h = second.conv(relu(second.norm(h)))
        x = h + cell.shortcut.conv(up(x))
    expected = torch.tanh(generator.to_pixels(relu(generator.norm(x))))
    torch.testing.assert_close(generator(z), expected)


def test_what_a_cell_hands_over_lacks_what_it_was_handed() -> None:
    """Cell 3 reads cell 1 alone: with or without a skip into cell 2, it gets the same of it."""
    torch.manual_seed(0)
    body = Generator(cells("1 0 1 0 1 0 1 0 1 1 0 1 0 1"), channels=4, latent=3)
    x, kept = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    cell = body.cells[1]
    with_skip, _ = cell(x, [kept], (1, 0, 1, 0, 1))
    without, _ = cell(x, [kept], (1, 0, 1, 0, 0))
    assert torch.equal(with_skip, without)


def test_every_kind_of_generator_trains_for_a_step() -> None:
    """Post-activation with skips included, which an addition in place would break."""
    rng, space = random.Random(0), generator_space()
    texts = ["0,2,2,1,0,1,0,1,1,0,0,1,1,3"]
    vectors = [space.of_cells(space.parse(text)) for text in texts]
    vectors += [space.of_cells(space.sample(rng)) for _ in range(40)]
    shape = {"channels": 2, "latent": 4, "image_size": 16}
    for numbers in vectors:
        torch.manual_seed(0)
        pair = AdversarialNetwork(
            numbers, generator=shape, discriminator={"channels": 2, "cells": 3}
        )
        z, real = torch.randn(3, 4), torch.rand(3, 3, 16, 16)
        pair(z, role=CRITIC, real=real).backward()
        assert all(p.grad is None for p in pair.generator.parameters())
        assert all(p.grad is not None for p in pair.discriminator.parameters())
        pair(z, role=GENERATOR).backward()
        for name, parameter in pair.generator.named_parameters():
            assert parameter.grad is not None, (numbers, name)
            assert parameter.grad.isfinite().all(), (numbers, name)


def test_hinge() -> None:
    scores = {"real": torch.tensor([2.0, 0.5]), "fake": torch.tensor([-3.0, 0.25])}

    class Fixed(nn.Module):
        def forward(self, images: torch.Tensor, batches: object = None) -> torch.Tensor:
            return images.flatten()

    real, fake = (scores[name].view(2, 1, 1, 1) for name in ("real", "fake"))
    # mean(0, 0.5) + mean(0, 1.25)
    assert float(hinge(CRITIC, Fixed(), lambda: fake, real)) == pytest.approx(0.875)
    assert float(hinge(GENERATOR, Fixed(), lambda: fake, None)) == pytest.approx(1.375)


def test_the_average_follows_weights_and_buffers() -> None:
    torch.manual_seed(0)
    shape = {"channels": 2, "latent": 3, "image_size": 8}
    pair = AdversarialNetwork(
        [(1, 1, 1, 1)],
        generator=shape,
        discriminator={"channels": 2, "cells": 1},
        rules=GanSettings(ema=0.9),
    )
    before = {n: t.clone() for n, t in pair.average.state_dict().items()}
    pair.train()
    pair.generator(torch.randn(8, 3))  # moves the statistics
    with torch.no_grad():
        for parameter in pair.generator.parameters():
            parameter.add_(1)
    for updates, decay in ((0, 0.1), (10_000, 0.9)):
        pair.average.load_state_dict(before)
        pair.update_average(updates)
        theirs = pair.generator.state_dict()
        assert {n for n in before if n.endswith("running_mean")}
        for name, tensor in pair.average.state_dict().items():
            if tensor.is_floating_point():
                expected = decay * before[name] + (1 - decay) * theirs[name]
                torch.testing.assert_close(tensor, expected)
            else:
                assert torch.equal(tensor, theirs[name])
    assert pair.result is pair.average


def test_bytes_are_cut_off_as_in_published_scores() -> None:
    images = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0, 1.5])
    assert to_bytes(images).tolist() == [0, 0, 127, 191, 255, 255]


@pytest.mark.parametrize("count", [0, 5, 8, 15])
def test_rows_of_another_length_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="no generator"):
        split_vector([0] * count)


def test_sizes_that_do_not_halve_are_refused() -> None:
    with pytest.raises(ValueError, match="do not make images of 12"):
        Generator(cells(A), image_size=12)


def test_every_kind_of_generator_can_be_exported(tmp_path: Path) -> None:
    """For any batch size: writing compares batches of three and of one with torch."""
    for text in ("0,2,2,1,1,1,0,1,1", "1,2,1,0,0,0,2,0,1"):
        torch.manual_seed(0)
        generator = Generator(
            cells(text.replace(",", " ")), channels=4, latent=5, image_size=8
        ).eval()
        noise = torch.randn(3, 5)
        assert write_onnx(tmp_path / "model.onnx", generator, noise, ("noise", "images")) < 1e-4


def test_a_discriminator_goes_on_where_that_of_a_supernet_stands() -> None:
    """What the other has for the deviation of a batch is left out, and norms still hold."""
    torch.manual_seed(0)
    shape = {"channels": 3, "cells": 1, "image_channels": 1}
    theirs = Discriminator(**shape, batch_deviation=True)
    alike, mine = (Discriminator(**shape) for _ in range(2))
    images = torch.randn(4, 1, 8, 8)
    for _ in range(50):
        theirs(images)  # the vectors of spectral norm settle
    mine.start_from(theirs)
    kernel = mine.blocks[-1].conv1.parametrizations.weight.original
    other = theirs.blocks[-1].conv1.parametrizations.weight.original
    assert other.shape[1] == kernel.shape[1] + 1
    assert torch.equal(kernel, other[:, :3])
    assert torch.equal(mine.head.weight, theirs.eval().head.weight)
    for _ in range(50):
        mine(images)
    norm = torch.linalg.matrix_norm(mine.blocks[-1].conv1.weight.detach().flatten(1), 2)
    assert float(norm) == pytest.approx(1, abs=1e-3)
    alike.start_from(mine)
    assert torch.equal(alike.eval()(images), mine.eval()(images))


def test_a_generator_is_taken_over_with_its_average() -> None:
    shape = {"channels": 2, "latent": 3, "image_size": 8}
    make = partial(
        AdversarialNetwork,
        [(1, 1, 1, 1)],
        generator=shape,
        discriminator={"channels": 2, "cells": 1},
    )
    source = make().eval()
    for ema in (0.9, 0.0):
        pair = make(rules=GanSettings(ema=ema)).eval()
        pair.start_from(source.generator, source.discriminator)
        z = torch.randn(5, 3)
        assert torch.equal(pair.result(z), source.generator(z))
        assert torch.equal(pair.generator(z), source.generator(z))
