"""When an audit says that scores may be trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fewshot_core.trust.verdict import LEAST, Evidence, judge, span

GOOD = Evidence(
    networks=12,
    tau=0.6,
    low=0.2,
    high=0.9,
    baselines={"connected_params": 0.3, "connected_flops": 0.1},
    lowest=900,
    highest=1100,
    middle=1000,
)
NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, "trusted", ["may be trusted", "about 80 % of the pairs", "60 to 95 %", "12 trained"]),
        ({"networks": LEAST}, "trusted", []),
        ({"lowest": 750, "highest": 1250}, "trusted", []),
        ({"baselines": {"connected_params": 0.0, "connected_flops": 0.0}}, "trusted", []),
        # No order to find: whatever tau says.
        ({"differ": False, "tau": 0.0}, "open", ["came out equal", "audit.epochs"]),
        # Too few, also where the order is perfect or reversed.
        ({"networks": LEAST - 1}, "open", ["7 trained networks are too few", "audit.networks=12"]),
        ({"networks": 4, "tau": 1.0, "low": 1.0, "high": 1.0}, "open", ["too few"]),
        ({"networks": 4, "asked": 4}, "open", ["too few", "audit.networks=12 would tell more"]),
        ({"networks": 4, "asked": 12}, "open", ["of the 12 asked for no more could be compared"]),
        ({"networks": 6, "tau": -0.9, "low": -1.0, "high": -0.5}, "open", ["too few"]),
        # Not of equal cost, so nothing is said about networks that are.
        ({"lowest": 749}, "open", ["differ in cost (749 to 1,100 FLOPs, the found one 1,000)"]),
        ({"highest": 1251}, "open", ["differ in cost"]),
        ({"middle": None}, "open", ["differ in cost (900 to 1,100 FLOPs)"]),
        # No order, or the wrong one.
        ({"tau": 0.0, "low": -0.4, "high": 0.4}, "refuted", ["no better than chance", "τ 0.00"]),
        ({"tau": -0.1, "low": -0.6, "high": 0.4}, "refuted", ["no better than chance", "τ −0.10"]),
        ({"tau": -0.6, "low": -0.9, "high": -0.2}, "refuted", ["puts worse networks first"]),
        ({"tau": 0.0, "low": NAN, "high": NAN}, "refuted", ["(τ 0.00)"]),
        # Counting does as well: an order that nobody needs scores for.
        (
            {"baselines": {"connected_params": 0.6, "connected_flops": 0.1}},
            "refuted",
            ["counting connected parameters", "as well (τ 0.60 against 0.60)"],
        ),
        (
            {"baselines": {"connected_params": 0.1, "connected_flops": 0.7}},
            "refuted",
            ["counting connected FLOPs", "τ 0.70 against 0.60"],
        ),
        ({"baselines": {"connected_params": 0.6 - 1e-12}}, "refuted", ["as well"]),
        ({"baselines": {"connected_params": 0.59}}, "trusted", []),
        # Surely an order, and of no use.
        (
            {"networks": 99, "tau": 0.1, "low": 0.02, "high": 0.2, "baselines": {"x": 0.0}},
            "refuted",
            ["hardly better than chance"],
        ),
        # It may be chance.
        ({"low": 0.0}, "open", ["interval of τ includes 0", "audit.networks=13"]),
        # A distance of 0.9 from tau to the lower end has to shrink to 0.6.
        (
            {"low": -0.3},
            "open",
            ["with 12 trained networks", "τ 0.60, 95 % interval −0.30 to 0.90"],
        ),
        ({"low": -0.3}, "open", ["audit.networks=27 or longer audit.epochs"]),
        (
            {"low": -0.3, "asked": 27},
            "open",
            ["includes 0", "; longer audit.epochs would tell more"],
        ),
        (
            {"tau": 0.05, "low": -0.4, "baselines": {"x": 0.0}},
            "open",
            ["takes more than 100 networks"],
        ),
    ],
)
def test_the_rule(changes: dict[str, object], state: str, words: list[str]) -> None:
    judgement = judge(replace(GOOD, **changes))  # type: ignore[arg-type]
    assert judgement.state == state
    start = {"trusted": "These scores may", "refuted": "Do not", "open": "Not shown"}[state]
    assert judgement.sentence.startswith(start)
    assert "among networks of about equal cost" in judgement.sentence
    assert judgement.sentence.endswith(".")
    for word in words:
        assert word in judgement.sentence


def test_a_span_of_one_value_is_that_value() -> None:
    assert span(1000, 1000) == "1,000"
    assert span(1000, 1200.4) == "1,000 to 1,200"
