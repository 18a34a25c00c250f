from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.studies.generators.arms import ARMS, COMMON, FULL, QUICK, arm_words
from benchmarks.studies.generators.measure import Generators, draw_generators
from benchmarks.studies.generators.show import draw_arms, make_tables, summarise
from benchmarks.studies.runs import load_words
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.splitters import SplitterContext, grow_tree
from fewshot_tasks.autogan.space import generator_space
from fewshot_tasks.autogan.task import TASK
from tests.benchmarks.shared import options


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_takes_as_many_steps(arm: str) -> None:
    words = arm_words(FULL, arm, 0)
    recipe = load_words([*COMMON, "data.root=x", *words]).recipe
    root = Region.root(TASK.space(recipe))
    trained = [
        region
        for region, parent in grow_tree(root, recipe.split, SplitterContext(0)).walk()
        if parent
    ]
    total = recipe.supernet.epochs + len(trained) * recipe.regions.epochs * bool(trained)
    assert total == pytest.approx(FULL.epochs)
    assert recipe.split.when == ("always" if trained else "auto")


def test_the_study_has_the_sizes_that_were_asked_for() -> None:
    study = FULL
    recipe = load_words([*COMMON, "data.root=x", *study.words]).recipe
    assert study.generators >= 16
    assert (study.truth_seeds, study.choice_seeds) == (2, 3)
    assert recipe.metric.test_images >= 5000
    space = generator_space(2)
    trained, pool = draw_generators(space, study)
    assert len({*trained, *pool}) == study.generators + study.pool
    assert draw_generators(space, replace(study, pool=0))[0] == trained


def rows() -> dict[str, dict]:
    """Four generators whose distance is 1, 2, 3 and 4 on average; one arm has them in order."""
    space = generator_space(2)
    trained, _ = draw_generators(space, replace(QUICK, generators=4, pool=0))
    texts = [space.genotype(a) for a in trained]
    made: dict[str, dict] = {}
    for seed, change in ((0, -0.5), (1, 0.5)):
        for place, text in enumerate(texts):
            made[f"truth {text} {seed}"] = {
                "stage": "truth", "genotype": text, "fid": place + 1 + change, "metric": "FID (x)",
                "params": 100 + place, "flops": 100 - place,
            }  # fmt: skip
    for arm, sign in (("one-shot", 1), ("few-shot, 3 by norm", -1)):
        scores = {text: sign * float(place) for place, text in enumerate(texts)}
        choice = max(scores, key=lambda text: scores[text])
        made[arm] = {
            "stage": "arm", "arm": arm, "seed": 0, "scores": scores, "choice": choice,
            "images_seen": 5,
        }  # fmt: skip
    for seed in range(3):
        made[f"choice {seed}"] = {"stage": "choice", "genotype": texts[0], "fid": 1.0 + seed}
    return made


def test_summary() -> None:
    figures = summarise(rows(), list(ARMS))
    assert list(figures["arms"]) == ["one-shot", "few-shot, 3 by norm"]
    good, bad = figures["arms"]["few-shot, 3 by norm"], figures["arms"]["one-shot"]
    # Less is better for distances, and scores are better when they are higher.
    assert (good["taus"], bad["taus"]) == ([1.0], [-1.0])
    assert good["choice_fid"] == [[1.0, 2.0, 3.0]]
    assert bad["choice_fid"] == [[]]
    assert good["interval_of_gain_over_one_shot"][1] == 2.0
    assert "interval_of_gain_over_one_shot" not in bad
    assert figures["tau_between_seeds_of_truth"] == 1.0
    assert figures["baselines"] == {"params": -1.0, "flops": 1.0}
    assert list(figures["truth"].values()) == [[0.5, 1.5], [1.5, 2.5], [2.5, 3.5], [3.5, 4.5]]
    (table,) = make_tables(figures)
    lines = table.markdown().splitlines()
    assert lines[2].startswith("| one-shot | -1.00 | -1.00 [")
    assert "| counting flops |  | 1.00 |  |  |" in lines
    assert len(draw_arms(figures).axes) == 2


def test_what_was_named_is_trained_once_per_seed(tmp_path: Path) -> None:
    study = Generators(options(Generators), tmp_path)
    jobs = study.jobs("choices", rows())
    assert len(jobs) == 2 * 3
    assert len({job.slug for job in jobs}) == len(jobs)
    assert len(study.jobs("truth", {})) == 20 * 2
    assert summarise({}, list(ARMS))["arms"] == {}
