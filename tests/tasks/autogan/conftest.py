from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from fewshot_core.data import ImageArray, ImageData
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe

SMALL = {
    "recipe": "autogan_digits",
    "network.channels": 4,
    "network.supernet_channels": 4,
    "network.discriminator": 4,
    "network.supernet_discriminator": 4,
    "network.latent": 6,
    "metric.images": 40,
    "metric.test_images": 50,
    "metric.watch_images": 30,
    "metric.steps": 20,
    "evaluator.recalibrate": 32,
    "evaluator.batch_size": 20,
}


@pytest.fixture
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


@pytest.fixture
def make_recipe() -> Callable[..., Recipe]:
    """A recipe of narrow generators, with some settings changed."""

    def make(**more: object) -> Recipe:
        changed = {key.replace("__", "."): value for key, value in more.items()}
        words = {**SMALL, **changed}
        given = [f"{key}={value}" for key, value in words.items()]
        return load_recipe(given, drop_unread=True).recipe

    return make


@pytest.fixture
def data() -> ImageData:
    """Gray images whose class is their brightness; the parts differ."""
    generator = torch.Generator().manual_seed(0)

    def array(count: int) -> ImageArray:
        labels = torch.arange(count) % 4
        noise = torch.randint(0, 60, (count, 1, 8, 8), generator=generator)
        images = (noise + 60 * labels[:, None, None, None]).byte()
        return ImageArray(images, labels, ("a", "b", "c", "d"))

    test = array(60)
    half = (0.5,)
    return ImageData("made-up", array(200), array(80), half, half, len(test), lambda: test)


@pytest.fixture(scope="package")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the Inception network, in the file format of torch-fidelity."""
    folder = tmp_path_factory.mktemp("inception")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.save({}, folder / "none.pth")
        network = FeatureExtractorInceptionV3(
            "x", ["2048"], feature_extractor_weights_path=str(folder / "none.pth")
        )
    # As torch makes them, all images would get the same features to many digits.
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        network.fc.weight *= 50  # classes that images differ in
    path = folder / "random.pth"
    torch.save(network.state_dict(), path)
    return path
