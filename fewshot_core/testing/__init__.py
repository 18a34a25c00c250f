"""Conformance suites: one per kind of plug-in, to be subclassed by whoever writes one.

A space, splitter, supernet, strategy or evaluator that passes its suite works with the rest of the
program. A task passes those of its space and of its supernet and its own, which asks how its parts
agree; if it passes the suite of derivations as well, the differentiable strategies work with it.
Subclass a suite in a test file under a name that starts with ``Test`` and supply its fixtures::

    class TestMySpace(SpaceSuite):
        @pytest.fixture
        def space(self):
            return MySpace()

Strategies and evaluators are plug-ins, which a suite finds by name or dotted path::

    class TestMyStrategy(StrategySuite):
        plugin = "my_package.my_module:make_strategy"

The suites need pytest; those of spaces and splitters do not import torch.
"""

import pytest

# Without it a failing assert in a suite shows no values. Has to come before they are imported.
pytest.register_assert_rewrite(
    "fewshot_core.testing.derivations",
    "fewshot_core.testing.evaluators",
    "fewshot_core.testing.spaces",
    "fewshot_core.testing.splitters",
    "fewshot_core.testing.strategies",
    "fewshot_core.testing.supernets",
    "fewshot_core.testing.tasks",
)
