"""The settings of a run, as plain dataclasses.

A recipe file and the ``key=value`` overrides are merged into these and checked; after loading, the
rest of the program sees nothing but these objects, which cannot be changed:
``dataclasses.replace`` makes another recipe.

Some sections depend on a choice in them: which fields ``strategy`` has depends on
``strategy.name``. The classes here hold what all choices have; each plug-in adds its own fields in
its own file (:mod:`fewshot_core.plugins`). Further sections are the task's own dataclasses
(:class:`fewshot_core.description.Description`), or those of a strategy: :func:`recipe_type`.

A class attribute ``shorthand`` names the field that a bare value means: ``strategy=tpe`` is
``strategy.name=tpe`` and ``split=none`` is ``split.by=none``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from fewshot_core.plugins import make_default, plugin
from fewshot_core.recipe.choosing import AuditSettings, LadderSettings
from fewshot_core.recipe.declare import check_choice, setting
from fewshot_core.recipe.places import (
    database,
    is_local_model,
    local_model,
    place_of_images,
)
from fewshot_core.recipe.tracker_names import PACKAGES
from fewshot_core.recipe.words import check_path

KEYED = ("wds", "hfds")
"""Sources whose images and labels have names."""

ROOTED = ("images", *KEYED)
"""Sources that are a folder or file of the user's."""

SOURCES = ("digits", *ROOTED, "torch/NAME")


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from and how they are prepared."""

    shorthand: ClassVar[str] = "source"
    source: str = setting(
        "digits",
        "digits | images (folder, tar or zip of class folders) | wds (WebDataset shards) | "
        "hfds (Hugging Face data sets) | torch/NAME",
    )
    root: str | None = setting(
        None,
        "The folder or the .tar, .tar.gz or .zip file; wds: also names of shards with "
        "{0000..0099} or *; hfds: also a name on the Hub; torch/NAME: where the download is kept.",
        place=place_of_images,
        changes_results=False,
    )
    test_root: str | None = setting(
        None,
        "test images of their own; else `test` is held out of root",
        place=place_of_images,
        changes_results=False,
    )
    look: bool = setting(
        False,
        "Look at all images before anything else, say what was found, and choose what no recipe "
        "and no word sets (docs/own_images.md).",
        changes_results=False,
    )
    image_key: str | None = setting(
        None, "wds: the image's ending; hfds: its column; none: the only one"
    )
    label_key: str | None = setting(None, "wds: the label's ending or json.FIELD; hfds: its column")
    labelled: bool = setting(
        True,
        "Whether images have classes. Generators do without: then every image of a folder or tar "
        "counts, wherever it lies, and torch/stl10 has its unlabelled images as well.",
    )
    download: bool = setting(
        True, "whether torch/NAME and the Hub may be asked", changes_results=False
    )
    image_size: int | None = setting(None, "pixels; none: the size of the first image", low=1)
    search_size: int | None = setting(
        None,
        "Pixels of the images that supernets see; none: image_size. Half of it makes a search up "
        "to four times cheaper; what is trained from scratch, audited and exported keeps "
        "image_size.",
        low=1,
    )
    validation: float = setting(
        0.2, "share of the training images held out for scoring", above=0, below=1
    )
    test: float = setting(
        0.2, "share held out as test images where the source has no test part", above=0, below=1
    )
    limit: int | None = setting(
        None, "use at most this many training images, the same share per class", low=1
    )
    flip: bool = setting(False, "random horizontal flips")
    pad: int = setting(0, "pixels of random shift", low=0)
    cutout: int = setting(0, "side in pixels of the square that is blanked; 0: none", low=0)
    scale: float = setting(
        1.0,
        "random crops show at least this share of an image, 0.08 in ImageNet; 1: none",
        above=0,
        high=1,
    )
    jitter: float = setting(0.0, "strength of random brightness, contrast and saturation", low=0)
    memory: bool = setting(
        True, "decode all images once; false: read each at every use, by the workers"
    )
    workers: int = setting(0, "processes that make batches ahead", low=0, changes_results=False)

    def check(self, key: str) -> Iterator[str]:
        """A line for each combination that cannot be."""
        name = self.source.removeprefix("torch/")
        if name == self.source or not name:
            yield from check_choice(f"{key}.source", self.source, SOURCES)
        if self.source in ROOTED and self.root is None:
            what = {"wds": "names of shards", "hfds": "name on the Hub"}.get(
                self.source, "tar file of the images"
            )
            yield f"{key}.source={self.source} needs {key}.root, the folder or {what}"
        yield from check_path(f"{key}.root", self.root)
        yield from check_path(f"{key}.test_root", self.test_root)


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
    """Budget and optimiser of one training."""

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

    def check(self, key: str) -> Iterator[str]:
        """A line for each combination that cannot be."""
        for name, limit in (("min_lr", "lr"), ("warmup_epochs", "epochs")):
            value, most = getattr(self, name), getattr(self, limit)
            if value > most:
                yield f"{key}.{name}={value} must not be above {key}.{limit}={most}"


@dataclass(frozen=True)
class SupernetSettings(TrainingSettings):
    """Training of the parent supernet."""

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
class RegionSettings(SupernetSettings):
    """Training of the sub-supernets, one per region of the partition.

    Without ``inherit`` the parent is not trained, unless the split looks at it.
    """

    inherit: bool = setting(True, "start from the parent's weights")


@dataclass(frozen=True)
class SplitLevel:
    """One cut of a region into several; each splitter adds its own settings."""

    kind: ClassVar[str] = "splitter"
    shorthand: ClassVar[str] = "by"
    by: str = setting("", "which splitter: {names}")


@dataclass(frozen=True)
class SplitSettings(SplitLevel):
    """The partition; ``then`` cuts every region again, level by level."""

    when: str = setting(
        "auto",
        "auto | always | never; auto: split if the budget is one at which it pays "
        "(docs/ranking.md). Without a split the supernet gets the epochs of the regions as well.",
        choices=("auto", "always", "never"),
    )
    then: list[SplitLevel] = setting([], "further cuts of every region, level by level")


@dataclass(frozen=True)
class EvaluatorSettings:
    """How an architecture gets its score during search; each evaluator adds its own settings."""

    kind: ClassVar[str] = "evaluator"
    shorthand: ClassVar[str] = "name"
    name: str = setting("", "which evaluator: {names}")
    batch_size: int = setting(
        256, "images that are scored at a time; naswot: its one batch has at most 64", low=1
    )


@dataclass(frozen=True)
class MeasuringSettings(EvaluatorSettings):
    """What evaluators have that measure networks on validation images."""

    score: str = setting("accuracy", "one of the metrics that the task measures")
    images: int | None = setting(None, "validation images used; none: all", low=1)


@dataclass(frozen=True)
class InheritingSettings(MeasuringSettings):
    """What evaluators have that score networks with the weights of supernets."""

    recalibrate: int = setting(
        256,
        "training images for batch-norm recalibration; 0: running statistics",
        low=0,
    )
    share_equal: bool = setting(True, "architectures with one canonical form share one score")


def scored_images(evaluator: EvaluatorSettings) -> int | None:
    """How many validation images a score is measured on; None: all of them."""
    return evaluator.images if isinstance(evaluator, MeasuringSettings) else None


def recalibration_images(evaluator: EvaluatorSettings) -> int:
    """How many training images batch norm is measured anew with; 0 where no supernet is scored."""
    return evaluator.recalibrate if isinstance(evaluator, InheritingSettings) else 0


@dataclass(frozen=True)
class StrategySettings:
    """Who asks next; each strategy adds its own settings (--list-strategies says what they are)."""

    kind: ClassVar[str] = "strategy"
    shorthand: ClassVar[str] = "name"
    name: str = setting("", "which strategy: {names}")


@dataclass(frozen=True)
class PreferenceSettings:
    """How differentiable strategies learn what they prefer; each adds its own settings."""

    share: float = setting(
        0.5, "share of the training images that preferences are learned on", above=0, below=1
    )
    lr: float | None = setting(
        None,
        "Step size of Adam. none: 20 divided by the number of steps, of enas 0.7, at most 0.1, so "
        "that preferences move in a short training, too. DARTS has 3e-4 for 19,500 steps, ENAS "
        "3.5e-4.",
        above=0,
    )


@dataclass(frozen=True)
class SearchSettings:
    """Length of the search and where its study is kept."""

    trials: int = setting(
        200,
        "Evaluations; one with a part of the budget counts as what it costs. An architecture that "
        "was scored before is not scored again, and counts.",
        low=1,
    )
    storage: str | None = setting(
        None,
        "Any database URL of Optuna, for one or several launches; none: study.log in the run "
        "folder.",
        place=database,
    )
    silence: float = setting(
        120.0,
        "storage: seconds after which the trial of a silent launch is handed on",
        low=1,
        changes_results=False,
    )


@dataclass(frozen=True)
class ConstraintSettings:
    """Upper limits that every scored architecture satisfies."""

    flops: float | None = setting(
        None,
        "multiply-adds of convolutions and linear layers for one image",
        above=0,
        size=True,
    )
    params: float | None = setting(None, "numbers that are trained", above=0, size=True)
    latency: float | None = setting(
        None, "ms for one image on this device, by a table measured once", above=0
    )


@dataclass(frozen=True)
class RetrainSettings(TrainingSettings):
    """Training from scratch of what the search found, and of what stands beside it.

    Audits and standalone scores use the same settings. Mixup, erasing, policies and the moving
    average are timm's.
    """

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
    teacher: str | None = setting(
        None,
        "any timm model with weights, as for create_model: local-dir:FOLDER",
        place=local_model,
        changes_results=lambda value: not is_local_model(value),
    )
    teacher_weight: float = setting(
        1.0, "of the loss on the teacher's outputs, beside that on labels", low=0
    )
    seeds: int = setting(1, low=1)
    compare: list[str] = setting(
        ["random", "largest"],
        "what is trained beside the found network",
        choices=("random", "largest", "one-shot"),
    )
    use_validation: bool = setting(True, "train on the training and validation images together")

    def check(self, key: str) -> Iterator[str]:
        """A line for each combination that cannot be."""
        yield from super().check(key)
        if (self.mixup or self.cutmix) and self.batch_size % 2:
            yield f"{key}.batch_size={self.batch_size} must be even for mixup and cutmix"


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a run."""

    recipe: str = setting("", "the name of the recipe; files need not say it")
    description: str = setting("", "what it is, its first line for lists", changes_results=False)
    task: str = setting("cifar10", "a folder of tasks, or package.module:TASK of your own")
    seed: int = setting(0, low=0)
    precision: str | None = setting(
        None,
        "no | bf16 | fp16 | auto; none: what `accelerate launch` says",
        choices=("no", "bf16", "fp16", "auto"),
    )
    channels_last: bool = setting(False, "memory layout of the weights; faster from 16 channels on")
    threads: int | None = setting(
        None, "CPU threads of a process; none: the cores shared out", low=1
    )
    processes: str = setting(
        "data",
        "What several processes do: train every supernet together (data), or each its own "
        "sub-supernets (regions), which are then bit for bit those of one process.",
        choices=("data", "regions"),
        changes_results=False,
    )
    checkpoint_steps: int = setting(
        200, "training steps from one checkpoint to the next", low=1, changes_results=False
    )
    estimate: bool = setting(
        False,
        "time two steps before a run begins, and say what all will take",
        changes_results=False,
    )
    grace_seconds: float = setting(
        25.0,
        "Seconds from SIGTERM to the end of the process, with a checkpoint where a step ends in "
        "time; SLURM and Kubernetes kill after 30.",
        low=0,
        changes_results=False,
    )
    track: list[str] = setting(
        [],
        "Who else is told losses, scores, test results and pictures: tensorboard, or several in "
        "brackets, [tensorboard,wandb] (docs/comparing.md)",
        choices=tuple(PACKAGES),
        changes_results=False,
        bare=True,
    )
    data: DataSettings = field(default_factory=DataSettings)
    supernet: SupernetSettings = field(default_factory=SupernetSettings)
    split: SplitSettings = field(default_factory=lambda: default_split())
    regions: RegionSettings = field(default_factory=RegionSettings)
    evaluator: EvaluatorSettings = field(default_factory=make_default("evaluator", "inherited"))
    strategy: StrategySettings = field(default_factory=make_default("strategy", "rea"))
    search: SearchSettings = field(default_factory=SearchSettings)
    constraint: ConstraintSettings = field(default_factory=ConstraintSettings)
    ladder: LadderSettings = field(default_factory=LadderSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    retrain: RetrainSettings = field(default_factory=RetrainSettings)

    if TYPE_CHECKING:  # the sections that `recipe_type` adds

        def __getattr__(self, name: str) -> Any: ...


def recipe_type(sections: Mapping[str, type]) -> type[Recipe]:
    """The class of recipes that have further sections, each with the defaults of its dataclass."""
    return _recipe_type(tuple(sections.items())) if sections else Recipe


@cache
def _recipe_type(sections: tuple[tuple[str, type], ...]) -> type[Recipe]:
    more = [(name, kind, field(default_factory=kind)) for name, kind in sections]
    return make_dataclass("Recipe", more, bases=(Recipe,), frozen=True)


@cache
def split_type(level: type) -> type[SplitSettings]:
    """The class of the section ``split`` whose splitter has the settings ``level``."""
    return make_dataclass(level.__name__, [], bases=(level, SplitSettings), frozen=True)


def default_split(name: str = "none") -> SplitSettings:
    """The section ``split`` with the defaults of a splitter."""
    return split_type(plugin("splitter", name).settings)(by=name)
