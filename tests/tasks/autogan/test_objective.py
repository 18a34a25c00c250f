from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from fewshot_core.data import BatchStream, ImageData
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.console import Console
from fewshot_core.spaces.paths import FairPaths, UniformPaths
from fewshot_core.spaces.region import Region
from fewshot_core.training.loop import DivergedError, Stage, train
from fewshot_tasks.autogan.adversaries import AdversarialNetwork, AdversarialSupernet
from fewshot_tasks.autogan.objective import LOOK, CollapseWatch, GanObjective
from fewshot_tasks.autogan.settings import GanSettings
from fewshot_tasks.autogan.task import TASK

MakeRecipe = Callable[..., Recipe]
ADAM = TrainingSettings(
    epochs=1, batch_size=8, optimizer="adam", lr=1e-2, min_lr=1e-2, weight_decay=0, grad_clip=None
)
VECTOR = "1,1,1,1,1,1,1,1,1"


def standalone(recipe: Recipe, data: ImageData, **rules: object) -> AdversarialNetwork:
    torch.manual_seed(0)
    changed = replace(recipe, gan=replace(recipe.gan, **rules))
    return TASK.network(TASK.space(recipe).parse(VECTOR), changed, data.shape)


def shared(recipe: Recipe, data: ImageData, **rules: object) -> AdversarialSupernet:
    torch.manual_seed(0)
    changed = replace(recipe, gan=replace(recipe.gan, **rules))
    return TASK.supernet(Region.root(TASK.space(recipe)), changed, data.shape)


def batch(data: ImageData, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(100 + step)
    return stream(data).batch(step)


def stream(data: ImageData) -> BatchStream:
    return BatchStream(data.train, batch_size=8, seed=0, mean=(0.5,), std=(0.5,))


def snapshot(module: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def moved(module: torch.nn.Module, before: list[torch.Tensor]) -> bool:
    pairs = zip(module.parameters(), before, strict=True)
    return any(not torch.equal(mine, old) for mine, old in pairs)


def test_the_generator_moves_every_fifth_step(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator
) -> None:
    pair = standalone(make_recipe(), data, critic_steps=5).train()
    objective = GanObjective(pair, ADAM, 20, accelerator)
    for step in range(11):
        sides = ("generator", "discriminator", "average")
        before = {side: snapshot(getattr(pair, side)) for side in sides}
        logged = objective.step(batch(data, step), [None], step)
        assert moved(pair.discriminator, before["discriminator"])
        for side in ("generator", "average"):
            assert moved(getattr(pair, side), before[side]) == (step % 5 == 0), (side, step)
        assert set(logged) == {"loss", "generator loss"}
        assert all(value.isfinite() for value in logged.values())


def test_only_beside_a_supernet_the_discriminator_sees_the_variety_of_a_batch(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator
) -> None:
    for wanted in (False, True):
        alone = standalone(make_recipe(), data, batch_deviation=wanted)
        pair = shared(make_recipe(), data, batch_deviation=wanted).train()
        assert not alone.discriminator.batch_deviation
        assert pair.discriminator.batch_deviation == wanted
        objective = GanObjective(pair, ADAM, 20, accelerator)
        before = snapshot(pair.discriminator)
        logged = objective.step(batch(data, 0), [pair.region.sample(random.Random(0))], 0)
        assert moved(pair.discriminator, before)
        assert all(value.isfinite() for value in logged.values())
        pair.begin_anew(1)
        assert pair.discriminator.batch_deviation == wanted


def test_rates_of_both_sides(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator
) -> None:
    pair = standalone(make_recipe(), data, discriminator_lr=4e-2).train()
    settings = replace(ADAM, min_lr=0.0)
    objective = GanObjective(pair, settings, 2, accelerator)
    objective.step(batch(data, 1), [None], 1)  # half way down a cosine
    rates = {n: o.param_groups[0]["lr"] for n, o in objective.optimizers.items()}
    assert rates == pytest.approx({"generator": 5e-3, "discriminator": 2e-2})
    betas = {o.param_groups[0]["betas"] for o in objective.optimizers.values()}
    assert betas == {(0.0, 0.9)}


def test_several_paths_of_a_step_count_alike(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator
) -> None:
    """One architecture twice is a step of its mean loss."""
    import random

    recipe = make_recipe()
    pair = shared(recipe, data).train()
    paths = FairPaths(pair.region)
    architectures = paths.draw(random.Random(0))
    assert len(architectures) == 3
    objective = GanObjective(pair, ADAM, 5, accelerator)
    before = snapshot(pair.generator)
    objective.step(batch(data, 0), architectures, 0)
    assert moved(pair.generator, before)
    used = {
        name
        for name, p in pair.generator.named_parameters()
        if p.grad is not None and p.grad.abs().sum() > 0
    }
    # Every option of the second cell's upsampling was in one of the three.
    assert any("cells.1" in name and ".up." in name for name in used)


@pytest.mark.parametrize("kind", ["supernet", "network"])
def test_a_cut_training_ends_with_the_same_bits(
    kind: str, make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    recipe = make_recipe()

    def run(folder: str, stop: int | None) -> dict[str, torch.Tensor]:
        pair = (shared if kind == "supernet" else standalone)(recipe, data, critic_steps=2)
        paths = UniformPaths(pair.region) if isinstance(pair, AdversarialSupernet) else None

        class Stopped(GanObjective):
            def step(self, batch, architectures, step):
                if step == stop:
                    raise KeyboardInterrupt
                return super().step(batch, architectures, step)

        train(
            Stage("t", 12, 5, 3),
            pair,
            lambda model: Stopped(model, ADAM, 12, accelerator),
            stream(data),
            paths,
            StageCheckpoint(tmp_path / folder),
            accelerator,
            Console(False),
        )
        return pair.state_dict()

    whole = run("whole", None)
    with pytest.raises(KeyboardInterrupt):
        run("cut", 8)
    for name, tensor in run("cut", None).items():
        assert torch.equal(tensor, whole[name]), name


def test_losses_that_are_no_numbers_stop_and_keep_the_last_checkpoint(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    pair = standalone(make_recipe(), data)

    class Poisoned(GanObjective):
        def step(self, batch, architectures, step):
            if step == 5:
                with torch.no_grad():
                    self.pair.generator.stem.weight.fill_(math.nan)
            return super().step(batch, architectures, step)

    with pytest.raises(DivergedError, match=r"t: .*loss is nan at step 5.*checkpoint is kept"):
        train(
            Stage("t", 12, 5, 3),
            pair,
            lambda model: Poisoned(model, ADAM, 12, accelerator),
            stream(data),
            None,
            StageCheckpoint(tmp_path),
            accelerator,
            Console(False),
        )
    checkpoint = StageCheckpoint(tmp_path)
    payload = checkpoint.load(checkpoint.state())
    assert checkpoint.state().step == 3
    assert all(t.isfinite().all() for t in payload["model"].values() if t.is_floating_point())


# -- collapse ---------------------------------------------------------------------------------


def test_collapse_is_losses_that_no_longer_vary() -> None:
    watch = CollapseWatch(GanSettings(reset_window=LOOK, reset_variance=1e-3))
    rng = torch.Generator().manual_seed(0)
    for step in range(3 * LOOK):
        loss = torch.randn((), generator=rng)
        watch.note(loss, loss)
        assert not watch.has_collapsed(step)
    for _ in range(LOOK):
        watch.note(torch.tensor(2.0), torch.randn((), generator=rng))
    assert watch.has_collapsed(4 * LOOK - 1)
    assert not watch.has_collapsed(4 * LOOK)  # between two looks
    watch.clear()
    assert not watch.has_collapsed(4 * LOOK - 1)


def test_a_window_that_is_not_full_says_nothing() -> None:
    watch = CollapseWatch(GanSettings(reset_window=2 * LOOK))
    for _ in range(2 * LOOK):
        watch.note(torch.tensor(2.0), None)  # the generator moved too seldom
    assert not watch.has_collapsed(2 * LOOK - 1)


def test_collapsed_supernets_begin_anew_and_standalone_networks_do_not(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator
) -> None:
    import random

    recipe = make_recipe()
    rules = {"reset_window": LOOK, "reset_variance": 1e9, "critic_steps": 1}
    pair = shared(recipe, data, **rules).train()
    objective = GanObjective(pair, ADAM, 100, accelerator)
    rng = random.Random(0)
    for step in range(LOOK):
        objective.step(batch(data, step), [pair.region.sample(rng)], step)
    assert objective.resets == 1
    assert objective.collapse.losses == {"discriminator": [], "generator": []}
    state = objective.optimizers["generator"].optimizer.state
    assert not state
    objective.step(batch(data, 0), [pair.region.sample(rng)], LOOK)  # it goes on
    alone = standalone(recipe, data, **rules).train()
    objective = GanObjective(alone, ADAM, 100, accelerator)
    for step in range(LOOK):
        objective.step(batch(data, step), [None], step)
    assert objective.resets == 0


# -- settings ---------------------------------------------------------------------------------


def test_an_optimiser_without_betas_is_refused(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator
) -> None:
    pair = standalone(make_recipe(), data)
    with pytest.raises(RecipeError, match=r"sgd has no betas.*optimizer: adam"):
        GanObjective(pair, replace(ADAM, optimizer="sgd"), 1, accelerator)
    with pytest.raises(RecipeError, match="unknown"):
        GanObjective(pair, replace(ADAM, optimizer="adamm"), 1, accelerator)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"gan__critic_steps": 0}, "gan.critic_steps=0 must be at least 1"),
        ({"gan__ema": 1.0}, "gan.ema=1.0"),
        ({"metric__extractor": "vgg"}, "metric.extractor=vgg is none of inception, classifier"),
        ({"metric__images": 5}, "metric.images=5 must be at least metric.splits=10"),
        ({"network__cells": 3}, "multiples of 8 from 16 on"),
        ({"network__cells": "none", "data__image_size": 20}, "no usual number of cells"),
        ({"data__image_size": "none"}, "data.image_size is missing"),
        ({"evaluator": "synflow", "retrain__compare": "[random]"}, "scores classifiers"),
        ({"data__search_size": 4}, "search_size"),
        ({"retrain__micro_batch": 2}, "retrain.micro_batch is for classifiers"),
    ],
)
def test_settings_that_cannot_be(
    words: dict[str, object], message: str, make_recipe: MakeRecipe
) -> None:
    with pytest.raises(RecipeError) as caught:
        make_recipe(**words)
    assert message in str(caught.value)


def test_scores_are_those_of_the_task(make_recipe: MakeRecipe) -> None:
    with pytest.raises(RecipeError, match=r"evaluator.score=accuracy is none of fid, is, reward"):
        make_recipe(evaluator__score="accuracy")


def test_the_loss_of_a_batch_is_a_function(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator
) -> None:
    """Splits by gradients compare options on the same noise."""
    recipe = make_recipe()
    pair = shared(recipe, data).eval()
    architecture = TASK.space(recipe).parse(VECTOR)
    first, second = batch(data, 0), batch(data, 1)
    batches = (first, first, second)
    losses = [TASK.loss(pair, b, architecture, accelerator).item() for b in batches]
    assert losses[0] == losses[1] != losses[2]
    TASK.loss(pair, first, architecture, accelerator).backward()
    assert all(p.grad is None for p in pair.discriminator.parameters())
    assert all(p.requires_grad for p in pair.discriminator.parameters())
