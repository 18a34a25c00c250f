"""REINFORCE against a gradient worked out by torch, and what it learns."""

from __future__ import annotations

import math
import random
import statistics

import pytest
import torch

from fewshot_core.search.samplers import ReinforceSampler
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import RecordingEvaluator, from_plugin, search
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space(5, 3, 4))
SETTINGS = from_plugin("reinforce", lr=0.2)


def sampler(region: Region = ROOT, **options: object) -> ReinforceSampler:
    return ReinforceSampler(region, **{"lr": 0.1, "decay": 0.8, "seed": 0, **options})  # type: ignore[arg-type]


def test_it_is_the_policy_gradient_with_adam() -> None:
    """Twenty steps, against torch's gradient of -advantage * log pi and torch's Adam."""
    ours = sampler()
    logits = [torch.zeros(len(o), dtype=torch.float64, requires_grad=True) for o in ROOT.allowed]
    adam = torch.optim.Adam(logits, lr=0.1, betas=(0.9, 0.999), eps=1e-8)
    rng, baseline = random.Random(0), None
    for _ in range(20):
        architecture, reward = ROOT.sample(rng), rng.gauss(50, 20)
        baseline = reward if baseline is None else baseline
        advantage = reward - baseline
        baseline = 0.8 * baseline + 0.2 * reward
        log_probability = sum(
            torch.log_softmax(row, 0)[options.index(choice)]
            for row, options, choice in zip(logits, ROOT.allowed, architecture.choices, strict=True)
        )
        adam.zero_grad()
        (-advantage * log_probability).backward()
        adam.step()
        ours.learn(architecture, reward)
    for row, expected in zip(ours.logits, logits, strict=True):
        assert row == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_policy_is_a_distribution_over_the_region() -> None:
    region = ROOT.restrict("a", (1, 3))
    ours = sampler(region)
    for _ in range(50):
        architecture = ours.draw()
        assert region.contains(architecture)
        ours.learn(architecture, total(architecture))
    assert [len(row) for row in ours.policy()] == [2, 3, 4]
    assert all(sum(row) == pytest.approx(1) for row in ours.policy())


def test_draws_follow_the_policy() -> None:
    ours = sampler()
    ours.logits = [[0.0] * 5, [0.0] * 3, [math.log(7), 0.0, 0.0, 0.0]]
    drawn = [ours.draw().choices[2] for _ in range(1000)]
    assert 650 < drawn.count(0) < 750


def test_it_learns_what_is_good() -> None:
    done = search(SETTINGS, ROOT, RecordingEvaluator(total), 150)
    early, late = (statistics.fmean(t.score for t in part) for part in (done[:30], done[-30:]))
    assert late > early + 2
    assert late > 0.9 * 9  # of the best there is


def test_the_unit_of_the_score_does_not_matter() -> None:
    """A gradient that is a thousand times as large makes the same step."""
    plain = search(SETTINGS, ROOT, RecordingEvaluator(total), 60)
    scaled = search(SETTINGS, ROOT, RecordingEvaluator(lambda a: 1000 * total(a) - 70), 60)
    assert [t.architecture for t in scaled] == [t.architecture for t in plain]


def test_a_score_that_is_no_number_is_as_bad_as_the_worst() -> None:
    ours, twin = sampler(), sampler()
    first, second = list(ROOT.enumerate())[:2]
    for one in (ours, twin):
        one.learn(first, 10.0)
        one.learn(second, 30.0)
    ours.learn(second, -math.inf)
    twin.learn(second, 10.0)
    assert ours.logits == twin.logits
    alone = sampler()
    alone.learn(first, -math.inf)
    assert alone.policy() == sampler().policy()


def test_it_tries_for_a_feasible_architecture() -> None:
    def accepts(architecture: Architecture) -> bool:
        return total(architecture) <= 3

    ours = sampler(accepts=accepts)
    assert all(accepts(ours.draw()) for _ in range(50))
    sampler(accepts=lambda a: False).draw()  # and gives up in the end
