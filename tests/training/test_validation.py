"""The curve beside a training: what it measures, and that it touches nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from fewshot_core.runs.checkpoint import StageState
from fewshot_core.training.validation import CURVE, ValidationWatch


def test_a_look_measures_and_touches_nothing() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 2))
    images, targets = torch.randn(6, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    watch = ValidationWatch(
        [(images[:4], targets[:4]), (images[4:], targets[4:])], Accelerator(cpu=True)
    )
    before = {name: t.clone() for name, t in model.state_dict().items()}
    random, state = torch.get_rng_state(), StageState(step=3)
    watch(state, model, Path("nowhere"))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    logits = model.eval()(images).detach()
    right = logits.argmax(1) == targets
    [[step, accuracy, loss]] = state.notes[CURVE]
    assert step == 3
    assert accuracy == pytest.approx(100 * float(right.float().mean()), 1e-4)
    assert loss == pytest.approx(float(nn.functional.cross_entropy(logits, targets)), 1e-4)


def test_what_is_trained_again_is_looked_at_again() -> None:
    watch = ValidationWatch([(torch.ones(1, 2), torch.tensor([0]))], Accelerator(cpu=True))
    state = StageState(step=4, notes={CURVE: [[2, 1.0, 1.0], [4, 9.0, 9.0], [6, 9.0, 9.0]]})
    watch(state, nn.Identity(), Path("nowhere"))
    assert state.notes[CURVE] == [[2, 1.0, 1.0], [4, 100.0, pytest.approx(0.69315)]]
