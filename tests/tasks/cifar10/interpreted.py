"""Cells that are computed at once, by the kernels in Triton's interpreter, against single paths.

Run by test_path_batch.py in a process of its own: Triton has to be told when it is imported.
"""

from __future__ import annotations

import copy
import random

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from fewshot_core.spaces.paths import UniformPaths
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import recalibrate_norms
from fewshot_core.training.classifier_scores import ClassificationScorer
from fewshot_tasks.cifar10.space import nasbench201
from fewshot_tasks.cifar10.supernet import CellSupernet

pytestmark = pytest.mark.process  # Triton asks the system for libraries

ROOT = Region.root(nasbench201())
CPU = torch.device("cpu")
PARTS, EACH, CLASSES = 3, 2, 7
NO_OUTPUT = "|none~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|none~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|"
"""Its convolutions lead nowhere."""
CHAIN = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"


def supernet(region: Region = ROOT, affine: bool = False) -> CellSupernet:
    torch.manual_seed(0)
    net = CellSupernet(
        region, channels=2, cells_per_stage=1, num_classes=CLASSES, in_chans=3, affine=affine
    ).double()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() == 1:  # weights of norms are all alike at first
                parameter.copy_(torch.randn_like(parameter))
    return net


def cells(region: Region, *more: str) -> list[Architecture]:
    drawn = UniformPaths(region).draw_together(random.Random(1), PARTS - len(more))
    return drawn + [ROOT.space.parse(text) for text in more]


def batch(count: int = PARTS * EACH) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, 4, 4, generator=generator, dtype=torch.float64)
    return images, torch.randint(CLASSES, (count,), generator=generator)


def codes_of(net: CellSupernet, architectures: list[Architecture]) -> Tensor:
    codes = net.path_batch(architectures, CPU)
    assert codes is not None
    return codes


def gradients(net: CellSupernet) -> dict[str, Tensor]:
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in net.named_parameters()
    }


@pytest.mark.parametrize("affine", [False, True], ids=["plain", "affine"])
def test_the_gradient_is_the_mean_of_single_paths(affine: bool) -> None:
    together = supernet(affine=affine).train()
    single = copy.deepcopy(together)
    architectures = cells(ROOT, NO_OUTPUT, DEAD)
    images, targets = batch()
    logits = together(images, codes_of(together, architectures))
    F.cross_entropy(logits, targets).backward()
    parts = zip(images.chunk(PARTS), targets.chunk(PARTS), strict=True)
    for index, (architecture, (x, y)) in enumerate(zip(architectures, parts, strict=True)):
        alone = single(x, architecture)
        torch.testing.assert_close(logits.chunk(PARTS)[index], alone, rtol=1e-10, atol=1e-10)
        (F.cross_entropy(alone, y) / PARTS).backward()
    theirs = gradients(single)
    assert any(gradient.abs().max() > 1e-3 for gradient in theirs.values())
    for name, mine in gradients(together).items():
        torch.testing.assert_close(mine, theirs[name], rtol=1e-10, atol=1e-10, msg=name)


def test_running_statistics_move_as_far_as_by_single_paths() -> None:
    together = supernet().train()
    single = copy.deepcopy(together)
    # Of parts that are alike the order makes no difference.
    architectures = [ROOT.space.parse(CHAIN)] * PARTS
    images, _ = batch(EACH)
    together(images.repeat(PARTS, 1, 1, 1), codes_of(together, architectures))
    for architecture in architectures:
        single(images, architecture)
    theirs = dict(single.named_buffers())
    for name, mine in together.named_buffers():
        torch.testing.assert_close(mine, theirs[name], rtol=1e-10, atol=1e-10, msg=name)


def test_a_region_lacks_operations() -> None:
    region = ROOT.restrict("edge_1_0", ("none",)).restrict("edge_3_2", ("nor_conv_1x1",))
    net = supernet(region).train()
    architectures = cells(region)
    images, _ = batch()
    logits = net(images, codes_of(net, architectures)).chunk(PARTS)
    for index, (architecture, x) in enumerate(zip(architectures, images.chunk(PARTS), strict=True)):
        torch.testing.assert_close(logits[index], net(x, architecture), rtol=1e-10, atol=1e-10)
    stranger = ROOT.space.parse(DEAD)
    with pytest.raises(Exception, match="region"):
        net.path_batch([stranger], CPU)


def test_scores_of_many_are_those_of_each() -> None:
    net = supernet().eval()
    architectures = cells(ROOT, NO_OUTPUT, DEAD)
    calibration = [images for images, _ in (batch(4), batch(3))]
    validation = [batch(5), batch(2)]
    scorer = ClassificationScorer(validation, calibration, Accelerator(cpu=True))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = dict(scorer.score_many(net, architectures))
    assert set(found) == set(architectures)
    for architecture in architectures:
        alone = scorer.score(net, architecture)
        assert found[architecture]["accuracy"] == alone["accuracy"]
        assert found[architecture]["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    many = net.logits_of_many(architectures, calibration, [validation[0][0]])
    assert many is not None
    (logits,) = many
    with torch.no_grad(), recalibrate_norms(net, calibration, lambda x: net(x, architectures[0])):
        alone_logits = net(validation[0][0], architectures[0])
    torch.testing.assert_close(logits[0], alone_logits, rtol=1e-10, atol=1e-10)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_without_kernels_there_is_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    net = supernet()
    assert net.logits_of_many(cells(ROOT), [], []) is None  # with running statistics
    monkeypatch.delenv("TRITON_INTERPRET")
    assert net.path_batch(cells(ROOT), CPU) is None
