from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import autogan
import autogan_show
import pytest
from jobs import Images, load_words

from fewshot_core.spaces.region import Region
from fewshot_core.spaces.splitters import grow_tree
from tasks.autogan.space import generator_space
from tasks.autogan.task import TASK


@pytest.mark.parametrize("arm", autogan.ARMS)
def test_every_arm_takes_as_many_steps(arm: str) -> None:
    words = autogan.arm_words(autogan.FULL, arm, 0)
    recipe = load_words([*autogan.COMMON, "data.root=x", *words]).recipe
    root = Region.root(TASK.space(recipe))
    trained = [region for region, parent in grow_tree(root, recipe.split, 0).walk() if parent]
    total = recipe.supernet.epochs + len(trained) * recipe.regions.epochs * bool(trained)
    assert total == pytest.approx(autogan.FULL.epochs)
    assert recipe.split.when == ("always" if trained else "auto")


def test_the_study_has_the_sizes_that_were_asked_for() -> None:
    study = autogan.FULL
    recipe = load_words([*autogan.COMMON, "data.root=x", *study.words]).recipe
    assert study.generators >= 16
    assert (study.truth_seeds, study.choice_seeds) == (2, 3)
    assert recipe.metric.test_images >= 5000
    space = generator_space(2)
    trained, pool = autogan.drawn(space, study)
    assert len({*trained, *pool}) == study.generators + study.pool
    assert autogan.drawn(space, replace(study, pool=0))[0] == trained


def rows() -> dict[str, dict]:
    """Four generators whose distance is 1, 2, 3 and 4 on average; one arm has them in order."""
    space = generator_space(2)
    trained, _ = autogan.drawn(space, replace(autogan.QUICK, generators=4, pool=0))
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
    figures = autogan_show.summary(rows(), list(autogan.ARMS))
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
    autogan_show.show(figures)
    lines = autogan_show.markdown(figures).splitlines()
    assert lines[2].startswith("| one-shot | -1.00 | -1.00 [")
    assert "| counting flops |  | 1.00 |  |  |" in lines
    assert len(autogan_show.plot(figures).axes) == 2


def test_what_was_named_is_trained_once_per_seed(tmp_path: Path) -> None:
    bench = autogan.Bench(autogan.FULL, (), tmp_path, Images())
    tasks = autogan.choice_tasks(bench, rows())
    assert len(tasks) == 2 * 3
    assert len({task.slug for task in tasks}) == len(tasks)
    truth = autogan.truth_tasks(bench)
    assert len(truth) == 20 * 2
    assert autogan_show.summary({}, list(autogan.ARMS))["arms"] == {}
