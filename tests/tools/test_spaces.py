"""The whole way, tiny, in spaces that no other test of the tools searches."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import timm
import torch

from tests.tools.process import succeed, words_of
from tests.tools.tiny import MOBILE, TINY

CELLS = {key: value for key, value in TINY.items() if key != "split.groups"} | {
    "audit.networks": 0,
    "network.cells_per_stage": 1,
    "split": "decision",
    "supernet.paths": "uniform",
    "regions.paths": "uniform",
}
OFA = ("network.head", "network.units", "network.strides")
"""Settings of the tiny mobile networks that NAS-Bench-Macro does not have."""

SPACES: dict[str, dict[str, object]] = {
    "nasbench1shot1_2": CELLS | {"split.decision": "node4_operation"},
    "darts": CELLS
    | {
        "split": "random",
        "split.count": 2,
        "network.auxiliary": "true",
        "regions.epochs": 0.2,
        "search.trials": 4,
    },
    "nasbench_macro": {key: value for key, value in MOBILE.items() if key not in OFA}
    | {"network.width": 0.125, "constraint.flops": "300K", "split": "none"},
    "fbnet": MOBILE
    | {
        "network.strides": "[1,2]",
        "network.width": 0.5,
        "constraint.flops": "200K",
        "split": "decision",
        "split.decision": "unit1_block1",
        "regions.epochs": 0.2,
    },
}
REGIONS = {"nasbench1shot1_2": 3, "darts": 2, "nasbench_macro": 0, "fbnet": 9}


@pytest.mark.parametrize("name", SPACES)
def test_search_retraining_export_and_report(tmp_path: Path, name: str) -> None:
    words = words_of(SPACES[name] | {"network.space": name}, run="run")
    succeed("search", words, tmp_path)
    run = tmp_path / "run"
    tree = json.loads((run / "regions.json").read_text())
    assert len(tree["children"]) == REGIONS[name]
    trials = (run / "trials.csv").read_text().splitlines()
    assert len(trials) == 1 + int(str(SPACES[name]["search.trials"]))
    succeed("retrain", ["run=run"], tmp_path)
    succeed("export", ["run=run"], tmp_path)
    config = json.loads((run / "export" / "config.json").read_text())
    assert "auxiliary" not in config["model_args"]
    size = config["pretrained_cfg"]["input_size"]
    runpy.run_path(str(run / "export" / f"{config['architecture']}.py"))
    model = timm.create_model(f"local-dir:{run / 'export'}", pretrained=True).eval()
    assert model(torch.zeros(2, *size)).shape == (2, 10)


def test_a_mixture_names_cells_of_two_inputs_a_node(tmp_path: Path) -> None:
    words = words_of(
        SPACES["darts"] | {"network.space": "darts", "strategy": "darts", "split": "none"},
        run="run",
    )
    succeed("search", words, tmp_path)
    found = json.loads((tmp_path / "run" / "found.json").read_text())
    assert found["genotype"].startswith("Genotype(normal=[")
