"""Stock models by word and by cost."""

from __future__ import annotations

import pytest
import timm

from fewshot_core.costs.table import measure
from fewshot_core.recipe.stock_names import FLOPS, check_rivals, nearest_stock, stock_name


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "lcnet_100"])
def test_flops_are_those_that_are_measured(name: str) -> None:
    assert FLOPS[name] == pytest.approx(
        measure(timm.create_model(name), (3, 224, 224))["flops"], rel=2e-3
    )


def test_all_of_them_have_published_weights() -> None:
    assert all(map(timm.is_model_pretrained, FLOPS))
    assert list(FLOPS.values()) == sorted(FLOPS.values())


@pytest.mark.parametrize(
    ("flops", "pixels", "name"),
    [
        (217e6, 224, "mobilenetv3_large_100"),
        (217e6 / 4, 112, "mobilenetv3_large_100"),
        (1.0, 224, "mobilenetv3_small_050"),
        (1e12, 224, "mobilenetv2_140"),
        (1e6, 32, None),
        (0, 224, None),
    ],
)
def test_the_nearest_by_cost(flops: float, pixels: int, name: str | None) -> None:
    assert nearest_stock(flops, pixels) == name


def test_words() -> None:
    assert stock_name("timm:resnet18") == ("resnet18", "pretrained")
    assert stock_name("scratch:resnet18") == ("resnet18", "scratch")
    assert stock_name("timm:local-dir:/a/b") == ("local-dir:/a/b", "pretrained")
    assert stock_name("|nor_conv_3x3~0|+|none~0|none~1|") is None
    assert stock_name("timm:") is None
    assert not list(check_rivals("k", ["random", "timm:resnet18", "one-shot"]))
    assert len(list(check_rivals("k", ["best", "timm:local-dir:a", "timm:"]))) == 3
