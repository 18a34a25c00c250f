"""Results of retraining: the earlier beside the later, each under a label of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewshot_core.errors import RunFolderError
from fewshot_core.report.results import label_text
from fewshot_core.runs.files import write_json
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.retrained import (
    RETRAIN,
    base_label,
    how_trained,
    kind_of_label,
    label_for,
    license_of_start,
    merge_results,
    read_retrained,
    relabel_found,
    start_of_result,
    starts_of,
    with_settings,
)


def result(label: str, architecture: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    base = {"label": label, "id": architecture, "seed": seed, "genotype": "g", "test": {}}
    return base | more


def test_later_results_stand_beside_earlier_ones() -> None:
    before = [result("found", "a"), result("random", "b"), result("found", "a", 1)]
    now = [result("found", "a", test={"accuracy": 1.0}), result("trial 3", "c")]
    merged = merge_results(before, now)
    assert [(one["label"], one["seed"]) for one in merged] == [
        *(("found", 0), ("random", 0), ("found", 1), ("trial 3", 0))
    ]
    assert merged[0]["test"] == {"accuracy": 1.0}


def test_every_architecture_has_a_label_of_its_own() -> None:
    known = [result("given", "a"), result("given, retrain.epochs=3", "a")]
    assert label_for("given", "a", {}, known) == "given"
    assert label_for("given", "b", {}, known) == "given 2"
    assert label_for("given", "b", {}, [*known, result("given 2", "c")]) == "given 3"
    assert label_for("given", "a", {"retrain.epochs": 40.0}, known) == "given, retrain.epochs=40"


def test_labels_for_people() -> None:
    label = with_settings("found", {"retrain.lr": 0.1, "retrain.epochs": 40.0})
    assert label == "found, retrain.epochs=40, retrain.lr=0.1"
    assert (base_label(label), kind_of_label("trial 17, retrain.epochs=40")) == ("found", "trial")
    assert label_text(label) == "found by the search, retrain.epochs=40, retrain.lr=0.1"
    assert label_text("trial 17") == "trial 17 of the search"
    assert label_text("given 2") == "given by hand, 2"


def test_what_was_found_before_is_found_no_more(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    relabel_found(folder, "b")  # nothing was retrained
    rows = [result("found", "a"), result("found, retrain.epochs=3", "a"), result("random", "c")]
    write_json(folder.file(RETRAIN), {"metric": "accuracy", "results": rows})
    relabel_found(folder, "a")
    assert [one["label"] for one in read_retrained(folder)] == [one["label"] for one in rows]
    relabel_found(folder, "b")
    labels = [one["label"] for one in read_retrained(folder)]
    assert labels == ["earlier", "earlier, retrain.epochs=3", "random"]
    write_json(
        folder.file(RETRAIN),
        {"metric": "accuracy", "results": [*read_retrained(folder), result("found", "b")]},
    )
    relabel_found(folder, "d")
    assert read_retrained(folder)[-1]["label"] == "earlier 2"


def test_a_damaged_file(tmp_path: Path) -> None:
    write_json(tmp_path / RETRAIN, {"results": [{"label": "found"}]})
    with pytest.raises(RunFolderError, match="is damaged"):
        read_retrained(RunFolder(tmp_path))


def test_whose_weights_a_training_began_with() -> None:
    def made(genotype: str, start: str) -> dict[str, Any]:
        return {"label": genotype, "genotype": genotype, "start": start}

    folder = made("timm:local-dir:/home/me/mine", "pretrained")
    stock = made("timm:resnet18", "pretrained")
    blocks = made("|none~0|", "timm:local-dir:/home/me/mine")
    for one, how, license in (
        (folder, "fine-tuned from the weights in the folder mine", "where they have a license"),
        (stock, "fine-tuned from published weights", "began with published weights"),
        (
            blocks,
            "fine-tuned from the weights of the stock model in the folder mine where blocks agree",
            "where they have a license",
        ),
        (made("scratch:local-dir:/home/me/mine", "scratch"), "trained from scratch", ""),
    ):
        assert how_trained(starts_of([one])) == how
        said = license_of_start(start_of_result(one))
        assert license in said
        assert bool(said) == bool(license)
        assert "/home" not in said
    both = how_trained(starts_of([folder, stock]))
    assert both == "fine-tuned from published weights or from the weights in the folder mine"
