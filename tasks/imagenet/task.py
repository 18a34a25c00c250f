"""Search of mobile networks: images of any size, a limit on multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fewshot_core.costs.latency import NetworkParts
from fewshot_core.costs.table import CostTable
from fewshot_core.data import ImageShape
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.fitting import Fitting
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.unread import Unread
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.supernet.pretrained import WeightsReport
from fewshot_core.training.classification import ClassificationTask
from fewshot_tasks.imagenet.build import SOURCE, timm_arguments, timm_network
from fewshot_tasks.imagenet.costs import cost_table
from fewshot_tasks.imagenet.draw import network_svg
from fewshot_tasks.imagenet.fit import fit_network
from fewshot_tasks.imagenet.latency import network_parts
from fewshot_tasks.imagenet.pretrained import PUBLISHED, load_ofa
from fewshot_tasks.imagenet.settings import DESCRIPTION, check_recipe, find_unread, make_space
from fewshot_tasks.imagenet.space import MobileSpace
from fewshot_tasks.imagenet.stock import load_stock
from fewshot_tasks.imagenet.supernet import MobileSupernet


class MobileTask(ClassificationTask):
    """Searches kernels, expansions and depths of a mobile network."""

    description = DESCRIPTION
    drawing_key = (
        "A block is as high as its expansion, which stands above it (e); within stands its kernel "
        "size, which its colour shows as well. Below a unit: its channels, and its stride (/)."
    )
    published = PUBLISHED

    def check_recipe(self, recipe: Recipe) -> Iterator[str]:
        return check_recipe(recipe)

    def find_unread(self, recipe: Recipe) -> Iterator[Unread]:
        yield from super().find_unread(recipe)
        yield from find_unread(recipe)

    def fit(self, fitting: Fitting) -> None:
        super().fit(fitting)
        fit_network(fitting)

    def space(self, recipe: Recipe) -> MobileSpace:
        return make_space(recipe.network, recipe.data.image_size)

    def supernet(
        self, region: Region, recipe: Recipe, shape: ImageShape, *, partial: int = 1
    ) -> MobileSupernet:
        return MobileSupernet(
            region,
            shape,
            learned_kernels=recipe.network.learned_kernels,
            drop_rate=recipe.network.drop_rate,
        )

    def find_pretrained(self, recipe: Recipe) -> Mapping[str, str]:
        if recipe.network.space not in ("ofa_mbv3", "proxyless"):
            raise RecipeError(
                "supernet.weights cannot be used with this space",
                found=f"network.space={recipe.network.space}",
                allowed="ofa_mbv3, proxyless",
            )
        return PUBLISHED

    def load_pretrained(
        self, supernet: MobileSupernet, weights: Mapping[str, Tensor]
    ) -> WeightsReport:
        return load_ofa(supernet, weights)

    def start_from_stock(
        self, network: nn.Module, model: nn.Module, recipe: Recipe
    ) -> WeightsReport:
        said = f"retrain.start={recipe.retrain.start}"
        return load_stock(network, model, self.space(recipe).skeleton, said, recipe.network.space)

    def network(self, architecture: Architecture, recipe: Recipe, shape: ImageShape) -> nn.Module:
        space = self.space(recipe)
        return timm_network(
            space.skeleton,
            space.arch_def(architecture),
            shape,
            drop_rate=recipe.network.drop_rate,
            drop_path_rate=recipe.network.drop_path_rate,
        )

    def costs(self, recipe: Recipe, shape: ImageShape) -> CostTable:
        return cost_table(self.space(recipe), shape)

    def latency_parts(self, recipe: Recipe, shape: ImageShape) -> NetworkParts:
        return network_parts(self.space(recipe), shape)

    def draw(self, space: SearchSpace, architecture: Architecture) -> str:
        assert isinstance(space, MobileSpace)
        return network_svg(space, architecture)

    def export_model(
        self, architecture: Architecture, recipe: Recipe, shape: ImageShape
    ) -> tuple[str, dict[str, Any], list[Path]]:
        space = self.space(recipe)
        arch_def = space.arch_def(architecture)
        arguments = timm_arguments(space.skeleton, arch_def, shape.channels)
        return space.skeleton.model, arguments, [Path(SOURCE)]


TASK = MobileTask()
