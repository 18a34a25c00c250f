"""The differentiable strategy that needs no mixture, with the elastic supernet, on digits."""

from __future__ import annotations

import pytest

from fewshot_core.testing.derivations import DerivationSuite


class TestDerivations(DerivationSuite):
    @pytest.fixture
    def method(self) -> str:
        return "enas"

    @pytest.fixture
    def words(self) -> list[str]:
        return [
            "recipe=mobile_digits",
            "threads=1",
            "checkpoint_steps=2",
            "data.limit=120",
            "network.width=0.25",
            "network.head=16",
            "network.units=[1,2]",
            "network.strides=[2,2]",
            "constraint.flops=none",
            "supernet.batch_size=16",
            "supernet.epochs=2",
            "regions.batch_size=16",
            "regions.epochs=2",
            "evaluator.recalibrate=32",
        ]
