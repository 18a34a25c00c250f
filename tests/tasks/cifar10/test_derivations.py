"""Differentiable strategies with the cell supernet, on digits."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fewshot_core.errors import ConstraintError, RecipeError
from fewshot_core.pipeline.derive import derive
from fewshot_core.pipeline.opening import start
from fewshot_core.pipeline.relaxation import Relaxation
from fewshot_core.recipe.load import load_recipe
from fewshot_core.search.differentiable import Method
from fewshot_core.search.preferences.controller import ControllerPaths
from fewshot_core.search.preferences.relaxed import RelaxedSupernet
from fewshot_core.spaces.paths import UniformPaths
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.derivations import DerivationSuite, Outcome, open_derivation

BASE = [
    "recipe=digits",
    "threads=1",
    "checkpoint_steps=2",
    "network.channels=4",
    "data.limit=120",
    "supernet.batch_size=16",
    "regions.batch_size=16",
    "regions.epochs=2",
    "evaluator.recalibrate=32",
]
WORDS = [
    *BASE,
    "supernet.epochs=2",
    "split=groups",
    "split.decision=edge_1_0",
    "split.groups=[[none,skip_connect],[nor_conv_1x1,nor_conv_3x3,avg_pool_3x3]]",
]


class TestDerivations(DerivationSuite):
    @pytest.fixture
    def words(self) -> list[str]:
        return WORDS


class TestTheSuite:
    """It has to fail for what is broken."""

    def outcome(self, words: list[str], folder: Path) -> Outcome:
        with open_derivation([*WORDS, "strategy=darts", *words], folder) as run:
            return Outcome(*derive(run))

    def test_naming_outside_the_region(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(model: RelaxedSupernet, *_: object) -> list[Architecture]:
            return [model.region.space.sample(random.Random(0))]

        monkeypatch.setattr("fewshot_core.pipeline.derive.name_architectures", lost)
        broken = self.outcome([], tmp_path / "run")
        with pytest.raises(AssertionError):
            DerivationSuite().test_every_region_names_its_own(broken)

    def test_images_that_nobody_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fewshot_core.pipeline.relaxation.batches_of", lambda *_: 1)
        broken = self.outcome([], tmp_path / "run")
        with pytest.raises(AssertionError):
            DerivationSuite().test_images_are_counted(broken)

    def test_a_loose_seed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = self.outcome([], tmp_path / "whole")

        def again(name: str, *words: str) -> Outcome:
            with monkeypatch.context() as patch:
                seeds = iter(range(1000))
                patch.setattr(
                    "fewshot_core.pipeline.relaxation.derive_seed", lambda *_: next(seeds)
                )
                return self.outcome(list(words), tmp_path / name)

        with pytest.raises(AssertionError):
            DerivationSuite().test_same_seed_same_answer(again, whole)


def test_a_region_beyond_the_constraint_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*BASE, "supernet.epochs=1", "split=bands", "split.feature=nonlinear", "split.cuts=[5]"]
    with open_derivation([*words, "strategy=random"], tmp_path / "costs") as run:
        many = run.tree.leaves()[1]
        least = min(run.costs.costs(a)["connected_params"] for a in many.enumerate())
    # What leads nowhere is free, so that cells of many convolutions may be cheap.
    cheap = [f"constraint.params={least - 1:.0f}"]
    for method in ("darts", "enas"):
        with open_derivation([*words, *cheap, f"strategy={method}"], tmp_path / method) as run:
            _, named = derive(run)
        few, many = named
        assert named[few]
        assert named[many] == []
        assert f"region {many.id}: nothing in it satisfies" in capsys.readouterr().out


def test_no_region_has_anything_acceptable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_derivation([*WORDS, "strategy=darts"], tmp_path / "run") as run:
        # A recipe like this is refused before; only a region that is searched in vain gets here.
        monkeypatch.setattr(type(run), "accepts", lambda self: lambda architecture: False)
        with pytest.raises(ConstraintError, match="no region has anything acceptable"):
            derive(run)
        assert not run.folder.file("derived.json").exists()


def test_more_processes_than_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelerate.Accelerator.num_processes", property(lambda self: 2))
    loaded = load_recipe([*WORDS, "strategy=setn", f"run={tmp_path / 'run'}"])
    with pytest.raises(RecipeError, match=r"setn trains a supernet on one process.*2 processes"):
        start(loaded)
    assert not (tmp_path / "run").exists()


def test_what_trains_the_weights(tmp_path: Path) -> None:
    """Mixtures, the controller's draws, or paths that do not look at preferences."""
    kinds = {"darts": type(None), "pcdarts": type(None), "setn": UniformPaths}
    for method, kind in (kinds | {"enas": ControllerPaths}).items():
        with open_derivation([*WORDS, f"strategy={method}"], tmp_path / method) as run:
            relaxation = Relaxation(run, run.root)
            model, _ = relaxation.new()
            assert type(relaxation.method.paths(model)) is kind
            assert bool(model.places) == (method == "pcdarts")


# 100 images are left for training: 200 epochs are 1,250 batches of 16.
@pytest.mark.parametrize(
    ("words", "lr"),
    [
        (["strategy=darts", "supernet.epochs=2"], 0.1),
        (["strategy=setn", "supernet.epochs=200"], Method.reach / 625),
        (["strategy=pcdarts", "supernet.epochs=200"], Method.reach / (736 - 221)),
        (["strategy=enas", "supernet.epochs=200"], 0.7 / 625),
        (["strategy=enas", "supernet.epochs=200", "preferences.lr=0.003"], 0.003),
    ],
)
def test_a_short_training_takes_longer_steps(words: list[str], lr: float, tmp_path: Path) -> None:
    with open_derivation([*BASE, "split=none", *words], tmp_path / "run") as run:
        relaxation = Relaxation(run, run.root)
        assert relaxation.step_size == pytest.approx(lr)
