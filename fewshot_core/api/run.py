"""A run as a program sees it, and the two ways to one: to search, and to open what there is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot_core.api.guest import as_guest
from fewshot_core.api.show import describe, render
from fewshot_core.api.values import Network, Results, Training, TrialRow
from fewshot_core.api.words import write_words
from fewshot_core.commands import export, rank, report, retrain
from fewshot_core.commands import search as search_command
from fewshot_core.errors import FewshotError, RecipeError, RunFolderError, nearest
from fewshot_core.recipe.load import recipe_from_file
from fewshot_core.runs.files import read_json
from fewshot_core.runs.places import require_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from fewshot_core.api.inputs import Inputs
    from fewshot_core.pipeline.run import KeptRun
    from fewshot_core.recipe.schema import Recipe
    from fewshot_core.spaces.space import Architecture
    from fewshot_core.trust.ranking import RankFigures

FIGURES = {"front": "cost", "trials": "search", "regions": "training"}
"""Further names of pictures, by what they show; the others are those of their files."""

Place = str | Path


def search(
    recipe: Place | None = None,
    run: Place | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    **more: object,
) -> Run:
    """Run a search to its end, or continue one: ``fewshot search`` for programs.

    Words, checks, run folder and resume are those of the command. A search that was interrupted,
    by Ctrl-C or otherwise, goes on with the same call; one that has ended is done at once.

    Args:
        recipe: The name of a recipe, or the path of a ``.yaml`` file. None: that of the run.
        run: The run folder; by default ``runs/RECIPE``.
        settings: Settings by key, ``{"supernet.epochs": 5}``.
        more: Settings by keyword: ``strategy="tpe"``, ``supernet={"epochs": 5}``, and every other
            word of the command, such as ``flops="30M"``. They count over ``settings``. An
            underscore at the end is dropped (``from_=...``).

    Returns:
        The run.

    Raises:
        FewshotError: A setting, the images or the run folder are not as they have to be; nothing
            is left of a run that has not begun.
        KeyboardInterrupt: Ctrl-C. What was done is on disk.
        Preempted: The process was asked to end (SIGTERM, SIGHUP) and lives on. What was done is
            on disk.
    """
    places = {"recipe": recipe, "run": run}
    words = write_words(
        {key: place for key, place in places.items() if place is not None}, settings or {}, more
    )
    # What is wrong with them is known before torch is imported.
    if search_command.check(words) is not None:
        raise RecipeError(
            "values with commas between them are a sweep, which is many runs",
            fix="use the command fewshot search, or call search for each of them",
        )
    with as_guest():
        return Run(search_command.perform(words))


def open_run(folder: Place) -> Run:
    """The run in a folder, whether its search has ended or not. Nothing is computed or locked.

    Args:
        folder: The run folder.

    Raises:
        RunFolderError: There is no run; the line names those beside it.
        RecipeError: Its recipe is damaged.
    """
    path = Path(folder)
    recipe_from_file(require_run(path))
    return Run(path)


class Run:
    """A run: what its search has found, and what can be done with it.

    It holds nothing but the place of the run folder. Every attribute is read from there when it is
    asked for, so that a run which another process works on can be looked at. What computes,
    :meth:`retrain`, :meth:`rank`, :meth:`export` and :meth:`report`, is the command of that name:
    it needs the folder for itself, prints what the command prints, and goes on where it stopped.

    Attributes:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- what it is --------------------------------------------------------------------------

    @property
    def recipe(self) -> Recipe:
        """Every setting of the run, frozen: ``run.recipe.supernet.epochs``.

        Raises:
            RunFolderError: The folder has gone.
            RecipeError: The file is damaged.
        """
        return recipe_from_file(require_run(self.folder))

    @property
    def finished(self) -> bool:
        """Whether its search has ended."""
        return (self.folder / "found.json").is_file()

    @property
    def inputs(self) -> Inputs:
        """What the networks of the run take, and the names of the classes.

        Raises:
            RunFolderError: The run has not come as far as its images.
        """
        from fewshot_core.api.inputs import Inputs
        from fewshot_core.pipeline.images import DATA

        if not (self.folder / DATA).is_file():
            raise RunFolderError(
                f"{self.folder} does not know its images yet", fix="call fewshot.search to its end"
            )
        facts = self._look().images.facts()
        shape = facts.shape
        return Inputs(shape.channels, shape.image_size, facts.classes, facts.mean, facts.std)

    # -- what was found ----------------------------------------------------------------------

    @property
    def trials(self) -> Any:
        """All scored architectures in their order; of a search under way those so far.

        Returns:
            A pandas ``DataFrame`` with a row for each, whose columns are the attributes of
            :class:`TrialRow` with a column for each metric; where pandas is not installed,
            :meth:`list_trials`.

        Raises:
            RunFolderError: A file is damaged.
        """
        rows = self.list_trials()
        try:
            import pandas
        except ImportError:
            return rows
        if not rows:
            names = [name for name in TrialRow.__dataclass_fields__ if name != "metrics"]
            return pandas.DataFrame(columns=names)
        return pandas.DataFrame([row.to_dict() for row in rows])

    def list_trials(self) -> list[TrialRow]:
        """The same as a list of small values, whatever is installed."""
        from fewshot_core.pipeline.trials import read_trials

        run = self._look()
        scores = run.task.description.scores
        return [
            TrialRow(
                genotype=row["architecture"],
                metrics={name: row[name] for name in scores if row[name] is not None},
                score=math.nan if row["score"] is None else row["score"],
                **{name: row[name] for name in ("number", "id", "region", "budget")},
                **{name: row[name] for name in ("params", "flops")},
                **{f"connected_{name}": row[f"connected_{name}"] for name in ("params", "flops")},
            )
            for row in read_trials(run)
        ]

    @property
    def best(self) -> Network:
        """What the search has found.

        Raises:
            RunFolderError: It has not ended, or a file is damaged.
        """
        found = self._read("found.json")
        run = self._look()
        return self._network(run, found, found.get("metrics") or {})

    @property
    def front(self) -> list[Network]:
        """The networks that no cheaper one of the search beats, by rising FLOPs and score.

        Raises:
            RunFolderError: The search has not ended, or a file is damaged.
        """
        front = self._read("pareto.json")["front"]
        run, measured = self._look(), {row.number: row.metrics for row in self.list_trials()}
        return [self._network(run, point, measured.get(point["trial"], {})) for point in front]

    @property
    def retrained(self) -> Results:
        """What :meth:`retrain` came to the last time.

        Raises:
            RunFolderError: Nothing was retrained, or a file is damaged.
        """
        from fewshot_core.pipeline.retrained import require_retrained

        run = self._look()
        rows, names = require_retrained(run), Training.__dataclass_fields__
        metric = run.task.description.find_metric(self._read("retrain.json")["metric"])
        try:
            trainings = [Training(**{name: row[name] for name in names}) for row in rows]
        except KeyError as error:
            raise RunFolderError(
                f"{self.folder / 'retrain.json'} is damaged",
                found=f"no {error}",
                fix="retrain again: it writes the file anew",
            ) from None
        return Results(metric, trainings)

    # -- what can be done with it ------------------------------------------------------------

    def retrain(
        self,
        architecture: Architecture | Network | str | None = None,
        *,
        settings: Mapping[str, object] | None = None,
        **more: object,
    ) -> Results:
        """Train what was found from scratch, beside what it is compared with, and test once.

        Args:
            architecture: Another one to train in its place: from :attr:`front`, say, or its
                genotype.
            settings: Further words of ``fewshot retrain``, by key.
            more: The same by keyword.

        Returns:
            The test results of every training, those that were asked for first.

        Raises:
            FewshotError: The search has not ended, the images are others, or a word is wrong.
        """
        given = {} if architecture is None else {"architecture": self._genotype(architecture)}
        with as_guest():
            retrain.perform(self._words(given, settings or {}, more))
        results = self.retrained
        if architecture is None:
            return results
        from fewshot_core.runs.retrained import GIVEN  # late: it imports torch

        # Earlier results stay in the run; this is about the one that was asked for.
        return results.about(GIVEN, given["architecture"])

    def rank(
        self,
        truth: Place,
        column: str,
        *,
        settings: Mapping[str, object] | None = None,
        **more: object,
    ) -> dict[str, RankFigures]:
        """Find out how well scores order architectures whose true quality is known.

        Args:
            truth: A CSV file with a column ``architecture`` of genotypes.
            column: Its column of true values.
            settings: Further words of ``fewshot rank``, by key.
            more: The same by keyword, such as ``better="lower"``.

        Returns:
            Kendall's tau and other figures by predictor: the supernets' scores, the same joined
            with parameters, and parameters, FLOPs and random scores, which they have to beat.

        Raises:
            FewshotError: A file or column is missing, or the tables do not fit together.
        """
        given = {"truth": truth, "column": column}
        with as_guest():
            return rank.perform(self._words(given, settings or {}, more))

    def export(
        self,
        out: Place | None = None,
        *,
        settings: Mapping[str, object] | None = None,
        **more: object,
    ) -> Path:
        """Write a retrained network as a folder that needs nothing of this program.

        Args:
            out: The folder; by default ``export`` in the run folder.
            settings: Further words of ``fewshot export``, by key.
            more: The same by keyword, such as ``label="largest"``.

        Returns:
            The folder: weights, configuration, ONNX and a card.

        Raises:
            FewshotError: Nothing was retrained, or the folder is not free.
        """
        given = {} if out is None else {"out": out}
        with as_guest():
            return export.perform(self._words(given, settings or {}, more))

    def report(self) -> Path:
        """Write the report of what there is, ``report.html``, and its pictures.

        Returns:
            The page.

        Raises:
            RunFolderError: There is nothing to report on, or a file is damaged.
        """
        with as_guest():
            return report.perform(self._words())

    def figure(self, name: str) -> Figure:
        """A picture of the report.

        Args:
            name: ``front`` (score against FLOPs), ``trials`` (score by trial), ``regions`` (losses
                of the supernets), ``retraining`` (those of retrained classifiers), ``audit``,
                ``ranking``, ``results``, or one of the task's own; of these the run has those that
                it has come to.

        Returns:
            A matplotlib figure that belongs to no window.

        Raises:
            RecipeError: There is no such picture; the line lists those that there are.
            RunFolderError: A file is damaged.
        """
        from fewshot_core.pipeline.report import draw, facts_of

        run = self._look()
        facts, metric = facts_of(run)
        known: list[str] = []
        for file, _, figure in draw(run, facts, metric):
            names = [*(word for word, of in FIGURES.items() if of == file), file]
            if name in names:
                return figure
            known += names[:1]
        hint = nearest(name, known)
        raise RecipeError(
            f"{self.folder} has no picture {name!r}",
            allowed=", ".join(known) or "none yet",
            fix=hint or None,
        )

    def model(self, label: str = "", seed: int | None = None) -> nn.Module:
        """A retrained network with its weights, an ordinary module of torch.

        It takes what :meth:`Inputs.prepare` makes, float32 ``[n, channels, size, size]``, and
        returns logits float32 ``[n, classes]``; generators take what their task says.

        Args:
            label: Which: ``found``, ``random``, ``largest``, ``given``, ...; empty: what was found,
                or else given by hand.
            seed: Which of its trainings; None: the first. Who takes the one with the best test
                result has no test images left.

        Returns:
            The network, on the CPU and in evaluation mode.

        Raises:
            RunFolderError: Nothing was retrained, or there is no such network.
        """
        from fewshot_core.pipeline.retrained import (
            choose_retrained,
            load_retrained,
            require_retrained,
        )

        run = self._look()
        return load_retrained(run, choose_retrained(require_retrained(run), label, seed))

    # -- how it shows itself -----------------------------------------------------------------

    def __repr__(self) -> str:
        try:
            recipe = self.recipe.recipe
        except (RecipeError, RunFolderError):
            return f"<Run {str(self.folder)!r}: no run there>"
        state = "search under way"
        if self.finished:
            found = self._read("found.json")
            score = found.get("score")
            state = "found" if score is None else f"found: score {score:.4g},"
            state += f" {found.get('genotype')}"
        return f"<Run {str(self.folder)!r}, recipe {recipe}, {state}>"

    def _repr_html_(self) -> str:
        try:
            best = self.best if self.finished else None
            results = self.retrained if (self.folder / "retrain.json").is_file() else None
            rows = describe(self.recipe, len(self.list_trials()), best, results)
            figure = None if best is None else self.figure("front")
        except FewshotError as error:  # a notebook shows what there is, and no traceback
            return render(str(self.folder), [("error", str(error))], None)
        return render(str(self.folder), rows, figure)

    # -- inside ------------------------------------------------------------------------------

    def _look(self) -> KeptRun:
        from fewshot_core.pipeline.opening import look_at

        return look_at(self.folder)

    def _words(self, *layers: Mapping[str, object]) -> list[str]:
        return write_words({"run": self.folder}, *layers)

    def _unfinished(self) -> RunFolderError:
        again = f"fewshot.search(run={str(self.folder)!r})"
        return RunFolderError(f"{self.folder} holds no finished search", fix=f"call {again}")

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.is_file():
            raise self._unfinished()
        found = read_json(path, f"call fewshot.search(run={str(self.folder)!r}) again")
        if not isinstance(found, dict):
            raise RunFolderError(f"{path} is damaged", found=type(found).__name__)
        return found

    def _genotype(self, architecture: Architecture | Network | str) -> str:
        if isinstance(architecture, str):
            return architecture
        if isinstance(architecture, Network):
            return architecture.genotype
        return self._look().root.space.genotype(architecture)

    @staticmethod
    def _network(run: KeptRun, found: Mapping[str, Any], metrics: Mapping[str, float]) -> Network:
        space = run.root.space
        architecture = space.from_json(found)
        return Network(
            architecture,
            space.genotype(architecture),
            architecture.id,
            found.get("score"),
            {name: value for name, value in metrics.items() if name != "score"},
            dict(found.get("costs") or {}),
            found.get("trial"),
        )
