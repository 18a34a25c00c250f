"""Training-free proxies on cells, and as the recipe asks for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.evaluators import _proxies
from fewshot_core.evaluators._proxies import NASWOT_FLOOR, SYNFLOW_FLOOR, naswot, synflow
from fewshot_core.pipeline.checks import check
from fewshot_core.pipeline.opening import open_run
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scoring import make_evaluator
from fewshot_core.recipe.load import load_recipe
from fewshot_core.runs.folder import RunFolder
from fewshot_tasks.cifar10.network import CellNetwork, parse_cell
from fewshot_tasks.cifar10.space import nasbench201

SPACE = nasbench201()
RICH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|nor_conv_3x3~2|"
SKIP = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
SEVERED = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|none~2|"
# One network, once with an operation that leads nowhere.
ONE = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
OTHER = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|none~2|"

PROXIES = {
    "synflow": (lambda m: synflow(m, (3, 8, 8)), SYNFLOW_FLOOR),
    "naswot": (lambda m: naswot(m, images()), NASWOT_FLOOR),
}


def images() -> Tensor:
    return torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network(genotype: str) -> CellNetwork:
    torch.manual_seed(0)
    return CellNetwork(parse_cell(genotype), channels=4, cells_per_stage=1)


@pytest.mark.parametrize("name", PROXIES)
def test_a_cell_without_a_path_is_the_lowest(name: str) -> None:
    proxy, floor = PROXIES[name]
    assert proxy(network(SEVERED)) == floor
    rng = random.Random(0)
    cells = [a for a in (SPACE.sample(rng) for _ in range(30)) if SPACE.connected(a)]
    assert all(proxy(network(SPACE.genotype(cell))) > floor for cell in cells)


@pytest.mark.parametrize("name", PROXIES)
def test_convolutions_are_worth_more_than_a_skip(name: str) -> None:
    proxy, _ = PROXIES[name]
    assert proxy(network(RICH)) > proxy(network(SKIP))


# --- as the recipe asks for them

Open = Callable[..., Run]


@pytest.fixture
def open_words(tmp_path: Path) -> Open:
    def make(*words: str) -> Run:
        small = ["recipe=digits", "network.channels=4", "data.limit=200", *words]
        recipe = load_recipe(small).recipe
        return open_run(recipe, RunFolder(tmp_path / "run"), Accelerator(cpu=True))

    return make


@pytest.mark.parametrize("name", PROXIES)
def test_the_seed_decides(name: str, open_words: Open) -> None:
    def score(*words: str) -> float:
        torch.rand(3)  # what was drawn before must not matter
        cell = SPACE.parse(RICH)
        metrics = make_evaluator(open_words(f"evaluator={name}", *words)).evaluate(cell)
        assert list(metrics) == ["score"]
        return metrics["score"]

    assert score() == score() != score("seed=1")


@pytest.mark.parametrize("name", PROXIES)
def test_equal_networks_have_one_score(name: str, open_words: Open) -> None:
    one, other = SPACE.parse(ONE), SPACE.parse(OTHER)
    assert SPACE.canonical(one) == SPACE.canonical(other)
    shared = make_evaluator(open_words(f"evaluator={name}"))
    assert shared.evaluate(one) == shared.evaluate(other)
    apart = make_evaluator(open_words(f"evaluator={name}", "evaluator.share_equal=false"))
    assert apart.evaluate(one) != apart.evaluate(other)  # other initial weights


@pytest.mark.parametrize(("batch_size", "count"), [(256, 64), (20, 20)])
def test_naswot_sees_unaugmented_training_images(
    batch_size: int, count: int, open_words: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def proxy(model: nn.Module, batch: Tensor) -> float:
        seen.append(batch)
        return 0.0

    monkeypatch.setattr(_proxies, "naswot", proxy)
    run = open_words("evaluator=naswot", f"evaluator.batch_size={batch_size}")
    evaluator = make_evaluator(run)
    for cell in (RICH, SKIP):
        evaluator.evaluate(SPACE.parse(cell))
    assert [len(batch) for batch in seen] == [count, count]
    assert torch.equal(seen[0], seen[1])
    data = run.images.data()
    mean, std = data.mean[0], data.std[0]
    pixels = ((seen[0] * std + mean) * 255).round().to(torch.uint8)
    known = {image.numpy().tobytes(): int(y) for image, y in zip(
        data.train.images, data.train.labels, strict=True
    )}  # fmt: skip
    labels = [known[image.numpy().tobytes()] for image in pixels]
    counts = [labels.count(digit) for digit in range(10)]
    assert max(counts) - min(counts) <= 2


def test_synflow_reads_the_shape_of_the_images(
    open_words: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []
    monkeypatch.setattr(_proxies, "synflow", lambda m, size: sizes.append(size) or 0.0)
    make_evaluator(open_words("evaluator=synflow")).evaluate(SPACE.parse(RICH))
    assert sizes == [(1, 8, 8)]


def test_a_network_that_the_proxy_cannot_score_is_found_before_the_search(
    open_words: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def proxy(*arguments: object) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(_proxies, "naswot", proxy)
    with pytest.raises(ZeroDivisionError):
        check(open_words("evaluator=naswot"))
