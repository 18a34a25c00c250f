"""What every tool needs of a run: recipe, task, data, costs, supernets, and where they live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from fewshot_core.costs.latency import with_latency
from fewshot_core.costs.table import Constraint, CostTable, Limits, feasible
from fewshot_core.data import BatchStream, ImageData, Images, ImageShape
from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.errors import RecipeError
from fewshot_core.evaluators import (
    Evaluator,
    InheritedEvaluator,
    TabularEvaluator,
)
from fewshot_core.evaluators.agreed import AgreedEvaluator, agreed
from fewshot_core.evaluators.inherited import representative
from fewshot_core.evaluators.standalone import StandaloneEvaluator
from fewshot_core.metrics import Metric
from fewshot_core.pipeline.images import ImageFacts, facts_of, open_images
from fewshot_core.pipeline.latency import measured_latency
from fewshot_core.pipeline.processes import Team, make_accelerator, worker
from fewshot_core.pipeline.standalone import (
    proxy_evaluator,
    standalone_score,
    train_standalone,
)
from fewshot_core.pipeline.streams import training_stream
from fewshot_core.pipeline.study_name import study_name
from fewshot_core.pipeline.telling import tell_surroundings
from fewshot_core.recipe.check import DIFFERENTIABLE, INHERITING, PROXIES
from fewshot_core.recipe.load import with_changes
from fewshot_core.recipe.schema import (
    Recipe,
    SplitLevel,
    SupernetSettings,
    TrainingSettings,
)
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.console import Console
from fewshot_core.runs.farewell import is_main_process
from fewshot_core.runs.files import read_json, write_json
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.launch import settle_launch, world_size
from fewshot_core.runs.origin import origin
from fewshot_core.runs.places import named_run
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.search.strategies import Strategy, make_strategy
from fewshot_core.search.trial import Price
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.paths import PathPolicy, make_paths
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.split_rule import SPLITTING, SplitDecision, decide_split, read_splitting
from fewshot_core.spaces.splitters import LEARNED, Splitter, grow_tree
from fewshot_core.supernet import Supernet
from fewshot_core.supernet.gradients import ByGradients
from fewshot_core.task import Task
from fewshot_core.tasks import load_task
from fewshot_core.training.loop import Stage, Watch, steps_for, train
from fewshot_core.training.objective import Scorer

LATENCY = "latency.json"
"""The file of a run folder that keeps the latencies measured."""

FRONT_COST = "connected_flops"
"""The cost that a Pareto front is about: the one that users limit most."""


def price_in(session: Session) -> Price:
    """What decides between architectures of equal score in a run: the cheaper one is found."""
    return lambda architecture: session.limits.price(session.costs.costs(architecture))


@dataclass
class Session:
    """An opened run."""

    recipe: Recipe
    folder: RunFolder
    accelerator: Accelerator
    console: Console
    stop: StopRequest = field(default_factory=StopRequest)
    diverged: dict[Region, str] = field(default_factory=dict)  # leaves without a supernet, and why
    changes: tuple[str, ...] = ()  # words of this launch that change a setting, and no result
    _tree: RegionTree | None = field(default=None, init=False)

    @classmethod
    def attach(
        cls, options: Mapping[str, Any], *, many: bool = False, computes: bool = True
    ) -> Session:
        """Open the run that ``run=DIR`` names, or ``runs/NAME`` for ``recipe=NAME``.

        Args:
            options: The words of the tool.
            many: Whether the tool can share its work among processes.
            computes: Whether it trains or scores.

        Raises:
            RunFolderError: There is no run at this place, or it is in use.
            RecipeError: More processes than the tool can use.
            LaunchError: The environment describes processes that no launcher has started.
        """
        settle_launch()
        if not many and world_size() > 1:
            raise RecipeError(
                "this tool uses one process",
                found=f"{world_size()} processes",
                fix="start it with python instead of accelerate launch",
            )
        run = named_run(options)
        folder, recipe = RunFolder.attach(run, is_main_process())
        words = tuple(options.get("settings") or ())
        if words:
            recipe = with_changes(recipe, words)
        accelerator = make_accelerator(recipe, run, computes)
        console = Console(accelerator.is_main_process)
        session = cls(recipe, folder, accelerator, console, changes=words)
        if computes:
            tell_surroundings(session)
        return session

    def keep_changes(self) -> None:
        """Let the run folder have the settings of this launch, now that they are known to do."""
        if self.changes:
            self.folder.apply(self.recipe, self.changes)

    @cached_property
    def team(self) -> Team:
        """Who does which part of the work."""
        return Team(self.accelerator, self.recipe.processes == "regions")

    @cached_property
    def worker(self) -> Accelerator:
        """What trainings and scores run on: all processes of the launch, or this one alone."""
        return worker(self.recipe, self.accelerator)

    @cached_property
    def task(self) -> Task:
        """The task."""
        task: Task = load_task(self.recipe.task)
        return task

    @cached_property
    def root(self) -> Region:
        """The whole space."""
        return Region.root(self.task.space(self.recipe))

    @cached_property
    def splitting(self) -> SplitDecision:
        """Whether the supernet is split, as decided when the run began."""
        if self.folder.file(SPLITTING).exists():
            return read_splitting(self.folder.path)
        if self.folder.file("regions.json").exists():  # a run older than this decision
            return SplitDecision(self.recipe.split.by != "none", self.recipe.supernet.epochs)
        regions = self.recipe.split.count if self.split_is_learned else len(self._grow().leaves())
        # The images are read for the rule that looks at them, and for no other.
        images = len(self.data.train) if regions > 1 and self.recipe.split.when == "auto" else 0
        return decide_split(self.recipe, regions, self.root, images)

    @property
    def split_is_learned(self) -> bool:
        """Whether the regions depend on the trained parent supernet."""
        return self.recipe.split.by in LEARNED

    @property
    def tree(self) -> RegionTree:
        """The regions; of a learned split the root alone until :meth:`cut`, and without a split."""
        if self._tree is None:
            path = self.folder.file("regions.json")
            if not self.splitting.split:
                self._tree = RegionTree(self.root)
            elif not self.split_is_learned:
                self._tree = self._grow()
            elif path.exists():
                found = read_json(path, "delete it, and run the same tools/search.py again")
                self._tree = RegionTree.from_json(self.root.space, found)
            else:
                self._tree = RegionTree(self.root)
        return self._tree

    def cut(self) -> None:
        """Decide the regions of a learned split, once, with the trained supernet of the root."""
        if not (self.splitting.split and self.split_is_learned) or self.tree.children:
            return
        found: list[Any] = [None]
        if self.accelerator.is_main_process:
            found = [self._grow(self.load_supernet(self.root)).to_json()]
        # Rounding may differ between processes; the main one decides.
        self._tree = RegionTree.from_json(self.root.space, broadcast_object_list(found)[0])
        if self.folder.main:
            write_json(self.folder.file("regions.json"), self._tree.to_json())

    def _grow(self, parent: Supernet | None = None) -> RegionTree:
        def learned(level: SplitLevel, seed: int) -> Splitter:
            assert parent is not None
            stream = self.stream(self.search_data.train, self.recipe.supernet, seed)
            device = self.worker.device

            def loss(model: Supernet, architecture: Architecture, sample: int) -> Tensor:
                images, targets = stream.batch(sample)
                batch = (images.to(device), targets.to(device))
                return self.task.loss(model, batch, architecture, self.worker)

            return ByGradients(parent, loss, level.count, level.samples, seed)

        seed = derive_seed(self.recipe.seed, "split")
        return grow_tree(self.root, self.recipe.split, seed, learned)

    @cached_property
    def data(self) -> ImageData:
        """The images; test images are read when they are asked for.

        Raises:
            DataError: They cannot be read, or are not those that the run began with.
        """
        return open_images(self)

    @property
    def facts(self) -> ImageFacts:
        """What there is to know of the images without reading them, where the run has kept it."""
        return facts_of(self)

    @cached_property
    def shape(self) -> ImageShape:
        """What networks have to know of the images."""
        return self.facts.shape

    def normalised(self, data: ImageData) -> ImageData:
        """The images, to be normalised as the task wants it."""
        if self.task.normalisation is None:
            return data
        mean, std = ((value,) * data.channels for value in self.task.normalisation)
        return replace(data, mean=mean, std=std)

    @cached_property
    def search_data(self) -> ImageData:
        """The images as supernets see them."""
        size = self.recipe.data.search_size
        return self.data if size is None else self.data.resized(size)

    @cached_property
    def costs(self) -> CostTable:
        """The cost table; with latencies where they are limited."""
        table = self.task.costs(self.recipe, self.shape)
        return table if self.latency is None else with_latency(table, self.latency)

    @cached_property
    def latency(self) -> dict[str, Any] | None:
        """What the parts of networks take on this device; measured where a run begins."""
        if self.recipe.constraint.latency is None:
            return None
        path = self.folder.file(LATENCY)
        if path.exists():
            found: dict[str, Any] = read_json(path, "delete it: the latencies are measured again")
            return found
        return measured_latency(self)

    @cached_property
    def study_name(self) -> str:
        """See :func:`fewshot_core.pipeline.study_name.study_name`."""
        return study_name(self)

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What the weights of this run's supernets depend on."""
        precision = self.accelerator.mixed_precision
        return origin(self.recipe, precision, self.data.inventory().digest)

    @property
    def limits(self) -> Limits:
        """The constraint."""
        constraint = self.recipe.constraint
        return Limits(constraint.flops, constraint.params, constraint.latency)

    def front_cost(self, architecture: Architecture) -> float:
        """The cost that paths, fronts and audits are about."""
        return self.costs.costs(architecture)[FRONT_COST]

    def accepts(self) -> Constraint:
        """Whether an architecture satisfies the constraint."""
        return feasible(self.costs, self.limits)

    def searchable(self) -> Constraint:
        """Whether an architecture satisfies the constraint and its region has a supernet."""
        if not self.diverged:
            return self.accepts()
        return Constraint(self.costs, self.limits, lambda a: self.scored_in(a) in self.diverged)

    def strategy(self, budgets: bool) -> Strategy:
        """The strategy of the recipe, new.

        Args:
            budgets: Whether it may ask for scores with a part of the budget.
        """
        return make_strategy(
            self.recipe.strategy,
            self.root,
            self.searchable(),
            budgets=budgets,
            cost=self.front_cost,
        )

    # -- training ----------------------------------------------------------------------------

    def stream(
        self, images: Images, settings: TrainingSettings, seed: int
    ) -> BatchStream | PrefetchedStream:
        """Training batches of this process."""
        tell = self.console.print
        return training_stream(self.recipe, self.data, images, settings, seed, self.worker, tell)

    def build(self, make: Callable[[], nn.Module], seed: int) -> nn.Module:
        """Build a module whose initial weights depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = make()
        # Convolutions hand the layout of their weights on, so the images need no conversion.
        return model.to(memory_format=torch.channels_last) if self.recipe.channels_last else model

    def fit(
        self,
        name: str,
        model: nn.Module,
        settings: TrainingSettings,
        images: Images,
        checkpoint: StageCheckpoint,
        seed: int,
        paths: PathPolicy | None = None,
        watch: Watch | None = None,
    ) -> StageState:
        """Train a model, or load it where it is already trained."""
        per_step = paths.paths_per_step if paths else 1
        steps = steps_for(settings, len(images), per_step)
        return train(
            Stage(name, steps, seed, self.recipe.checkpoint_steps),
            model,
            lambda prepared: self.task.objective(prepared, settings, steps, self.worker),
            self.stream(images, settings, seed),
            paths,
            checkpoint,
            self.worker,
            self.console,
            watch=watch,
            stop=self.stop,
        )

    def prepare_scorers(self) -> None:
        """Where processes work apart: the main one makes what scores need, the others find it."""
        if self.team.apart:
            with self.accelerator.main_process_first():
                self.scorer(self.recipe, self.data, "validation")
                if self.search_data is not self.data:
                    self.scorer(self.recipe, self.search_data, "validation")

    def scorer(self, recipe: Recipe, data: ImageData, part: str) -> Scorer:
        """The task's scorer of a part of the images."""
        return self.task.scorer(recipe, data, part, self.worker, self.folder.file("metric"))

    def settings_of(self, region: Region) -> SupernetSettings:
        """How the supernet of a region is trained."""
        if region != self.root:
            return self.recipe.regions
        return replace(self.recipe.supernet, epochs=self.splitting.parent_epochs)

    def new_supernet(self, region: Region) -> Supernet:
        """A supernet of a region with fresh weights."""
        seed = derive_seed(self.recipe.seed, "supernet", region.id)
        recipe, shape = self.recipe, self.search_data.shape
        partial = recipe.preferences.partial if recipe.strategy.name == "pcdarts" else 1
        model = self.build(lambda: self.task.supernet(region, recipe, shape, partial=partial), seed)
        assert isinstance(model, Supernet)
        return model

    def train_supernet(
        self, region: Region, parent: Supernet | None
    ) -> tuple[Supernet, StageState]:
        """The trained supernet of a region; ``parent`` is the one it inherits from, if any."""
        settings = self.settings_of(region)
        supernet = self.new_supernet(region)
        checkpoint = self.folder.checkpoint(region)
        notes: dict[str, Any] = {"region": region.id, "size": region.size()}
        if parent is not None:
            notes["inherited"] = supernet.inherit_from(parent).to_json()
        state = self.fit(
            f"supernet {region.id}",
            supernet,
            settings,
            self.search_data.train,
            checkpoint,
            derive_seed(self.recipe.seed, "training", region.id),
            make_paths(settings.paths, region, self.front_cost),
            self.task.watch_supernet(self.recipe, region, self.worker),
        )
        if "region" not in state.notes:
            state.notes |= notes
            checkpoint.annotate(state.notes)
        return supernet, state

    def load_supernet(self, region: Region, device: torch.device | None = None) -> Supernet:
        """The supernet of a region as trained earlier in this run, by whichever process.

        Args:
            region: The region.
            device: Where to put it; by default where it is scored.

        Raises:
            RunFolderError: It has not been trained, or its checkpoint is damaged.
        """
        supernet = self.new_supernet(region)
        weights = self.folder.checkpoint(region).load_finished()
        if self.recipe.strategy.name in DIFFERENTIABLE:  # the preferences are of no use here
            mine = {k: v for k, v in weights.items() if k.startswith("supernet.")}
            weights = {name.removeprefix("supernet."): value for name, value in mine.items()}
        supernet.load_state_dict(weights)
        return supernet.to(device or self.worker.device).eval()

    def losses(self) -> list[str]:
        """A line for each region that has no supernet."""
        return [
            f"diverged, its region is left out: {region.id} ({why}); in another run, lower "
            "regions.lr or set regions.grad_clip"
            for region, why in self.diverged.items()
        ]

    # -- scoring -----------------------------------------------------------------------------

    def scored_in(self, architecture: Architecture) -> Region:
        """The region whose supernet gives an architecture its score."""
        settings = self.recipe.evaluator
        if settings.name in INHERITING and settings.share_equal:
            architecture = representative(self.root, architecture)
        return self.tree.locate(architecture)

    @property
    def score(self) -> Metric:
        """The metric that scores are of."""
        return self.task.description.find_metric(self.recipe.evaluator.score)

    def evaluator(self, tree: RegionTree | None = None) -> Evaluator:
        """The evaluator of the recipe; ``tree`` replaces the recipe's regions."""
        settings = self.recipe.evaluator
        if settings.name == "table":
            return TabularEvaluator(self.root.space, Path(str(settings.table)), settings.column)
        if settings.name == "standalone":
            return StandaloneEvaluator(partial(standalone_score, self), self.score)
        if settings.name in PROXIES:
            return proxy_evaluator(self)
        if settings.name == "predictor":
            from fewshot_core.pipeline.predictor import predictor  # it needs a session

            return predictor(self)
        return self.inherited(tree)

    def inherited(self, tree: RegionTree | None = None) -> InheritedEvaluator:
        """The evaluator of inherited weights, whatever the recipe's is."""
        settings = self.recipe.evaluator
        return InheritedEvaluator(
            tree or self.tree,
            self.load_supernet,
            self.scorer(self.recipe, self.search_data, "validation"),
            score=self.score,
            share_equal=settings.share_equal,
        )

    def agreed_evaluator(self, evaluator: Evaluator | None = None) -> AgreedEvaluator:
        """An evaluator, by default the recipe's, that all processes ask alike for the same scores.

        Where each process works on its own, who has trained the supernet of a region scores in it.
        """
        evaluator = evaluator or self.evaluator()
        if not self.team.apart:
            return agreed(evaluator)
        owners, size = self.team.owners(self.tree), self.team.size

        def owner(architecture: Architecture) -> int:
            if isinstance(evaluator, InheritedEvaluator):
                return owners[self.scored_in(architecture)]
            return derive_seed(0, "owner", architecture.id) % size

        return agreed(evaluator, self.team, owner)

    def train_standalone(
        self, architecture: Architecture, epochs: float | None = None, *, share: float = 1.0
    ) -> dict[str, float]:
        """See :func:`fewshot_core.pipeline.standalone.train_standalone`."""
        return train_standalone(self, architecture, epochs, share=share)
