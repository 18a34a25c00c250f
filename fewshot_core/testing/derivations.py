"""What differentiable strategies have to do with a task's supernets, seen through the pipeline."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from fewshot_core.data import Batch, BatchStream
from fewshot_core.pipeline.derive import derive
from fewshot_core.pipeline.opening import start
from fewshot_core.pipeline.relaxation import Relaxation
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scoring import make_evaluator
from fewshot_core.pipeline.supernets import settings_of
from fewshot_core.plugins import names_with
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.files import read_json
from fewshot_core.search.preferences.naming import name_architectures
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

Named = dict[Region, list[Architecture]]

MOST = 4
SAMPLES = [f"preferences.samples={MOST}"]
WHOLE = pytest.StashKey[dict[str, Any]]()


class Killed(BaseException):
    """Stands for the death of the process: nothing may catch it."""


class DerivationSuite:
    """Tests of all differentiable strategies with one task; supply the fixture ``words``."""

    @pytest.fixture
    def words(self) -> list[str]:
        """Settings of a search of a few steps with two regions, without ``run=``, ``split.when=``.

        ``checkpoint_steps=2``, and trainings of at least five steps, all of about one length.
        """
        raise NotImplementedError("a subclass supplies the fixture `words`")

    @pytest.fixture(params=names_with("strategy", "differentiable"))
    def method(self, request: pytest.FixtureRequest) -> str:
        """Name of the strategy."""
        return str(request.param)

    @pytest.fixture
    def derived(
        self, words: list[str], method: str, tmp_path_factory: pytest.TempPathFactory
    ) -> Callable[..., Outcome]:
        """Runs the strategy in a folder of a name, with more settings; the same one again."""
        base = tmp_path_factory.mktemp(method)

        def run(name: str, *more: str) -> Outcome:
            with open_derivation(
                [*words, f"strategy={method}", *SAMPLES, *more], base / name
            ) as one:
                return Outcome(*derive(one))

        return run

    @pytest.fixture
    def whole(
        self, derived: Callable[..., Outcome], method: str, request: pytest.FixtureRequest
    ) -> Outcome:
        """The run that nothing disturbed; all tests of the class look at the same one."""
        done = request.node.getparent(pytest.Class).stash.setdefault(WHOLE, {})
        if method not in done:
            done[method] = derived("whole")
        return done[method]

    # -- tests -------------------------------------------------------------------------------

    def test_every_region_names_its_own(self, whole: Outcome) -> None:
        assert len(whole.named) > 1
        for leaf, architectures in whole.named.items():
            assert architectures
            assert all(leaf.contains(a) for a in architectures)
            assert len(set(architectures)) == len(architectures) <= MOST

    def test_what_a_region_prefers_is_kept(self, whole: Outcome) -> None:
        assert [row["region"] for row in whole.rows] == [leaf.id for leaf in whole.named]
        for row, (leaf, architectures) in zip(whole.rows, whole.named.items(), strict=True):
            assert [leaf.space.parse(g) for g in row["architectures"]] == architectures
            for decision, options in zip(leaf.space.decisions, leaf.allowed, strict=True):
                column = row["preferences"][decision.name]
                assert list(column) == [str(option) for option in options]
                assert sum(column.values()) == pytest.approx(1, abs=0.001)

    def test_images_are_counted(self, whole: Outcome) -> None:
        """Those of the weights and those of the preferences together make the epochs."""
        for seen, budget, step in whole.images:
            assert abs(seen - budget) <= step

    def test_same_seed_same_answer(self, derived: Callable[..., Outcome], whole: Outcome) -> None:
        assert derived("same") == whole
        assert derived("other", "seed=7") != whole

    def test_the_constraint_holds(self, derived: Callable[..., Outcome], whole: Outcome) -> None:
        limit = int(statistics.median(whole.costs()))
        outcome = derived("limited", f"constraint.params={limit}")
        assert outcome.costs()
        assert max(outcome.costs()) <= limit

    def test_cut_and_continued(
        self,
        derived: Callable[..., Outcome],
        whole: Outcome,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for share in (0.2, 0.6):  # in the first training; and, going on from there, in the last
            with monkeypatch.context() as patch:
                limit_batches(patch, int(share * whole.batches))
                with pytest.raises(Killed):
                    derived("run")
        with monkeypatch.context() as patch:
            asked = limit_batches(patch)
            assert derived("run") == whole
        assert 1 < len(asked) < whole.batches / 2, "it began anew"

        # Once more, and it is only read, but for a batch that tells whether mixtures can be run.
        with monkeypatch.context() as patch:
            asked = limit_batches(patch)
            assert derived("run") == whole
        assert len(asked) <= 1

    def test_a_region_of_one_architecture_and_scores(
        self, words: list[str], method: str, tmp_path: Path
    ) -> None:
        with open_derivation([*words, f"strategy={method}", "split.when=never"], tmp_path) as run:
            one = run.root
            for decision in one.space.decisions:
                one = one.restrict(decision.name, (one.options(decision.name)[-1],))
            model = Relaxation(run, one).trained(None)
            assert name_architectures(model, lambda architecture: True, 5, seed=0) == list(
                one.enumerate()
            )
            run, named_by_all = derive(run)
            assert "score" in make_evaluator(run).evaluate(named_by_all[run.root][0])


class Outcome:
    """What a run ended with, for comparisons."""

    def __init__(self, run: Run, named: Named) -> None:
        self.named = named
        self.rows: list[dict[str, Any]] = read_json(run.folder.file("derived.json"))
        self._table = run.costs
        self.batches = sum(
            -(-state.images // settings.batch_size)
            for state, settings in zip(_states(run), _settings(run), strict=True)
        )
        self.images = [
            (
                state.images,
                settings.epochs * len(run.images.search_data().train),
                2 * settings.batch_size,
            )
            for state, settings in zip(_states(run), _settings(run), strict=True)
        ]
        self._weights = [
            run.folder.checkpoint(region).load_finished() for region, _ in run.tree.walk()
        ]

    def costs(self) -> list[float]:
        """Parameters that reach the output, of all that is named."""
        every = (a for some in self.named.values() for a in some)
        return [self._table.costs(a)["connected_params"] for a in every]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Outcome):
            return NotImplemented
        same = self.named == other.named and self.rows == other.rows
        return same and all(
            mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
            for mine, theirs in zip(self._weights, other._weights, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


@contextmanager
def open_derivation(words: Sequence[str], folder: Path) -> Iterator[Run]:
    """A run, as the command line would open it."""
    run = start(load_recipe([*words, f"run={folder}"], drop_unread=True))
    try:
        yield run
    finally:
        run.accelerator.end_training()
        run.folder.close()


def limit_batches(patch: pytest.MonkeyPatch, most: float = float("inf")) -> list[int]:
    """Let the process die when it asks for one batch too many; the list grows with each."""
    asked: list[int] = []
    original = BatchStream.batch

    def batch(self: BatchStream, step: int) -> Batch:
        if len(asked) >= most:
            raise Killed
        asked.append(step)
        return original(self, step)

    patch.setattr(BatchStream, "batch", batch)
    return asked


def _states(run: Run) -> list[StageState]:
    return [run.folder.checkpoint(region).state() for region, _ in run.tree.walk()]


def _settings(run: Run) -> list[TrainingSettings]:
    return [settings_of(run, region) for region, _ in run.tree.walk()]
