"""Settings of trainings: of supernets, of their regions, and of networks from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

from fewshot_core.plugins import make_default
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.places import is_local_model, local_model, stock_place, weights_place
from fewshot_core.recipe.stock_names import check_rivals, check_start, is_tuned

FINE_TUNING = ("layer_decay", "head_epochs", "freeze_norm")
"""Settings of retraining that make sense only where weights are learned already."""

TEACHER = "any timm model with weights for the same classes, as for create_model: local-dir:FOLDER"
"""The help text of the field that names a teacher."""


@dataclass(frozen=True)
class PathSettings:
    """How training picks an architecture for a step; each policy adds its own settings."""

    kind: ClassVar[str] = "paths"
    shorthand: ClassVar[str] = "policy"
    policy: str = setting("", "which policy: {names}")
    together: int = setting(
        1,
        "Architectures of a step, each on a part of the batch of its own; 1: the whole batch for "
        "each. Many at once keep a GPU busy, where a supernet of cells computes them in one "
        "program.",
        low=1,
    )

    @property
    def teaches(self) -> bool:
        """Whether the first architecture of a step teaches the others."""
        return False


@dataclass(frozen=True)
class TrainingSettings:
    """Budget, optimiser and teacher of one training."""

    section: ClassVar[str] = "training"
    """The section of a recipe that holds it, for messages."""

    epochs: float = setting(
        10.0,
        "Passes over the training images; every path of a step counts, so that policies with "
        "several paths per step see the same number of images.",
        above=0,
    )
    batch_size: int = setting(64, low=1)
    micro_batch: int | None = setting(
        None,
        "Images that pass through a classifier at a time on one device, their gradients "
        "accumulated; batch norm sees no more than these. none: the whole batch. Less takes less "
        "memory.",
        low=2,
    )
    optimizer: str = setting("sgd", "any optimiser name of timm; sgd is Nesterov")
    lr: float = setting(0.1, above=0)
    min_lr: float = setting(0.0, low=0)
    warmup_epochs: float = setting(0.0, low=0)
    momentum: float = setting(0.9, low=0, below=1)
    eps: float | None = setting(None, "of optimisers that have one; none: timm's default", above=0)
    weight_decay: float = setting(5e-4, low=0)
    grad_clip: float | None = setting(5.0, "largest norm of the gradient", above=0)
    label_smoothing: float = setting(
        0.0, "share of the target that all classes get", low=0, below=1
    )
    teacher: str | None = setting(None, TEACHER, place=local_model)
    teacher_weight: float = setting(
        1.0, "of the loss on the teacher's outputs, beside that on labels", low=0
    )

    def check(self, key: str) -> Iterator[str]:
        """A line for each combination that cannot be."""
        for name, limit in (("min_lr", "lr"), ("warmup_epochs", "epochs")):
            value, most = getattr(self, name), getattr(self, limit)
            if value > most:
                yield f"{key}.{name}={value} must not be above {key}.{limit}={most}"


@dataclass(frozen=True)
class SupernetSettings(TrainingSettings):
    """Training of a supernet, the parent or that of a region.

    Where the first architecture of a step teaches the others, it alone learns from the teacher.
    """

    section: ClassVar[str] = "supernet"
    schedule: str = setting(
        "cosine",
        "cosine | complexity; complexity: lr falls early in steps of small architectures and late "
        "in those of large ones (DYNAS, CVPR 2025)",
        choices=("cosine", "complexity"),
    )
    paths: PathSettings = field(default_factory=make_default("paths", "uniform"))

    def check(self, key: str) -> Iterator[str]:
        """A line for each combination that cannot be."""
        yield from super().check(key)
        together = self.paths.together
        if together < 2:
            return
        if self.batch_size % together:
            yield (
                f"{key}.batch_size={self.batch_size} must be a multiple of "
                f"{key}.paths.together={together}: each architecture gets a part of the batch"
            )
        if self.micro_batch is not None:
            yield (
                f"{key}.micro_batch does not go with {key}.paths.together={together}, which takes "
                f"{self.batch_size // together} images at a time"
            )


@dataclass(frozen=True)
class ParentSettings(SupernetSettings):
    """Training of the parent supernet."""

    epochs: float = setting(
        10.0,
        "Passes over the training images; every path of a step counts, so that policies with "
        "several paths per step see the same number of images. 0: weights are scored as they are.",
        low=0,
    )
    weights: str | None = setting(
        None,
        "Pretrained weights to start from: a file, an address, or a published name "
        "(docs/pretrained.md).",
        place=weights_place,
    )

    def check(self, key: str) -> Iterator[str]:
        """A line for each combination that cannot be."""
        yield from super().check(key)
        if not self.epochs and not self.weights:
            yield f"{key}.epochs=0 trains nothing: it must be above 0 without {key}.weights"


@dataclass(frozen=True)
class RegionSettings(SupernetSettings):
    """Training of the sub-supernets, one per region of the partition.

    Without ``inherit`` the parent is not trained, unless the split looks at it.
    """

    section: ClassVar[str] = "regions"
    inherit: bool = setting(True, "start from the parent's weights")


@dataclass(frozen=True)
class RetrainSettings(TrainingSettings):
    """Training of what the search found, and of what stands beside it.

    Audits and standalone scores use the same settings, and always start from scratch. Mixup,
    erasing, policies and the moving average are timm's.
    """

    section: ClassVar[str] = "retrain"
    start: str = setting(
        "scratch",
        "scratch | inherited | timm:NAME; inherited: fine-tuned from the weights of the supernet; "
        "timm:NAME: from those of a stock model of the same family, where blocks agree",
        place=stock_place,
    )
    layer_decay: float | None = setting(
        None,
        "of fine-tuning: lr of a layer is that of the layer behind it times this; none: all alike",
        above=0,
        below=1,
    )
    head_epochs: float = setting(
        0.0, "of fine-tuning: epochs at its beginning in which only the classifier learns", low=0
    )
    freeze_norm: bool = setting(
        False, "of fine-tuning: batch norm keeps the statistics that it starts with"
    )

    augment: str | None = setting(None, "timm's policy, such as rand-m9-mstd0.5")
    erase: float = setting(0.0, "share of the images of which a rectangle is erased", low=0, high=1)
    mixup: float = setting(0.0, "alpha of mixup; 0: none", low=0)
    cutmix: float = setting(0.0, "alpha of cutmix; 0: none", low=0)
    ema: float | None = setting(
        None,
        "decay of a moving average of the weights, which is what is kept",
        above=0,
        below=1,
    )
    schedule: str = setting(
        "cosine",
        "cosine | step; step: lr times `decay_rate` every `decay_epochs`",
        choices=("cosine", "step"),
    )
    decay_rate: float = setting(0.97, "step: factor of lr", above=0, high=1)
    decay_epochs: float = setting(2.4, "step: epochs between two of them", above=0)
    # A folder may move. That of a supernet's teacher may not: from= knows supernets by settings.
    teacher: str | None = setting(
        None,
        TEACHER,
        place=local_model,
        changes_results=lambda value: not is_local_model(value),
    )
    seeds: int = setting(1, low=1)
    compare: list[str] = setting(
        ["random", "largest"],
        "what is trained beside the found network: random | largest, by parameters | most-flops | "
        "one-shot | timm:NAME, a stock model fine-tuned from its published weights | "
        "scratch:NAME, the same from scratch | stock | stock-scratch: the "
        "stock model nearest in FLOPs to the found network",
    )
    use_validation: bool = setting(True, "train on the training and validation images together")

    def check(self, key: str) -> Iterator[str]:
        """A line for each combination that cannot be."""
        yield from super().check(key)
        if self.head_epochs > self.epochs:
            all_of_it = f"{key}.epochs={self.epochs}"
            yield f"{key}.head_epochs={self.head_epochs} must not be above {all_of_it}"
        yield from check_start(f"{key}.start", self.start)
        yield from check_rivals(f"{key}.compare", self.compare)
        tuned = [name for name in FINE_TUNING if getattr(self, name)]
        learnt = self.start != "scratch" or any(map(is_tuned, self.compare))
        if tuned and not learnt:
            text = " and ".join(f"{key}.{name}" for name in tuned)
            starts = f"{key}.start=inherited or timm:NAME"
            yield f"{text} are of fine-tuning: set {starts}, or leave them out"
        if (self.mixup or self.cutmix) and self.batch_size % 2:
            yield f"{key}.batch_size={self.batch_size} must be even for mixup and cutmix"

    def from_scratch(self, epochs: float) -> RetrainSettings:
        """The same trainings from scratch, so many passes long: audits and standalone scores."""
        return replace(
            self,
            start="scratch",
            epochs=epochs,
            layer_decay=None,
            head_epochs=0.0,
            freeze_norm=False,
        )
