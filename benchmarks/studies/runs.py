"""Runs that studies open, train and score with: the only module of theirs that knows the pipeline.

A study names settings and asks for figures. How a run is opened, where it keeps its weights and
what it is called there stays in here.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.studies.jobs import Job, lock_file
from fewshot_core.data import ImageData, load_images
from fewshot_core.evaluators import Evaluator, InheritedEvaluator, making
from fewshot_core.pipeline.asking import ask_and_tell
from fewshot_core.pipeline.derive import derive
from fewshot_core.pipeline.faults import at_work
from fewshot_core.pipeline.opening import attach, start
from fewshot_core.pipeline.rank import Truth, score_all
from fewshot_core.pipeline.retrain import test_candidate
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scorers import make_scorer
from fewshot_core.pipeline.scoring import RunContext, make_evaluator, make_inherited
from fewshot_core.pipeline.search import record
from fewshot_core.pipeline.standalone import train_standalone
from fewshot_core.pipeline.supernets import load_supernet, train_supernets
from fewshot_core.pipeline.training import build, fit
from fewshot_core.plugins import plugin
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.load import LoadedRecipe, load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.files import read_json
from fewshot_core.search.preferences.naming import DERIVED
from fewshot_core.search.trial import Trial
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet


class Images:
    """The images of a seed, decoded once in a worker."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._data: ImageData | None = None

    def load(self, recipe: Recipe) -> ImageData:
        """The images that the recipe trains on."""
        key = (dataclasses.astuple(recipe.data), recipe.seed)
        if self._data is None or key != self._key:
            self._key, self._data = key, load_images(recipe.data, recipe.seed)
        return self._data


@dataclass(frozen=True)
class Bench:
    """What the runs of a study have in common.

    Attributes:
        words: Settings of every recipe, ``key=value``.
        places: Settings that say where the images are; of no account for the results.
        work: Folder in which the runs lie.
        images: The images that were decoded last.
    """

    words: tuple[str, ...]
    places: tuple[str, ...]
    work: Path
    images: Images = field(default_factory=Images, compare=False)

    def recipe(self, *words: str) -> Recipe:
        """The recipe of every run, with further settings."""
        return load_words([*self.words, *self.places, *words]).recipe

    def job(
        self,
        key: str,
        slug: str,
        words: Sequence[str],
        measure: Callable[[StudyRun], dict[str, Any]],
        *more: str,
        recipe: list[str] | None = None,
    ) -> Job:
        """A job that opens a run and measures it.

        Args:
            key: Name of its row.
            slug: Name of its folder.
            words: All settings of the run.
            measure: Makes the row of the opened run; ``seconds`` are added.
            more: Settings that the row is not checked by.
            recipe: What the row is checked by, if that is not the settings.
        """

        def run() -> dict[str, Any]:
            began = time.monotonic()
            with self.open(slug, words, *more) as opened:
                row = measure(opened)
            return {**row, "seconds": round(time.monotonic() - began)}

        return Job(key, slug, list(words) if recipe is None else recipe, run)

    @contextmanager
    def open(self, slug: str, words: Sequence[str], *more: str) -> Iterator[StudyRun]:
        """Open the run of a job, or continue it; the arguments are those of :meth:`job`."""
        loaded = load_words([*words, *self.places, *more, f"run={self.work / slug}"])
        run = StudyRun(start(loaded, self.images.load(loaded.recipe)))
        try:
            yield run
        finally:
            run.close()


def read_supernet(folder: Path) -> Supernet:
    """The trained supernet of the whole space in a run folder."""
    run = attach({"run": folder})
    with at_work(run):
        return load_supernet(run, run.root)


class StudyRun:
    """An opened run as a study uses it.

    Attributes:
        run: The run itself; it is another when supernets were trained.
        recipe: Its settings.
        data: Its images.
        precision: Precision of its trainings, as Accelerate names it.
        space: Its search space.
        costs: Its cost table.
        console: Where it says what it does.
        file: Makes a path in its folder out of names.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.recipe, self.data = run, run.recipe, run.images.data()
        self.space, self.costs, self.console = run.root.space, run.costs, run.console
        self.precision = run.accelerator.mixed_precision
        self.file = run.folder.file

    def leaves(self) -> list[str]:
        """Ids of the regions that the space is divided into; of the whole space if it is not."""
        return [region.id for region in self.run.tree.leaves()]

    def close(self) -> None:
        """Leave it, so that another can be opened."""
        self.run.accelerator.end_training()
        self.run.folder.close()

    # -- supernets -----------------------------------------------------------------------------

    def train_supernets(self) -> None:
        """Train the supernets of all regions, or continue."""
        self.run = train_supernets(self.run)

    def states(self) -> dict[str, StageState]:
        """What is known of each training, by the ids of the regions, the whole space first."""
        regions = [region for region, _ in self.run.tree.walk()]
        return {region.id: self.run.folder.checkpoint(region).state() for region in regions}

    def images_seen(self) -> int:
        """Images that all trainings have shown."""
        return sum(state.images for state in self.states().values())

    def adopt_parent(self, folder: Path) -> None:
        """Take the supernet of the whole space from another run of the same parent settings."""
        target = self.run.folder.checkpoint(self.run.root).folder
        if not target.exists():
            copy_folder(folder / "checkpoints" / target.name, target)

    # -- scores --------------------------------------------------------------------------------

    def evaluator(self) -> Evaluator:
        """The evaluator of the recipe."""
        return make_evaluator(self.run)

    def evaluator_named(self, name: str) -> Evaluator:
        """Another evaluator, with its default settings."""
        settings = plugin("evaluator", name).default()
        return making.make_evaluator(settings, RunContext(self.run, self.run.tree))

    def inherited(self) -> InheritedEvaluator:
        """The evaluator of inherited weights, with the scorer of a search."""
        return make_inherited(self.run)

    def score_table(
        self, truth: Truth, statistics: str
    ) -> Mapping[Architecture, Mapping[str, float]]:
        """Loss and accuracy of every architecture of a table, on validation images.

        Args:
            truth: The table.
            statistics: Statistics of batch norm: ``recalibrated``, or ``running`` as training
                left them.
        """
        recipe = self.recipe
        if statistics != "recalibrated":
            recipe = with_values(recipe, {"evaluator.recalibrate": 0})
        scorer = make_scorer(self.run, recipe, self.data, "validation")
        load = partial(load_supernet, self.run)
        evaluator = InheritedEvaluator(self.run.tree, load, scorer)
        path = self.file("scores", f"{statistics}-{len(truth.architectures)}.csv")
        return score_all(evaluator, truth, path, self.console, f"scoring, {statistics}")

    def search(self) -> tuple[dict[Region, list[Architecture]], list[Trial]]:
        """Search as the command line does.

        Returns:
            What was scored in each region, and the trials.
        """
        named: dict[Region, list[Architecture]] = {}
        if self.run.strategy.differentiable:
            self.run, named = derive(self.run)
            done = ask_and_tell(self.run, [a for some in named.values() for a in some])
        else:
            self.train_supernets()
            done = ask_and_tell(self.run)
            for trial in done:
                region = self.run.tree.locate(trial.architecture)
                named.setdefault(region, []).append(trial.architecture)
        record(self.run, done)
        return named, done

    def preferences(self) -> list[dict[str, dict[str, float]]]:
        """Probabilities of the options of each decision, for each region with preferences."""
        if not self.run.strategy.differentiable:
            return []
        return [row["preferences"] for row in read_json(self.file(DERIVED))]

    # -- networks trained from scratch ---------------------------------------------------------

    def train_standalone(self, architecture: Architecture, epochs: float) -> dict[str, float]:
        """Train an architecture from scratch; its metrics on all validation images."""
        return train_standalone(self.run, architecture, epochs, every_image=True)

    def train_foreign(
        self, name: str, make: Callable[[], nn.Module], epochs: float
    ) -> tuple[dict[str, float], nn.Module]:
        """Train a network that is not of the space in the same way.

        Returns:
            Its metrics on all validation images, and the trained network that ``make`` built.
        """
        run, seed = self.run, derive_seed(self.recipe.seed, "reference")
        network = build(run, make, seed)
        settings = self.recipe.retrain.from_scratch(epochs)
        folder = run.folder.training("standalone", "reference")
        fit(run, name, network, settings, self.data.train, folder, seed)
        recipe = with_values(self.recipe, {"evaluator.images": None})
        metrics = make_scorer(run, recipe, self.data, "validation").score(network, None)
        return dict(metrics), network

    def test_from_scratch(self, architecture: Architecture, seed: int) -> dict[str, Any]:
        """Train an architecture as ``tools/retrain.py`` does, and measure it on test images.

        Returns:
            Metrics under ``test`` beside costs, images and seconds.
        """
        scorer = make_scorer(self.run, self.recipe, self.data, "test")
        return test_candidate(self.run, scorer, "given", seed, architecture)

    def metric_text(self, metric: str) -> str:
        """What a metric on test images is, in words."""
        task = self.run.task
        return task.name_metric(task.description.find_metric(metric), self.recipe, "test")


def load_words(words: Sequence[str]) -> LoadedRecipe:
    """The recipe of a job, whose words are put together from parts: not every arm reads all."""
    return load_recipe(words, drop_unread=True)


def train_shared_parent(bench: Bench, slug: str, words: Sequence[str]) -> Path:
    """Train the supernet of the whole space once for all arms that begin with it.

    Args:
        bench: The study's.
        slug: Name of the folder, which says what the arms share.
        words: Settings of an arm; those of its regions are left out.

    Returns:
        The folder of the run.
    """
    folder = bench.work / slug
    shared = [word for word in words if not word.startswith(("split", "regions."))]
    with (
        lock_file(folder.with_name(f"{folder.name}.lock"), wait=True),
        bench.open(slug, shared, "split=none") as run,
    ):
        run.train_supernets()
    return folder


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder so that the target is whole or not there; another process may be first."""
    beside = target.with_name(f".adopted-{target.name}-{source.parent.name}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, beside)
    try:
        beside.rename(target)
    except OSError:
        shutil.rmtree(beside)
        if not target.exists():
            raise
