from __future__ import annotations

import itertools
import math
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.data import BatchStream, ImageArray
from fewshot_core.recipe.trainings import SupernetSettings, TrainingSettings
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.console import Console
from fewshot_core.runs.preemption import Preempted, StopRequest
from fewshot_core.spaces.paths import FairPaths, PathBatches, PathPolicy, UniformPaths
from fewshot_core.spaces.paths.sandwich import SandwichSettings
from fewshot_core.spaces.paths.uniform import UniformSettings
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.toys import toy_space
from fewshot_core.training import loop as training
from fewshot_core.training.classification import ClassificationObjective
from fewshot_core.training.loop import HISTORY_POINTS, DivergedError, Stage, Watch, steps_for, train
from fewshot_core.training.objective import Objective, learning_rate

STEPS, EVERY = 12, 4
ROOT = Region.root(toy_space(2, 3))


class Model(nn.Module):
    """A supernet in little: batch norm, dropout and a path, everything that has a state."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8))
        self.branches = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(8, 3))

    def forward(self, x: Tensor, architecture: Architecture | None = None) -> Tensor:
        x = self.stem(x)
        if architecture is not None:
            x = self.branches[int(architecture.choices[1])](x)
        return self.head(x)


def fresh_model() -> Model:
    torch.manual_seed(0)
    return Model()


def stream(batch_size: int = 6) -> BatchStream:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 1, 4, 4), generator=generator, dtype=torch.uint8)
    labels = torch.arange(20) % 3
    array = ImageArray(images, labels, ("x", "y", "z"))
    return BatchStream(
        array, batch_size=batch_size, seed=1, mean=[0.5], std=[0.25], flip=True, pad=1
    )


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


SETTINGS = TrainingSettings(epochs=3, batch_size=6, lr=0.05, warmup_epochs=0.5)


class Killed(BaseException):
    pass


class Run:
    """One call of :func:`train`, with what may be changed about it."""

    def __init__(self, folder: Path, accelerator: Accelerator) -> None:
        self.checkpoint = StageCheckpoint(folder)
        self.accelerator = accelerator
        self.stage = Stage("demo", STEPS, seed=5, checkpoint_steps=EVERY)
        self.paths: PathPolicy | None = UniformPaths(ROOT)
        self.model = fresh_model()
        self.wrap: Callable[[Objective], Objective] = lambda objective: objective
        self.stop = StopRequest()
        self.watch: Watch | None = None
        self.settings = SETTINGS

    def __call__(self) -> StageState:
        return train(
            self.stage,
            self.model,
            lambda model: self.wrap(
                ClassificationObjective(model, self.settings, self.stage.steps, self.accelerator)
            ),
            stream(),
            self.paths,
            self.checkpoint,
            self.accelerator,
            Console(writes=False),
            watch=self.watch,
            stop=self.stop,
        )


class Watched:
    """An objective that notes its steps, dies at one, or reports what is no number."""

    def __init__(
        self,
        inner: Objective,
        dies_at: int | None = None,
        bad_from: int | None = None,
        seen: list[tuple[int, Sequence[Architecture | None]]] | None = None,
    ) -> None:
        self.inner, self.dies_at, self.bad_from = inner, dies_at, bad_from
        self.seen = [] if seen is None else seen

    def step(
        self, batch: Any, architectures: Sequence[Architecture | None], step: int
    ) -> dict[str, Tensor]:
        if step == self.dies_at:
            raise Killed
        self.seen.append((step, architectures))
        logged = self.inner.step(batch, architectures, step)
        if self.bad_from is not None and step >= self.bad_from:
            logged["loss"] = torch.tensor(math.nan)
        return logged

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state)


class Stops(Watched):
    """An objective in whose step the signal arrives."""

    def __init__(self, inner: Objective, stop: StopRequest, at: int) -> None:
        super().__init__(inner)
        self.stop, self.at = stop, at

    def step(self, batch: Any, architectures: Any, step: int) -> dict[str, Tensor]:
        if step == self.at:
            self.stop.number = signal.SIGTERM
        return super().step(batch, architectures, step)


@pytest.fixture
def run(tmp_path: Path, accelerator: Accelerator) -> Callable[[], Run]:
    """Makes runs in one folder."""
    return lambda: Run(tmp_path / "stage", accelerator)


@pytest.fixture
def whole(tmp_path: Path, accelerator: Accelerator) -> tuple[Run, StageState]:
    """An uninterrupted run in a folder of its own."""
    uninterrupted = Run(tmp_path / "whole", accelerator)
    return uninterrupted, uninterrupted()


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


# --- going on


@pytest.mark.parametrize("dies_at", range(STEPS))
def test_a_training_that_is_cut_anywhere_ends_with_the_same_weights(
    dies_at: int, run: Callable[[], Run], whole: tuple[Run, StageState]
) -> None:
    first = run()
    first.wrap = lambda objective: Watched(objective, dies_at=dies_at)
    with pytest.raises(Killed):
        first()
    second = run()
    with torch.no_grad():
        for tensor in second.model.parameters():
            # Only where a checkpoint holds must the initial weights not matter.
            tensor.add_(1.0 if dies_at >= EVERY else 0.0)
    seen: list[tuple[int, Sequence[Architecture | None]]] = []
    second.wrap = lambda objective: Watched(objective, seen=seen)
    random.seed(dies_at)
    torch.manual_seed(dies_at + 99)
    state = second()
    assert seen[0][0] == dies_at // EVERY * EVERY
    assert same(second.model, whole[0].model)
    assert state.history == whole[1].history
    assert (state.step, state.images) == (STEPS, whole[1].images)


def test_who_watches_may_change_the_mode(
    run: Callable[[], Run], tmp_path: Path, whole: tuple[Run, StageState]
) -> None:
    one, seen = run(), list[bool]()
    one.model.eval()
    one.checkpoint = StageCheckpoint(tmp_path / "watched")

    def watch(state: StageState, model: nn.Module, folder: Path) -> None:
        seen.append(model.training)
        model.eval()

    one.watch = watch
    one()
    assert seen == [True] * (STEPS // EVERY)
    assert same(one.model, whole[0].model)


def test_a_finished_training_is_loaded_and_not_repeated(
    run: Callable[[], Run], whole: tuple[Run, StageState]
) -> None:
    run()()
    again = run()
    again.wrap = lambda objective: Watched(objective, dies_at=0)
    state = again()
    assert state.done
    assert same(again.model, whole[0].model)
    assert not again.model.training


def test_a_continued_training_says_so(
    run: Callable[[], Run], capsys: pytest.CaptureFixture[str], accelerator: Accelerator
) -> None:
    first = run()
    first.wrap = lambda objective: Watched(objective, dies_at=6)
    with pytest.raises(Killed):
        first()
    second = run()
    objective = lambda m: ClassificationObjective(m, SETTINGS, STEPS, accelerator)  # noqa: E731
    parts = (second.stage, second.model, objective, stream(), second.paths, second.checkpoint)
    train(*parts, accelerator, Console())
    assert "demo: continuing from step 4 of 12" in capsys.readouterr().out


# --- a step


def test_paths_follow_seed_and_step_alone(run: Callable[[], Run], tmp_path: Path) -> None:
    def paths(seed: int, name: str) -> list[tuple[int, Sequence[Architecture | None]]]:
        one, seen = run(), []
        one.checkpoint = StageCheckpoint(tmp_path / name)
        one.stage = Stage("demo", STEPS, seed, EVERY)
        one.wrap = lambda objective: Watched(objective, seen=seen)
        random.seed(len(name))
        one()
        return seen

    assert paths(1, "a") == paths(1, "bb")
    assert paths(1, "ccc") != paths(2, "dddd")


def test_a_step_of_several_paths_counts_its_images(run: Callable[[], Run]) -> None:
    one = run()
    one.paths = FairPaths(ROOT)
    assert one().images == STEPS * 6 * 3


def test_a_model_without_paths_is_trained_as_a_whole(run: Callable[[], Run]) -> None:
    one, seen = run(), []
    one.paths = None
    one.wrap = lambda objective: Watched(objective, seen=seen)
    before = [p.clone() for p in one.model.stem.parameters()]
    state = one()
    assert {tuple(architectures) for _, architectures in seen} == {(None,)}
    assert state.images == STEPS * 6
    assert not all(
        torch.equal(a, b) for a, b in zip(before, one.model.stem.parameters(), strict=True)
    )


def test_gradients_of_all_paths_are_averaged(accelerator: Accelerator) -> None:
    settings = TrainingSettings(epochs=1, lr=0.1, momentum=0, weight_decay=0, grad_clip=None)
    paths = FairPaths(ROOT).draw(random.Random(0))
    images, targets = stream().batch(0)
    model, reference = fresh_model().eval(), fresh_model().eval()  # no dropout, no statistics
    logged = ClassificationObjective(model, settings, 1, accelerator).step(
        (images, targets), paths, 0
    )
    losses = [nn.functional.cross_entropy(reference(images, path), targets) for path in paths]
    mean = torch.stack(losses).mean()
    mean.backward()
    torch.testing.assert_close(logged["loss"], mean.detach())
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs - 0.1 * theirs.grad)


PARTS = SupernetSettings(
    epochs=3, batch_size=6, lr=0.05, grad_clip=None, paths=UniformSettings(together=3)
)


def test_gradients_of_parts_are_averaged(accelerator: Accelerator) -> None:
    paths = PathBatches(UniformPaths(ROOT), 3).draw(random.Random(1))
    images, targets = (
        part.double() if part.is_floating_point() else part for part in stream().batch(0)
    )
    model, reference = fresh_model().double().train(), fresh_model().double().train()
    torch.manual_seed(3)  # dropout
    objective = ClassificationObjective(model, PARTS, 10, accelerator)
    objective.optimizer.step = lambda *_: None  # type: ignore[method-assign]
    logged = objective.step((images, targets), paths, 0)
    torch.manual_seed(3)
    total = 0.0
    for path, x, y in zip(paths, images.chunk(3), targets.chunk(3), strict=True):
        loss = nn.functional.cross_entropy(reference(x, path).float(), y) / 3
        loss.backward()
        total += float(loss.detach())
    assert float(logged["loss"]) == pytest.approx(total)
    used = {str(path.choices[1]) for path in paths}
    for (name, mine), theirs in zip(model.named_parameters(), reference.parameters(), strict=True):
        unused = name.startswith("branches") and name.split(".")[1] not in used
        assert (theirs.grad is None) is unused
        # What no part has used has a gradient as well, so that devices agree.
        expected = torch.zeros_like(theirs) if theirs.grad is None else theirs.grad
        torch.testing.assert_close(mine.grad, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dies_at", [2, 5, 11])
def test_a_training_in_parts_ends_with_the_same_weights(
    dies_at: int, run: Callable[[], Run], tmp_path: Path, accelerator: Accelerator
) -> None:
    whole = Run(tmp_path / "whole", accelerator)
    first, second = run(), run()
    for one in (whole, first, second):
        one.paths, one.settings = PathBatches(UniformPaths(ROOT), 3), PARTS
    state = whole()
    assert state.images == STEPS * 6  # each image once
    first.wrap = lambda objective: Watched(objective, dies_at=dies_at)
    with pytest.raises(Killed):
        first()
    assert second().history == state.history
    assert same(second.model, whole.model)


@pytest.mark.parametrize("distill", [True, False])
def test_the_first_of_a_sandwich_teaches_the_others(
    distill: bool, accelerator: Accelerator
) -> None:
    settings = SupernetSettings(
        epochs=1,
        lr=0.1,
        momentum=0,
        weight_decay=0,
        grad_clip=None,
        label_smoothing=0.1,
        paths=SandwichSettings(distill=distill),
    )
    paths = FairPaths(ROOT).draw(random.Random(0))
    images, targets = stream().batch(0)
    model, reference = fresh_model().eval(), fresh_model().eval()
    logged = ClassificationObjective(model, settings, 1, accelerator).step(
        (images, targets), paths, 0
    )
    logits = [reference(images, path) for path in paths]
    hard = [nn.functional.cross_entropy(x, targets, label_smoothing=0.1) for x in logits]
    soft = logits[0].detach().softmax(1)
    taught = [-(soft * x.log_softmax(1)).sum(1).mean() for x in logits]
    mean = torch.stack([hard[0], *(taught if distill else hard)[1:]]).mean()
    mean.backward()
    torch.testing.assert_close(logged["loss"], mean.detach())
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs - 0.1 * theirs.grad)


def test_gradients_are_clipped(accelerator: Accelerator) -> None:
    settings = TrainingSettings(epochs=1, lr=1, momentum=0, weight_decay=0, grad_clip=0.01)
    model, before = fresh_model(), fresh_model()
    ClassificationObjective(model, settings, 1, accelerator).step(stream().batch(0), [None], 0)
    moved = sum(
        float((a - b).detach().square().sum())
        for a, b in zip(model.parameters(), before.parameters(), strict=True)
    )
    assert math.sqrt(moved) == pytest.approx(0.01, rel=1e-3)


def test_the_loss_falls(accelerator: Accelerator) -> None:
    objective = ClassificationObjective(fresh_model(), SETTINGS, 1000, accelerator)
    losses = [float(objective.step(stream().batch(0), [None], 30)["loss"]) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


# --- what is kept


def test_the_loss_is_kept_at_every_step_of_a_short_training(
    whole: tuple[Run, StageState],
) -> None:
    steps, losses = zip(*whole[1].history, strict=True)
    assert list(steps) == list(range(STEPS))
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)


def test_a_long_training_keeps_a_sample_and_the_end(run: Callable[[], Run]) -> None:
    one = run()
    steps = 2 * HISTORY_POINTS + 6
    one.stage = Stage("demo", steps, seed=5, checkpoint_steps=10**6)
    kept = [step for step, _ in one().history]
    assert kept == [*range(0, steps, 2), steps - 1]


@pytest.mark.parametrize(("seconds", "every"), [(0.0, 1), (3600.0, 5)])
def test_a_long_training_shows_that_it_lives(
    run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch, seconds: float, every: int
) -> None:
    """What is logged once in many steps does not decide when a line is due."""
    monkeypatch.setattr(training, "HISTORY_POINTS", 2)
    monkeypatch.setattr(training, "TICK_SECONDS", seconds)
    shown: list[int] = []
    monkeypatch.setattr(Console, "progress", lambda *_: nullcontext(lambda n, _: shown.append(n)))
    one = run()
    one.stage = Stage("demo", 10, seed=5, checkpoint_steps=10**6)
    one()
    assert shown == sorted({1, *range(1, 11, every), 10})


def test_seconds_add_up_over_a_cut(run: Callable[[], Run]) -> None:
    first = run()
    first.wrap = lambda objective: Watched(objective, dies_at=EVERY)
    with pytest.raises(Killed):
        first()
    state = first.checkpoint.state()
    state.seconds = 1000.0
    first.checkpoint.save(state, first.checkpoint.load(state))
    assert 1000.0 < run()().seconds < 1100.0


# --- divergence


@pytest.mark.parametrize("bad_from", [0, 5, STEPS - 1])
def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(
    bad_from: int, run: Callable[[], Run]
) -> None:
    one = run()
    one.wrap = lambda objective: Watched(objective, bad_from=bad_from)
    with pytest.raises(
        DivergedError, match=rf"demo: loss is nan at step {bad_from} .*lower its lr"
    ):
        one()
    state = one.checkpoint.state()
    assert state.step == bad_from // EVERY * EVERY
    assert not state.done
    if state.file:
        kept = one.checkpoint.load(state)["model"]
        assert all(bool(tensor.isfinite().all()) for tensor in kept.values())


def test_a_checkpoint_is_not_written_over_by_a_diverged_one(run: Callable[[], Run]) -> None:
    """Also between the points where the loss is kept."""
    one = run()
    # Kept at steps 0 and 10, and saved after step 7: only the saving can notice.
    one.stage = Stage("demo", 10 * HISTORY_POINTS, seed=5, checkpoint_steps=4)
    one.wrap = lambda objective: Watched(objective, bad_from=5)
    with pytest.raises(DivergedError, match="at step 5"):
        one()
    assert one.checkpoint.state().step == 4


def test_a_fault_that_does_not_come_again_leaves_no_trace(
    run: Callable[[], Run], whole: tuple[Run, StageState]
) -> None:
    for at in (2, 6, STEPS - 1):  # before the first checkpoint, between two, at the end
        one = run()
        one.checkpoint = StageCheckpoint(one.checkpoint.folder.with_name(f"once-{at}"))
        faults = [at]

        class Once(Watched):
            def step(self, batch: Any, architectures: Any, step: int) -> dict[str, Tensor]:
                logged = super().step(batch, architectures, step)
                if step in faults:  # noqa: B023
                    faults.remove(step)  # noqa: B023
                    with torch.no_grad():
                        one.model.head[1].weight.fill_(math.nan)  # noqa: B023
                    logged["loss"] = torch.tensor(math.inf)
                return logged

        one.wrap = Once
        state = one()
        assert not faults
        assert same(one.model, whole[0].model)
        assert state.history == whole[1].history
        assert not state.diverged


def test_a_stage_that_diverged_stays_so(run: Callable[[], Run]) -> None:
    one = run()
    one.wrap = lambda objective: Watched(objective, bad_from=6)
    with pytest.raises(DivergedError):
        one()
    again = run()
    again.wrap = lambda objective: Watched(objective, dies_at=0)  # nothing is trained
    with pytest.raises(DivergedError, match=r"loss is nan at step 6 .*delete .*stage to try again"):
        again()


def test_the_loss_may_be_finite_where_the_gradient_is_not(run: Callable[[], Run]) -> None:
    one = run()

    class Gradient(Watched):
        def step(self, batch: Any, architectures: Any, step: int) -> dict[str, Tensor]:
            logged = super().step(batch, architectures, step)
            return logged | ({"gradient norm": torch.tensor(math.inf)} if step == 7 else {})

    one.wrap = Gradient
    with pytest.raises(DivergedError, match="gradient norm is inf at step 7"):
        one()


def test_after_a_damaged_checkpoint_it_goes_on_from_the_one_before(
    run: Callable[[], Run], whole: tuple[Run, StageState], capsys: pytest.CaptureFixture[str]
) -> None:
    first = run()
    first.wrap = lambda objective: Watched(objective, dies_at=10)
    with pytest.raises(Killed):
        first()
    path = first.checkpoint.folder / "step-00000008.pt"
    path.write_bytes(path.read_bytes()[:-1])
    second, seen = run(), []
    second.wrap = lambda objective: Watched(objective, seen=seen)
    second()
    assert seen[0][0] == 4
    assert same(second.model, whole[0].model)


# --- asked to stop


@pytest.mark.parametrize("at", [0, 3, 5, STEPS - 2])
def test_a_stop_saves_and_costs_nothing(
    at: int, run: Callable[[], Run], whole: tuple[Run, StageState]
) -> None:
    first = run()
    first.wrap = lambda objective: Stops(objective, first.stop, at)
    with pytest.raises(Preempted):
        first()
    assert first.checkpoint.state().step == at + 1
    second, seen = run(), []
    second.wrap = lambda objective: Watched(objective, seen=seen)
    state = second()
    assert seen[0][0] == at + 1  # not one step is lost
    assert same(second.model, whole[0].model)
    assert state.history == whole[1].history


def test_a_process_that_does_not_write_leaves_stopping_to_the_one_that_does(
    run: Callable[[], Run],
) -> None:
    one = run()
    one.stop = StopRequest(decides=False)
    one.wrap = lambda objective: Stops(objective, one.stop, 3)
    assert one().done


def test_a_stop_does_not_save_what_is_no_number(run: Callable[[], Run]) -> None:
    one = run()
    # Nothing looks at the loss between step 0 and step 10.
    one.stage = Stage("demo", 10 * HISTORY_POINTS, seed=5, checkpoint_steps=4)
    one.wrap = lambda objective: Stops(Watched(objective, bad_from=5), one.stop, 5)
    with pytest.raises(Preempted):
        one()
    assert one.checkpoint.state().step == 4


# --- the schedule


def test_warm_up_then_cosine() -> None:
    settings = TrainingSettings(lr=1.0, min_lr=0.1)
    rates = [learning_rate(settings, step, 24, 4) for step in range(24)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[14] == pytest.approx(0.55)  # half way
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert 0.1 < rates[-1] < 0.11
    assert learning_rate(settings, 24, 24, 4) == pytest.approx(0.1)


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert learning_rate(TrainingSettings(lr=0.3), 0, 1, 0) == 0.3


def test_the_optimiser_follows_the_schedule(accelerator: Accelerator) -> None:
    settings = TrainingSettings(epochs=4, lr=0.2, warmup_epochs=1)
    objective = ClassificationObjective(fresh_model(), settings, 8, accelerator)
    rates = []
    for step in range(8):
        objective.step(stream().batch(step), [None], step)
        rates += {group["lr"] for group in objective.optimizer.param_groups}
    assert rates == [learning_rate(settings, step, 8, 2) for step in range(8)]


@pytest.mark.parametrize(
    ("epochs", "images", "paths", "steps"),
    [(1, 64, 1, 1), (1, 65, 1, 2), (2, 640, 1, 20), (2, 640, 5, 4), (0.001, 64, 1, 1)],
)
def test_epochs_become_steps(epochs: float, images: int, paths: int, steps: int) -> None:
    assert steps_for(TrainingSettings(epochs=epochs, batch_size=64), images, paths) == steps
