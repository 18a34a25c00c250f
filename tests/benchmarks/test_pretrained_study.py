"""The study of pretrained weights: its folders, its rivals, and what it sums up."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from benchmarks.studies.cifar10 import costs_of
from benchmarks.studies.pretrained.folders import make_folder
from benchmarks.studies.pretrained.measure import (
    BATCHES,
    NEAR,
    WORDS,
    Pretrained,
    draw_equal,
    mobilenet,
    name_arm,
)
from benchmarks.studies.pretrained.show import ARMS, make_tables, summarise
from fewshot_core.costs.table import CostTable
from fewshot_core.recipe.load import load_recipe
from tests.benchmarks.shared import options


@pytest.fixture(scope="module")
def costs() -> CostTable:
    return costs_of(load_recipe(WORDS, drop_unread=True).recipe)


def test_a_folder_has_so_many_images_of_each_class_and_a_seed_draws_others(tmp_path: Path) -> None:
    archive = tmp_path / "images.tar"
    with tarfile.open(archive, "w") as tar:
        for kind in ("cat", "dog", "ship"):
            for number in range(20):
                member = tarfile.TarInfo(f"{kind}/{number:04}.jpg")
                member.size = 3
                tar.addfile(member, io.BytesIO(f"{number:3}".encode()))

    def names(folder: Path) -> list[str]:
        return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))

    one, other = (
        names(make_folder(archive, ("cat", "ship"), tmp_path / f"{seed}", 5, seed))
        for seed in range(2)
    )
    assert [sum(n.startswith(kind) for n in one) for kind in ("cat", "dog", "ship")] == [5, 0, 5]
    assert one != other
    assert len(names(make_folder(archive, ("dog",), tmp_path / "all", None))) == 20


def test_rivals_cost_what_they_should(costs: CostTable) -> None:
    fixed = mobilenet(costs)
    assert "ir_r1_k5_s1_e6" in costs.space.genotype(fixed)
    flops = costs.costs(fixed)["connected_flops"]
    drawn = draw_equal(costs, flops, fixed.id, 0)
    assert drawn.id != fixed.id
    assert costs.costs(drawn)["connected_flops"] == pytest.approx(flops, rel=NEAR)


def test_results_are_known_by_what_they_are() -> None:
    common = {"start": "inherited", "label": "given", "id": "b", "settings": {}}
    assert name_arm({**common, "id": "a"}, "a") == "found"
    scratch = {**common, "id": "a", "start": "scratch"}
    assert name_arm(scratch, "a") == "found, from scratch"
    longer = {**scratch, "settings": {"retrain.epochs": 120}}
    assert name_arm(longer, "a") == "found, from scratch, longer"
    stock = {**common, "id": "a", "start": "timm:local-dir:/x"}
    assert name_arm(stock, "a") == "found, from MobileNetV3"
    assert name_arm(common, "a") == "random"
    assert name_arm({**common, "label": "largest"}, "a") == "largest"
    assert name_arm({**common, "label": "timm:local-dir:/x"}, "a") == "MobileNetV3"


def test_folders_wait_for_the_pretraining(tmp_path: Path) -> None:
    study = Pretrained(options(Pretrained), tmp_path)
    first = [job.key for job in study.jobs("pretraining", {})]
    assert first == ["MobileNetV3", *(f"supernet | supernet.batch_size={n}" for n in BATCHES)]
    assert not study.jobs("folders", {first[1]: {}})
    done = study.jobs("folders", {first[0]: {}, first[2]: {}})
    assert [job.key for job in done] == [
        f"supernet.batch_size={BATCHES[1]} | seed {n}" for n in range(3)
    ]


def test_the_table_compares_seed_by_seed() -> None:
    def row(*accuracies: float) -> dict[str, object]:
        networks = {
            arm: {"accuracy": a, "flops": 2e6, "params": 1, "images": 9, "genotype": ""}
            for arm, a in zip(ARMS, accuracies, strict=False)
        }
        return {"search_seconds": 60, "limit": 2.8e6, "networks": networks}

    rows = {f"batches | seed {n}": row(80.0 + n, 60.0 + 2 * n) for n in range(3)}
    (table,) = make_tables(summarise(rows))
    assert table.lines[0][1:] == ["81.00 ± 1.00", "2.00 ± 0.00", "–", "–"]
    assert table.lines[1][1:4] == ["62.00 ± 2.00", "2.00 ± 0.00", "+19.00"]
    assert table.lines[2][1] == "–"
