"""Search of GAN generators for unconditional image generation (AutoGAN)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from matplotlib.figure import Figure
from torch import Tensor, nn

from fewshot_core.contexts import Moments, PictureContext
from fewshot_core.costs.table import CostTable
from fewshot_core.data import Batch, ImageData, ImageShape
from fewshot_core.description import as_supernet
from fewshot_core.metrics import Metric
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.recipe.unread import Unread
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.supernet import Supernet
from fewshot_core.task import Task
from fewshot_core.training.loop import Watch
from fewshot_core.training.objective import Objective, Scorer
from fewshot_tasks.autogan import export
from fewshot_tasks.autogan.adversaries import (
    GENERATOR,
    AdversarialNetwork,
    AdversarialSupernet,
    Adversaries,
)
from fewshot_tasks.autogan.costs import generator_costs
from fewshot_tasks.autogan.draw import generator_svg
from fewshot_tasks.autogan.extractors import inception_file
from fewshot_tasks.autogan.metrics import name_metric
from fewshot_tasks.autogan.network import Generator
from fewshot_tasks.autogan.objective import GanObjective
from fewshot_tasks.autogan.pictures import (
    ROWS,
    SampleWatch,
    SupernetWatch,
    find_moments,
    pictures,
)
from fewshot_tasks.autogan.scorer import check_metric, draw_fixed_noise, make_judge, make_scorer
from fewshot_tasks.autogan.settings import (
    DESCRIPTION,
    cells_for,
    check_recipe,
    discriminator_shape,
    find_unread,
    generator_shape,
    image_size_of,
)
from fewshot_tasks.autogan.space import GeneratorSpace, generator_space


class GanTask(Task):
    """Searches the generator of a GAN."""

    description = DESCRIPTION
    generates = True
    normalisation = (0.5, 0.5)  # pixels in [-1, 1], as tanh gives them

    def check_recipe(self, recipe: Recipe) -> Iterator[str]:
        return check_recipe(recipe)

    def find_unread(self, recipe: Recipe) -> Iterator[Unread]:
        return find_unread(recipe)

    def space(self, recipe: Recipe) -> GeneratorSpace:
        return generator_space(cells_for(recipe.network, image_size_of(recipe)))

    def supernet(
        self, region: Region, recipe: Recipe, shape: ImageShape, *, partial: int = 1
    ) -> AdversarialSupernet:
        settings = as_supernet(recipe.network)
        return AdversarialSupernet(
            region,
            generator=generator_shape(settings, shape),
            discriminator=discriminator_shape(settings, shape),
            rules=recipe.gan,
        )

    def network(
        self, architecture: Architecture, recipe: Recipe, shape: ImageShape
    ) -> AdversarialNetwork:
        return AdversarialNetwork(
            self.space(recipe).of_cells(architecture),
            generator=generator_shape(recipe.network, shape),
            discriminator=discriminator_shape(recipe.network, shape),
            rules=recipe.gan,
        )

    def costs(self, recipe: Recipe, shape: ImageShape) -> CostTable:
        """Of the generator alone, at the width of training from scratch."""
        return generator_costs(self.space(recipe), generator_shape(recipe.network, shape))

    def objective(
        self, model: nn.Module, settings: TrainingSettings, steps: int, accelerator: Accelerator
    ) -> Objective:
        return GanObjective(model, settings, steps, accelerator)

    def loss(
        self,
        model: nn.Module,
        batch: Batch,
        architecture: Architecture | None,
        accelerator: Accelerator,
    ) -> Tensor:
        """The generator's loss, with noise that belongs to the batch."""
        pair: Adversaries = accelerator.unwrap_model(model)
        seed = derive_seed("loss", int(batch[0].double().sum()))
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(len(batch[0]), pair.generator.latent, generator=generator)
        for parameter in pair.discriminator.parameters():
            parameter.requires_grad_(False)
        try:
            with accelerator.autocast():
                loss: Tensor = model(z.to(batch[0].device), architecture, role=GENERATOR)
        finally:
            for parameter in pair.discriminator.parameters():
                parameter.requires_grad_(True)
        return loss

    def check_measurable(self, recipe: Recipe, data: ImageData, accelerator: Accelerator) -> None:
        check_metric(recipe, data, accelerator)

    def find_inputs(self, recipe: Recipe) -> Mapping[str, Path]:
        """The weights of the Inception network, where features are its."""
        if recipe.metric.extractor != "inception":
            return {}
        return {"metric.weights": inception_file(recipe.metric)}

    def scorer(
        self, recipe: Recipe, data: ImageData, part: str, accelerator: Accelerator, folder: Path
    ) -> Scorer:
        return make_scorer(recipe, data, part, accelerator, folder)

    def watch(
        self, recipe: Recipe, data: ImageData, accelerator: Accelerator, folder: Path
    ) -> Watch:
        """Draws samples at every checkpoint, and measures them where the recipe says so."""
        count = recipe.metric.watch_images
        judge = make_judge(recipe, data, "validation", accelerator, folder) if count else None
        return SampleWatch(
            draw_fixed_noise(recipe, ROWS * ROWS, "samples"),
            draw_fixed_noise(recipe, count, "watch"),
            _draw_real(recipe, data),
            judge,
            recipe.evaluator.batch_size,
            accelerator.device,
        )

    def watch_supernet(
        self, recipe: Recipe, region: Region, accelerator: Accelerator
    ) -> Watch | None:
        """Draws samples of a few generators of the region at every checkpoint."""
        rng = random.Random(derive_seed(recipe.seed, "samples", region.id))
        drawn = {region.sample(rng) for _ in range(ROWS)}
        return SupernetWatch(
            sorted(drawn, key=lambda architecture: architecture.id),
            draw_fixed_noise(recipe, ROWS, "samples"),
            [draw_fixed_noise(recipe, recipe.evaluator.batch_size, "samples", "calibration")],
            accelerator.device,
        )

    def name_metric(self, metric: Metric, recipe: Recipe, part: str) -> str:
        return name_metric(metric, recipe, part)

    def draw(self, space: SearchSpace, architecture: Architecture) -> str:
        assert isinstance(space, GeneratorSpace)
        return generator_svg(space, architecture)

    def pictures(self, context: PictureContext) -> Iterable[tuple[str, str, Figure]]:
        return pictures(context)

    def moments(self, context: PictureContext) -> Moments | None:
        return find_moments(context)

    def result(self, network: nn.Module) -> Generator:
        assert isinstance(network, AdversarialNetwork)
        return network.result

    def start_from_supernet(
        self, network: nn.Module, inherited: nn.Module, supernet: Supernet
    ) -> None:
        """The discriminator goes on where the supernet's stands, and the average begins anew."""
        assert isinstance(network, AdversarialNetwork)
        assert isinstance(supernet, AdversarialSupernet)
        network.start_from(inherited, supernet.discriminator)

    def hand_over(self, *arguments: Any) -> None:
        export.hand_over(*arguments)

    def hand_over_inherited(self, *arguments: Any) -> None:
        export.hand_over_inherited(*arguments)


def _draw_real(recipe: Recipe, data: ImageData) -> Tensor:
    """As many training images as a grid of samples has, the same in every training of a run."""
    generator = torch.Generator().manual_seed(derive_seed(recipe.seed, "samples", "real"))
    order = torch.randperm(len(data.train), generator=generator)
    return data.train.pixels(order[: ROWS * ROWS])


TASK = GanTask()
