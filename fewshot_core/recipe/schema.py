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
    place_of_images,
)
from fewshot_core.recipe.tracker_names import PACKAGES
from fewshot_core.recipe.trainings import ParentSettings, RegionSettings, RetrainSettings
from fewshot_core.recipe.words import check_path

KEYED = ("wds", "hfds")
"""Sources whose images and labels have names."""

ROOTED = ("images", *KEYED)
"""Sources that are a folder or file of the user's."""

BUNDLED = ("digits", "cluttered_digits")
"""Sources that need no folder and no network: scikit-learn brings their images."""

SOURCES = (*BUNDLED, *ROOTED, "torch/NAME")


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from and how they are prepared."""

    shorthand: ClassVar[str] = "source"
    source: str = setting(
        "digits",
        "digits | cluttered_digits | images (folder, tar or zip of class folders) | "
        "wds (WebDataset shards) | hfds (Hugging Face data sets) | torch/NAME",
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
    budget: float | None = setting(
        None,
        "Passes over the training images that everything the search trains may take. How they are "
        "spent is then chosen by a rule (docs/ladder.md), against the recipe; what is given with "
        "it or after it stays. none: as the recipe says.",
        above=0,
    )
    storage: str | None = setting(
        None,
        "Any database URL of Optuna, for one or several launches; none: study.log in the run "
        "folder.",
        place=database,
    )
    noise: float = setting(
        1.0,
        "Of the scores that are at most so many standard errors below the best the cheapest "
        "network is found. The error is known of accuracies, by the number of validation images, "
        "and of no other score. 0: the highest score is found.",
        low=0,
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
    supernet: ParentSettings = field(default_factory=ParentSettings)
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
