from __future__ import annotations

import copy
import math
import random
from collections.abc import Mapping
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from fewshot_core.errors import RegionError
from fewshot_core.search.preferences.controller import Controller
from fewshot_core.search.preferences.naming import name_architectures, probabilities
from fewshot_core.search.preferences.relaxed import RelaxedSupernet, draw, most_likely, scores_of
from fewshot_core.search.preferences.steps import (
    ControllerStep,
    MixtureStep,
    TwoBatchObjective,
    batches_of,
)
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_core.testing.toys import toy_space

ROOT = Region.root(toy_space(3, 2))
GOOD = (2, 1)  # the options whose targets are met


class Toy(Supernet):
    """Options are learned offsets: an architecture's output is the sum of its two."""

    def __init__(self, region: Region) -> None:
        super().__init__(region)
        self.offsets = nn.ParameterList(
            [nn.Parameter(torch.linspace(-1, 1, len(o))) for o in region.allowed]
        )

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        picks = [o.index(c) for o, c in zip(self.region.allowed, architecture.choices, strict=True)]
        return x + sum(p[i] for p, i in zip(self.offsets, picks, strict=True))

    def forward_mixed(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        names = [decision.name for decision in self.region.space.decisions]
        terms = [(weights[n] * p).sum() for n, p in zip(names, self.offsets, strict=True)]
        return x + sum(terms)

    def competing(self) -> tuple[tuple[str, ...], ...]:
        return (("a", "b"),)

    def extract(self, architecture: Architecture) -> nn.Module:
        raise NotImplementedError


Batch = tuple[Tensor, Tensor]


def loss(model: nn.Module, batch: Batch, architecture: Architecture | None) -> Tensor:
    images, targets = batch
    out = model(images) if architecture is None else model(images, architecture)
    return ((out - targets) ** 2).mean()


def relaxed(**more: object) -> RelaxedSupernet:
    torch.manual_seed(0)
    return RelaxedSupernet(Toy(ROOT), **more)  # type: ignore[arg-type]


def batch(seed: int, target: float = 2.0) -> Batch:
    images = 0.1 * torch.randn(8, generator=torch.Generator().manual_seed(seed))
    return images, images + target


class TestRelaxedSupernet:
    def test_preferences_begin_nearly_equal_and_add_up_to_one(self) -> None:
        for values in relaxed().mixture().values():
            assert values.sum().item() == pytest.approx(1)
            assert values.min() > 0.3 if len(values) == 3 else values.min() > 0.49

    def test_competing_places_share_one(self) -> None:
        weights = relaxed(normalise_places=True).mixture()
        assert sum(v.sum().item() for v in weights.values()) == pytest.approx(1)

    def test_a_supernet_without_mixtures_says_so(self) -> None:
        class Single(Toy):
            forward_mixed = Supernet.forward_mixed

        with pytest.raises(RegionError, match="Single cannot run its options as a mixture"):
            RelaxedSupernet(Single(ROOT))(torch.zeros(1))


class TestMixtureStep:
    @pytest.mark.parametrize("order", [1, 2])
    def test_it_learns_to_prefer_what_is_good(self, order: int) -> None:
        model = relaxed()
        step = MixtureStep(model, loss, 0.05, 0.0, (lambda _: 1e-3) if order == 2 else None)
        for number in range(200):
            step(batch(number), batch(1000 + number), number)
        best = most_likely(ROOT, scores_of(model), lambda a: True, random.Random(0))
        assert best.choices == GOOD

    @pytest.mark.parametrize("order", [1, 2])
    def test_the_weights_are_left_as_they_are(self, order: int) -> None:
        model = relaxed()
        before = copy.deepcopy(model.supernet.state_dict())
        rate = (lambda _: 0.1) if order == 2 else None
        MixtureStep(model, loss, 0.05, 1e-3, rate)(batch(0), batch(1), 0)
        after = model.supernet.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert all(p.requires_grad for p in model.parameters())

    def test_the_second_order_is_the_gradient_through_one_step(self) -> None:
        """Finite differences against autograd through w - rate * dL/dw."""
        rate, mine, other = 0.3, batch(0), batch(1, 1.0)
        model = relaxed()
        step = MixtureStep(model, loss, 0.1, 1e-3, lambda _: rate)
        step.optimizer = _Catch()  # type: ignore[assignment]
        step(mine, other, 0)
        found = [p.grad.clone() for p in model.weights_of_choice()]  # type: ignore[union-attr]

        weights = dict(model.supernet.named_parameters())
        choice = model.weights_of_choice()

        def run(values: Mapping[str, Tensor], data: Batch) -> Tensor:
            out = torch.func.functional_call(
                model, {f"supernet.{k}": v for k, v in values.items()}, (data[0],)
            )
            return ((out - data[1]) ** 2).mean()

        inner = torch.autograd.grad(run(weights, mine), list(weights.values()), create_graph=True)
        ahead = {k: v - rate * g for (k, v), g in zip(weights.items(), inner, strict=True)}
        exact = torch.autograd.grad(run(ahead, other), choice)
        first = torch.autograd.grad(run(weights, other), choice)
        for one, two, plain in zip(found, exact, first, strict=True):
            assert torch.allclose(one, two, rtol=1e-2, atol=1e-4)
            assert not torch.allclose(plain, two, rtol=1e-2, atol=1e-4)


class _Catch:
    """An optimiser that leaves the gradients where they are."""

    def zero_grad(self, set_to_none: bool) -> None: ...

    def step(self) -> None: ...


class TestController:
    def test_it_learns_what_is_rewarded(self) -> None:
        torch.manual_seed(0)
        model, controller = Toy(ROOT), Controller(ROOT, 16)
        step = ControllerStep(
            model, controller, loss, lambda a: True, seed=1, lr=0.02, entropy=0.0, decay=0.95
        )
        for number in range(300):
            step(batch(number), batch(1000 + number), number)
        generator = torch.Generator().manual_seed(0)
        drawn = [controller.draw(generator)[0].choices for _ in range(50)]
        assert drawn.count(GOOD) > 35

    def test_what_is_not_acceptable_is_not_rewarded(self) -> None:
        torch.manual_seed(0)
        controller = Controller(ROOT, 8)
        before = copy.deepcopy(controller.state_dict())

        def never(*_: object) -> Tensor:
            raise AssertionError("an architecture beyond the constraint was scored")

        step = ControllerStep(
            Toy(ROOT), controller, never, lambda a: False, 0, lr=0.1, entropy=1e-4, decay=0.95
        )
        assert step(batch(0), batch(1), 0) == {}
        assert all(torch.equal(before[n], v) for n, v in controller.state_dict().items())

    def test_it_learns_the_best_of_what_is_acceptable(self) -> None:
        torch.manual_seed(0)
        controller, scored = Controller(ROOT, 16), []

        def noting(model: nn.Module, data: Batch, architecture: Architecture | None) -> Tensor:
            scored.append(architecture)
            return loss(model, data, architecture)

        def accepts(architecture: Architecture) -> bool:
            return architecture.choices[0] == 1

        step = ControllerStep(
            Toy(ROOT), controller, noting, accepts, seed=1, lr=0.02, entropy=0.0, decay=0.95
        )
        for number in range(300):
            step(batch(number), batch(1000 + number), number)
        assert all(accepts(a) for a in scored)
        assert len(scored) > 250  # a refused draw is drawn again, and the batch is not lost
        generator = torch.Generator().manual_seed(0)
        drawn = [controller.draw(generator)[0] for _ in range(200)]
        good = [a.choices[1] == 1 for a in drawn if accepts(a)]
        assert sum(good) > 0.8 * len(good) > 10

    def test_the_gradient_is_that_of_the_mean_reward(self) -> None:
        """The sign and size of the estimate, against the sum over all six architectures."""
        torch.manual_seed(0)
        model, controller = Toy(ROOT), Controller(ROOT, 8)
        rewards = {a: -float(loss(model, batch(7), a).detach()) for a in ROOT.enumerate()}
        parameters = list(controller.parameters())
        generator = torch.Generator().manual_seed(0)
        met: dict[Architecture, Tensor] = {}
        while len(met) < len(rewards):
            architecture, likelihood, _ = controller.draw(generator)
            met.setdefault(architecture, likelihood)
        mean = torch.stack([met[a].exp() * r for a, r in rewards.items()]).sum()
        exact = torch.autograd.grad(mean, parameters, allow_unused=True, materialize_grads=True)

        # The optimiser goes down, so its gradient is the other way round; averages converge.
        step = ControllerStep(
            model, controller, loss, lambda a: True, seed=1, lr=0.1, entropy=0.0, decay=0.0
        )
        step.optimizer = _Catch()  # type: ignore[assignment]
        total = [torch.zeros_like(p) for p in parameters]
        for number in range(1500):
            controller.zero_grad()
            step.baseline = float(mean.detach())
            step(batch(0), batch(7), number)
            for sum_, parameter in zip(total, parameters, strict=True):
                sum_ -= torch.zeros_like(sum_) if parameter.grad is None else parameter.grad / 1500
        flat, wanted = (torch.cat([g.flatten() for g in side]) for side in (total, exact))
        assert torch.cosine_similarity(flat, wanted, 0) > 0.95
        assert flat.norm().item() == pytest.approx(wanted.norm().item(), rel=0.15)

    def test_rewards_count_from_their_average(self) -> None:
        rewards = iter((1.0, 3.0, 2.0))

        def given(*_: object) -> Tensor:
            return torch.tensor(-next(rewards))

        step = ControllerStep(
            Toy(ROOT),
            Controller(ROOT, 8),
            given,
            lambda a: True,
            seed=0,
            lr=0.1,
            entropy=1e-4,
            decay=0.75,
        )
        found = []
        for number in range(3):
            step(batch(0), batch(1), number)
            found.append(step.baseline)
        assert found == pytest.approx([1.0, 1.5, 1.625])

    def test_without_a_difference_only_entropy_moves_it(self) -> None:
        def alike(*_: object) -> Tensor:
            return torch.tensor(1.0)

        def entropy(weight: float) -> tuple[Controller, float]:
            torch.manual_seed(0)
            controller = Controller(ROOT, 8)
            with torch.no_grad():
                controller.heads[0].bias.copy_(torch.tensor([2.0, 0.0, 0.0]))  # type: ignore[operator]
            step = ControllerStep(
                Toy(ROOT), controller, alike, lambda a: True, 0, lr=0.05, entropy=weight, decay=0.95
            )
            for number in range(30):
                step(batch(0), batch(1), number)
            generator = torch.Generator().manual_seed(0)
            return controller, float(controller.draw(generator)[2].detach())

        torch.manual_seed(0)
        still, before = entropy(0.0)
        assert still.heads[0].bias[0].item() == 2.0  # type: ignore[index]
        assert entropy(1.0)[1] > before + 0.1

    def test_likelihood_and_entropy(self) -> None:
        torch.manual_seed(0)
        controller = Controller(ROOT, 8)
        generator = torch.Generator().manual_seed(0)
        seen: dict[tuple[object, ...], float] = {}
        for _ in range(200):
            architecture, likelihood, entropy = controller.draw(generator)
            seen[architecture.choices] = float(likelihood.detach().exp())
            assert 0 < entropy.item() <= math.log(6) + 1e-5
        assert len(seen) == 6
        assert sum(seen.values()) == pytest.approx(1, abs=1e-5)


def test_weights_and_preferences_move_by_their_own_batch_alone() -> None:
    model = relaxed()

    class Weights:
        def __init__(self) -> None:
            self.moved = [p for p in model.parameters() if p.requires_grad]

        def step(self, data: Batch, architectures: object, step: int) -> dict[str, Tensor]:
            # Nothing of the preferences' step may be left: the task's objective clips the norm of
            # all gradients together.
            assert all(p.grad is None for p in model.parameters())
            value = loss(model, data, None)
            value.backward()
            assert all(p.grad is None for p in model.weights_of_choice())
            return {"loss": value.detach()}

        def state_dict(self) -> dict[str, int]:
            return {"weights": 1}

        def load_state_dict(self, state: object) -> None: ...

    step = MixtureStep(model, loss, 0.1, 1e-3)
    made: list[Weights] = []

    def make() -> Weights:
        made.append(Weights())
        return made[0]

    objective = TwoBatchObjective(model, make, step, lambda number: batch(50 + number))  # type: ignore[arg-type]
    logged = objective.step(batch(0), [None], 0)
    assert next(iter(logged)) == "loss"
    assert {id(p) for p in made[0].moved} == {id(p) for p in model.weights_of_network()}
    assert set(objective.state_dict()) == {"weights", "preferences"}


def test_preferences_wait_for_their_first_step() -> None:
    model = relaxed()
    before = copy.deepcopy(model.state_dict())

    class Nothing:
        def step(self, *_: object) -> dict[str, Tensor]:
            return {"loss": torch.zeros(())}

    def others(step: int) -> Batch:
        assert step >= 3, "a batch was looked at for nothing"
        return batch(step)

    step = MixtureStep(model, loss, 0.1, 1e-3)
    objective = TwoBatchObjective(model, Nothing, step, others, first=3)  # type: ignore[arg-type]
    for number in range(3):
        assert list(objective.step(batch(0), [None], number)) == ["loss"]
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())
    assert len(objective.step(batch(0), [None], 3)) == 2
    assert not torch.equal(before["preferences.a"], model.state_dict()["preferences.a"])
    assert [batches_of(number, 3) for number in (0, 2, 3, 9)] == [1, 1, 2, 2]


class TestNaming:
    SCORES: ClassVar = [[-3.0, -0.1, -2.0], [-0.2, -1.7]]

    def test_the_likeliest(self) -> None:
        best = most_likely(ROOT, self.SCORES, lambda a: True, random.Random(0))
        assert best.choices == (1, 0)

    def test_the_likeliest_that_is_acceptable(self) -> None:
        best = most_likely(ROOT, self.SCORES, lambda a: a.choices[0] != 1, random.Random(0))
        assert best.choices == (2, 0)

    def test_the_likeliest_inside_a_band(self) -> None:
        band = ROOT.band("sum", 2, 4)
        best = most_likely(band, self.SCORES, lambda a: True, random.Random(0))
        assert best.choices == (1, 1)

    def test_a_large_region_whose_favourites_are_refused(self) -> None:
        """More architectures than are ever enumerated, and the acceptable ones are unlikely."""
        large = Region.root(toy_space(*[4] * 12))
        scores = [[-0.001, -8.0, -8.0, -8.0] for _ in range(12)]
        best = most_likely(large, scores, lambda a: a.choices[0] != 0, random.Random(0))
        assert best.choices[0] != 0
        assert best.choices.count(0) >= 3

    def test_what_is_named(self) -> None:
        model = relaxed()
        with torch.no_grad():
            model.preferences["a"].copy_(torch.tensor([0.0, 3.0, 1.0]))
            model.preferences["b"].copy_(torch.tensor([2.0, 0.0]))
        (best,) = name_architectures(model, lambda a: True, 1, seed=0)
        assert best.choices == (1, 0)
        several = name_architectures(model, lambda a: True, 4, seed=0)
        assert several[0] == best
        assert len(set(several)) == len(several) == 4
        assert name_architectures(model, lambda a: True, 4, seed=0) == several
        limited = name_architectures(model, lambda a: a.choices[0] == 2, 9, seed=0)
        assert limited[0].choices == (2, 0)
        assert {a.choices[0] for a in limited} == {2}
        assert name_architectures(model, lambda a: False, 3, seed=0) == []
        shares = probabilities(model, seed=0)
        assert shares["b"] == {"0": 0.8808, "1": 0.1192}

    def test_what_a_controller_names(self) -> None:
        torch.manual_seed(0)
        model = relaxed(controller=Controller(ROOT, 8))
        several = name_architectures(model, lambda a: a.choices[1] == 0, 5, seed=0)
        assert {a.choices[1] for a in several} == {0}
        assert len(set(several)) == len(several) == 3
        assert name_architectures(model, lambda a: False, 3, seed=0) == []
        shares = probabilities(model, seed=0)
        assert sum(shares["a"].values()) == pytest.approx(1)
        assert shares == probabilities(model, seed=0)

    def test_nothing_acceptable(self) -> None:
        with pytest.raises(RegionError, match="no acceptable architecture"):
            most_likely(ROOT, self.SCORES, lambda a: False, random.Random(0))

    def test_draws_are_distinct_and_follow_the_probabilities(self) -> None:
        drawn = draw(ROOT, self.SCORES, lambda a: True, random.Random(0), 6)
        assert len(set(drawn)) == len(drawn) <= 6
        first = [
            draw(ROOT, self.SCORES, lambda a: True, random.Random(i), 1)[0].choices[0]
            for i in range(200)
        ]
        assert first.count(1) > 130
