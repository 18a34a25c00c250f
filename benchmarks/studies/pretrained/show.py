"""The study of pretrained weights in figures and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.studies.jobs import Rows
from benchmarks.studies.tables import Table, spread, spread_text
from fewshot_core.trust.paired import compare_paired

ARMS = {
    "found": "found, fine-tuned from the pretrained supernet",
    "found, from scratch": "the same network from scratch",
    "found, from scratch, longer": "the same network from scratch, four times as long",
    "found, from MobileNetV3": "the same network, started from the pretrained MobileNetV3",
    "random": "a random one of equal FLOPs, fine-tuned from the supernet",
    "largest": "the largest within the limit, fine-tuned from the supernet",
    "MobileNetV3": "MobileNetV3's choices, pretrained alone and fine-tuned",
}
"""What is compared, by its name in the rows."""


def summarise(rows: Rows) -> dict[str, Any]:
    """What pretraining took; and test accuracies of all arms, by pretraining and seed."""
    before: dict[str, Any] = {}
    seeds: dict[str, dict[str, Any]] = {}
    for key, row in rows.items():
        name, *seed = key.split(" | seed ")
        if seed:
            seeds.setdefault(name, {})[seed[0]] = row
        else:
            before[key] = {name: value for name, value in row.items() if name != "recipe"}
    return {
        "pretraining": before,
        "specialised": {name: _summarise_seeds(of_name) for name, of_name in seeds.items()},
    }


def _summarise_seeds(seeds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "search_seconds": {seed: row["search_seconds"] for seed, row in seeds.items()},
        "limit": next(row["limit"] for row in seeds.values()),
        "arms": {
            arm: {
                figure: {
                    seed: row["networks"][arm][figure]
                    for seed, row in seeds.items()
                    if arm in row["networks"]
                }
                for figure in ("accuracy", "flops", "params", "images", "genotype")
            }
            for arm in ARMS
        },
    }


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """For each pretraining one line an arm, with its difference to what was found."""
    return [_make_table(name, found) for name, found in figures["specialised"].items()]


def _make_table(name: str, specialised: Mapping[str, Any]) -> Table:
    lines = []
    found = specialised["arms"]["found"]["accuracy"]
    for arm, title in ARMS.items():
        values = specialised["arms"][arm]
        line = [f"{title} ({len(values['accuracy'])})"]
        line.append(spread_text(spread(values["accuracy"].values()), 2) or "–")
        flops = [value / 1e6 for value in values["flops"].values()]
        line.append(spread_text(spread(flops), 2) or "–")
        pair = compare_paired(_by_number(values["accuracy"]), _by_number(found))
        shown = arm != "found" and pair.seeds
        line.append(f"{pair.mean:+.2f}" if shown else "–")
        line.append(f"{pair.p:.3f}" if shown and pair.tested else "–")
        lines.append(line)
    header = ("network (seeds)", "test accuracy, %", "million FLOPs", "found is ahead by", "p")
    return Table(f"500 images of four other classes; {name}", header, lines)


def _by_number(values: Mapping[str, float]) -> dict[int, float]:
    return {int(seed): value for seed, value in values.items()}
