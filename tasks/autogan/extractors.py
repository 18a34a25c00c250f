"""Feature extractors of torch-fidelity: its Inception network, and a classifier of our own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch_fidelity import FeatureExtractorBase
from torch_fidelity.utils import create_feature_extractor

from fewshot_core.data import BatchStream, ImageData
from fewshot_core.data.stream import EvalBatches
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import digest_of_weights, sha256
from fewshot_core.seeds import derive_seed
from fewshot_core.training.classification import ClassificationObjective
from fewshot_core.training.classifier_scores import ClassificationScorer
from fewshot_core.training.loop import Stage, train
from fewshot_tasks.autogan.settings import MetricSettings

INCEPTION = "inception-v3-compat"
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""What torch-fidelity downloads to torch's hub folder, if it is not there."""

BATCH = 128
LARGEST = 32
"""Larger images are shrunk to this side for the classifier."""


@dataclass(frozen=True)
class Extractor:
    """An extractor and what it takes to know one from another.

    Attributes:
        module: Takes uint8 images ``[N, C, S, S]``.
        features: Its layer for Frechet and kernel distances, and for precision and recall.
        logits: Its layer for the Inception score.
        name: What stands beside a score.
        digest: Digest of its weights: features of other weights are other features.
        channels: Channels of the images that it takes.
    """

    module: FeatureExtractorBase
    features: str
    logits: str
    name: str
    digest: str
    channels: int


def inception(settings: MetricSettings, accelerator: Accelerator) -> Extractor:
    """The Inception network of 2015, by which published scores are measured.

    Raises:
        RecipeError: Its weights are not there, cannot be had, or are others.
    """
    path = None if settings.weights is None else Path(settings.weights).expanduser()
    if path is not None:
        _require_weights(path)
    cuda = accelerator.device.type == "cuda"
    try:
        with accelerator.local_main_process_first():
            module = create_feature_extractor(
                INCEPTION,
                ["2048", "logits_unbiased"],
                cuda=cuda,
                feature_extractor_weights_path=None if path is None else str(path),
                verbose=False,
            )
    except (URLError, OSError) as error:
        raise RecipeError(
            "metric.extractor=inception: its weights cannot be downloaded",
            found=error,
            fix=f"name the file with metric.weights={INCEPTION_FILE}, or use "
            "metric.extractor=classifier, which is trained on the data itself",
        ) from None
    except RuntimeError as error:  # other names or shapes
        raise RecipeError(
            f"metric.weights={path} is not torch-fidelity's Inception network",
            found=str(error).split("\n")[0],
        ) from None
    digest = sha256(inception_file(settings))[:16]
    return Extractor(module, "2048", "logits_unbiased", "inception", digest, 3)


def inception_file(settings: MetricSettings) -> Path:
    """Where the weights lie: as named, or where torch-fidelity puts its download."""
    if settings.weights is not None:
        return Path(settings.weights).expanduser()
    return Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE


def _require_weights(path: Path) -> None:
    """torch-fidelity opens the file without a guard; so it is opened with one before."""
    if not path.is_file():
        raise RecipeError(f"metric.weights={path} is no file")
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # decoders of a planted file raise whatever they stumble over
        raise RecipeError(
            f"metric.weights={path} holds more than weights, or cannot be read",
            found=str(error).split("\n")[0][:80],
        ) from None


class SmallClassifier(nn.Module):
    """Images ``[B, C, S, S]`` in [-1, 1] to 128 features and to logits."""

    FEATURES = 128

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        widths, layers = [channels, 32, 64, 64, self.FEATURES], []
        for index in range(4):
            stride = 2 if index % 2 else 1
            layers += [
                nn.Conv2d(widths[index], widths[index + 1], 3, stride, 1, bias=False),
                nn.BatchNorm2d(widths[index + 1]),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(self.FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """``[B, 128]``."""
        if x.shape[-1] > LARGEST:
            x = interpolate(x, (LARGEST, LARGEST), mode="area")
        features: Tensor = self.body(x).mean((2, 3))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


class ClassifierFeatures(FeatureExtractorBase):
    """The classifier as torch-fidelity wants an extractor."""

    def __init__(self, network: SmallClassifier, name: str) -> None:
        super().__init__(name, ["features", "logits"])
        self.network = network.requires_grad_(False).eval()

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("features", "logits")

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, input: Tensor) -> tuple[Tensor, Tensor]:
        if input.dtype != torch.uint8 or input.ndim != 4:
            raise TypeError(f"uint8 [N, C, S, S] expected, not {input.dtype} {input.shape}")
        features = self.network.features(input.float() / 127.5 - 1)
        return features, self.network.head(features)


def require_classes(data: ImageData) -> None:
    """Raise a :class:`RecipeError` unless there are classes to tell apart."""
    if len(data.classes) < 2:
        raise RecipeError(
            "metric.extractor=classifier needs images of two classes or more",
            found=f"class {data.classes[0]} alone",
            fix="use metric.extractor=inception, or data.labelled=true where images have classes",
        )


def classifier(
    settings: MetricSettings, data: ImageData, accelerator: Accelerator, folder: Path, seed: int
) -> Extractor:
    """A classifier of the data's own classes, trained on the training images alone.

    It is trained once and kept in ``folder``; its accuracy on the validation images is noted there.
    Every process has to call this.

    Raises:
        RecipeError: There is only one class.
    """
    require_classes(data)
    seed = derive_seed(seed, "classifier")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallClassifier(data.channels, len(data.classes))
    world = accelerator.num_processes
    batch = world * -(-BATCH // world)
    training = TrainingSettings(
        epochs=1, batch_size=batch, optimizer="adamw", lr=2e-3, weight_decay=0.01
    )
    half = (0.5,) * data.channels
    stream = BatchStream(
        data.train,
        batch_size=batch,
        seed=seed,
        mean=half,
        std=half,
        rank=accelerator.process_index,
        world=world,
    )
    checkpoint = StageCheckpoint(
        folder / f"classifier-{data.image_size}px", accelerator.is_main_process
    )
    state = train(
        Stage("classifier of the metric", settings.steps, seed, 500),
        network,
        lambda model: ClassificationObjective(model, training, settings.steps, accelerator),
        stream,
        None,
        checkpoint,
        accelerator,
        Console(accelerator.is_main_process),
    )
    if not state.notes:
        batches = [
            (x.to(accelerator.device), y.to(accelerator.device))
            for x, y in EvalBatches(data.validation, 256, half, half)
        ]
        scorer = ClassificationScorer(batches, [], accelerator)
        checkpoint.annotate({"validation accuracy": scorer.score(network, None)["accuracy"]})
    text = digest_of_weights(network)[:16]
    module = ClassifierFeatures(network, "classifier").to(accelerator.device)
    name = "classifier"
    return Extractor(module, "features", "logits", name, text, data.channels)


def common_folder() -> Path:
    """Where statistics of real images are kept for all runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fewshot-nas" / "metric"
