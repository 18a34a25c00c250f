"""The settings of a run, as plain dataclasses.

A recipe file and the ``key=value`` overrides are merged into these and checked; after loading, the
rest of the program sees nothing but these objects. The sections of :data:`TASK_SECTIONS` are the
task's own dataclasses (channels, depth, ...): see :class:`fewshot_core.task.Task`.

A class attribute ``shorthand`` names the field that a bare value means: ``strategy=tpe`` is
``strategy.name=tpe`` and ``split=none`` is ``split.by=none``. A field that is a path, or changes no
result, is a :func:`setting`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.places import (
    absolute,
    database,
    is_local_model,
    local_model,
    place_of_images,
)

TASK_SECTIONS = ("network", "gan", "metric")
"""Sections whose dataclasses are the task's own; a task that has none leaves a section out."""


@dataclass
class DataSettings:
    """Where the images come from and how they are prepared."""

    shorthand: ClassVar[str] = "source"
    # digits | images (folder or tar of class folders) | wds (WebDataset shards) |
    # hfds (Hugging Face data sets) | torch/NAME
    source: str = "digits"
    # The folder or tar file; wds: also names of shards with {0000..0099} or *; hfds: also a name
    # on the Hub; torch/NAME: where the download is kept.
    root: str | None = setting(None, place=place_of_images, changes_results=False)
    # test images of their own; else `test` is held out of root
    test_root: str | None = setting(None, place=place_of_images, changes_results=False)
    image_key: str | None = None  # wds: the image's ending; hfds: its column; none: the only one
    label_key: str | None = None  # wds: the label's ending or json.FIELD; hfds: its column
    # Whether images have classes. Generators do without: then every image of a folder or tar
    # counts, wherever it lies, and torch/stl10 has its unlabelled images as well.
    labelled: bool = True
    download: bool = setting(True, changes_results=False)
    image_size: int | None = None  # pixels; none: the size of the first image
    # Pixels of the images that supernets see; none: image_size. Half of it makes a search up to
    # four times cheaper; what is trained from scratch, audited and exported keeps image_size.
    search_size: int | None = None
    validation: float = 0.2  # share of the training images held out for scoring
    test: float = 0.2  # share held out as test images where the source has no test part
    limit: int | None = None  # use at most this many training images, the same share per class
    flip: bool = False  # random horizontal flips
    pad: int = 0  # pixels of random shift
    cutout: int = 0  # side in pixels of the square that is blanked; 0: none
    scale: float = (
        1.0  # random crops show at least this share of an image, 0.08 in ImageNet; 1: none
    )
    jitter: float = 0.0  # strength of random brightness, contrast and saturation
    memory: bool = True  # decode all images once; false: read each at every use, by the workers
    workers: int = setting(0, changes_results=False)  # processes that make batches ahead


@dataclass
class PathSettings:
    """How training picks an architecture for a step."""

    shorthand: ClassVar[str] = "policy"
    policy: str = "uniform"  # uniform | fair | balanced | sandwich | cost
    feature: str = "nonlinear"  # what `balanced` balances over
    count: int = 4  # sandwich: architectures of a step, the largest and the smallest among them
    distill: bool = True  # sandwich: the largest learns from labels, the others from its outputs
    low: float | None = None  # cost: FLOPs that are drawn from; none: what the region has
    high: float | None = None
    # Architectures of a step, each on a part of the batch of its own; 1: the whole batch for each.
    # Many at once keep a GPU busy, where a supernet of cells computes them in one program.
    together: int = 1


@dataclass
class TrainingSettings:
    """Budget and optimiser of one training."""

    # Passes over the training images; every path of a step counts, so that policies with several
    # paths per step see the same number of images.
    epochs: float = 10.0
    batch_size: int = 64
    # Images that pass through a classifier at a time on one device, their gradients accumulated;
    # batch norm sees no more than these. none: the whole batch. Less takes less memory.
    micro_batch: int | None = None
    optimizer: str = "sgd"  # any optimiser name of timm; sgd is Nesterov
    lr: float = 0.1
    min_lr: float = 0.0
    warmup_epochs: float = 0.0
    momentum: float = 0.9
    eps: float | None = None  # of optimisers that have one; none: timm's default
    weight_decay: float = 5e-4
    grad_clip: float | None = 5.0  # largest norm of the gradient
    label_smoothing: float = 0.0


@dataclass
class SupernetSettings(TrainingSettings):
    """Training of the parent supernet."""

    paths: PathSettings = field(default_factory=PathSettings)


@dataclass
class RegionSettings(SupernetSettings):
    """Training of the sub-supernets, one per region of the partition.

    Without ``inherit`` the parent is not trained, unless the split looks at it.
    """

    inherit: bool = True  # start from the parent's weights


@dataclass
class SplitLevel:
    """One cut of a region into several."""

    shorthand: ClassVar[str] = "by"
    by: str = "none"  # none | decision | groups | bands | random | gradients
    decision: str | None = None  # for decision, groups
    groups: list[list[Any]] = field(default_factory=list)  # for groups: the options of each region
    feature: str | None = None  # for bands
    cuts: list[float] = field(default_factory=list)  # for bands: each is the start of a new band
    count: int = 2  # for random, gradients: number of regions
    samples: int = 32  # for gradients: architectures that every option is tried in


@dataclass
class SplitSettings(SplitLevel):
    """The partition; ``then`` cuts every region again, level by level."""

    # auto | always | never; auto: split if the budget is one at which it pays (docs/ranking.md).
    # Without a split the supernet gets the epochs of the regions as well.
    when: str = "auto"
    then: list[SplitLevel] = field(default_factory=list)


@dataclass
class EvaluatorSettings:
    """How an architecture gets its score during search."""

    shorthand: ClassVar[str] = "name"
    name: str = "inherited"  # inherited | predictor | standalone | table | synflow | naswot
    score: str = "accuracy"  # accuracy | loss; autogan: is | fid | reward
    recalibrate: int = 256  # training images for batch-norm recalibration; 0: running statistics
    images: int | None = None  # validation images used; none: all
    batch_size: int = 256  # naswot: its one batch of training images has at most 64
    share_equal: bool = True  # architectures with one canonical form share one score
    samples: int = 300  # predictor: architectures scored by supernets, which it learns from
    epochs: float = 5.0  # standalone: passes over the training images, other settings of `retrain`
    # table: a CSV with a column `architecture` (or `arch`)
    table: str | None = setting(None, place=absolute, changes_results=False)
    column: str = "score"


@dataclass
class StrategySettings:
    """Who asks next; `--list-strategies` says what each is."""

    shorthand: ClassVar[str] = "name"
    # random | rea | reinforce | multilevel | hyperband | bohb | smac | tpe | nsga2
    name: str = "rea"
    population: int = 30  # rea, nsga2: architectures alive
    sample: int = 10  # rea: tournament size
    lr: float = 0.1  # reinforce, multilevel: step size of Adam
    decay: float = 0.9  # reinforce: of the average of earlier scores
    eta: int = 3  # hyperband, bohb: so many compete for one place at the next budget
    # hyperband, bohb: smallest share of the images of a score (validation images; of generators
    # those they make), or of the epochs of standalone training. Other evaluators know one budget,
    # and these strategies then have nothing to promote.
    least: float = 0.11
    random_share: float = 0.33  # bohb: architectures drawn at random all the same
    hidden: int = 100  # multilevel: size of the controllers
    entropy: float = 1e-3  # multilevel: weight of the entropy of their choices
    level_trials: int = 100  # multilevel: that a controller learns from; the last to the end
    candidates: int = 10  # multilevel: that a controller draws when it has learnt
    beam: int = 5  # multilevel: best of them that the next level starts from


@dataclass
class PreferenceSettings:
    """How `darts`, `pcdarts`, `enas` and `setn` learn what they prefer."""

    share: float = 0.5  # share of the training images that preferences are learned on
    # Step size of Adam. none: 20 divided by the number of steps, of enas 0.7, at most 0.1, so that
    # preferences move in a short training, too. DARTS has 3e-4 for 19,500 steps, ENAS 3.5e-4.
    lr: float | None = None
    weight_decay: float = 1e-3  # darts, pcdarts, setn
    order: int = 1  # darts: 2 looks one step of the weights ahead
    partial: int = 4  # pcdarts: operations see one of so many channels
    start: float = 0.3  # pcdarts: share of the training before preferences move
    hidden: int = 64  # enas: size of the controller
    entropy: float = 1e-4  # enas: weight of the entropy of its choices
    decay: float = 0.95  # enas: of the moving average that rewards are compared with
    samples: int = 50  # enas, setn: architectures drawn and scored in the end, per region


@dataclass
class SearchSettings:
    """Length of the search and where its study is kept."""

    # Evaluations; one with a part of the budget counts as what it costs. An architecture that was
    # scored before is not scored again, and counts.
    trials: int = 200
    # Any database URL of Optuna, for one or several launches; none: study.log in the run folder.
    storage: str | None = setting(None, place=database)
    # storage: seconds after which the trial of a silent launch is handed on
    silence: float = setting(120.0, changes_results=False)


@dataclass
class ConstraintSettings:
    """Upper limits that every scored architecture satisfies."""

    flops: float | None = None  # multiply-adds of convolutions and linear layers for one image
    params: float | None = None
    latency: float | None = None  # ms for one image on this device, by a table measured once


@dataclass
class RetrainSettings(TrainingSettings):
    """Training from scratch of what the search found, and of what stands beside it.

    Audits and standalone scores use the same settings. Mixup, erasing, policies and the moving
    average are timm's.
    """

    augment: str | None = None  # timm's policy, such as rand-m9-mstd0.5
    erase: float = 0.0  # share of the images of which a rectangle is erased
    mixup: float = 0.0  # alpha of mixup; 0: none
    cutmix: float = 0.0  # alpha of cutmix; 0: none
    ema: float | None = None  # decay of a moving average of the weights, which is what is kept
    schedule: str = "cosine"  # cosine | step; step: lr times `decay_rate` every `decay_epochs`
    decay_rate: float = 0.97
    decay_epochs: float = 2.4
    # any timm model with weights, as for create_model: local-dir:FOLDER
    teacher: str | None = setting(
        None, place=local_model, changes_results=lambda value: not is_local_model(value)
    )
    teacher_weight: float = 1.0  # of the loss on the teacher's outputs, beside that on labels

    seeds: int = 1
    compare: list[str] = field(default_factory=lambda: ["random", "largest"])
    use_validation: bool = True  # train on the training and validation images together


@dataclass
class AuditSettings:
    """Standalone trainings that show whether the supernet's scores can be trusted."""

    networks: int = 0  # trained; fewer than 8 show nothing. 0: no audit
    epochs: float = 5.0  # passes over the training images, other settings of `retrain`
    # Random architectures scored beside the search's, whose trials at one cost are few. With
    # evaluator=standalone there are none, because each would be one more training.
    candidates: int = 100


@dataclass
class Recipe:
    """Everything that determines a run."""

    recipe: str = ""
    description: str = setting("", changes_results=False)
    task: str = "cifar10"
    seed: int = 0
    precision: str | None = None  # no | bf16 | fp16 | auto; none: what `accelerate launch` says
    channels_last: bool = False  # memory layout of the weights; faster from 16 channels on
    threads: int | None = None  # CPU threads of a process; none: the cores shared out
    # What several processes do: train every supernet together (data), or each its own sub-supernets
    # (regions), which are then bit for bit those of one process.
    processes: str = setting("data", changes_results=False)
    checkpoint_steps: int = setting(200, changes_results=False)
    # time two steps before a run begins, and say what all will take
    estimate: bool = setting(False, changes_results=False)
    # Seconds from SIGTERM to the end of the process, with a checkpoint where a step ends in time;
    # SLURM and Kubernetes kill after 30.
    grace_seconds: float = setting(25.0, changes_results=False)
    data: DataSettings = field(default_factory=DataSettings)
    network: Any = None  # the task's own settings
    gan: Any = None  # the task's own settings of adversarial training, if any
    metric: Any = None  # the task's own settings of its metric, if any
    supernet: SupernetSettings = field(default_factory=SupernetSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    regions: RegionSettings = field(default_factory=RegionSettings)
    evaluator: EvaluatorSettings = field(default_factory=EvaluatorSettings)
    strategy: StrategySettings = field(default_factory=StrategySettings)
    preferences: PreferenceSettings = field(default_factory=PreferenceSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    constraint: ConstraintSettings = field(default_factory=ConstraintSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    retrain: RetrainSettings = field(default_factory=RetrainSettings)
