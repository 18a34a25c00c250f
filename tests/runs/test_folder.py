from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from fewshot_core.errors import RunFolderError
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs import folder as folder_module
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.folder import RunFolder, file_name
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.splitters import ByBands, ByDecision
from fewshot_core.testing.toys import toy_space
from fewshot_tasks.cifar10.space import nasbench201

FORK = get_context("fork")
Make = Callable[..., Recipe]


@pytest.fixture
def recipe(tmp_path: Path) -> Make:
    """Resolves a small recipe with overrides."""
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "demo.yaml").write_text("description: A demo.\nsupernet: {epochs: 3}\n")
    return lambda *words: load_recipe(["recipe=demo", *words], recipes_dir=recipes).recipe


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def start(path: Path, recipe: Recipe, *overrides: str, writes: bool = True) -> RunFolder:
    folder = RunFolder(path, writes)
    folder.begin(recipe, overrides, "no")
    return folder


def refusal(path: Path, recipe: Recipe) -> str:
    """The one line with which a start is refused."""
    try:
        start(path, recipe).close()
    except RunFolderError as error:
        line = str(error)
        assert "\n" not in line
        return line
    raise AssertionError("the folder was taken")


# --- starting


def test_a_new_folder_says_what_it_is(path: Path, recipe: Make) -> None:
    start(path / "deep", recipe("seed=3"), "seed=3").close()
    assert (path / "deep" / "overrides.txt").read_text() == "seed=3\n"
    environment = json.loads((path / "deep" / "environment.json").read_text())
    assert environment["packages"]["torch"]
    assert environment["python"].startswith("3.")
    assert "seed: 3" in (path / "deep" / "recipe.yaml").read_text()


def test_the_same_recipe_goes_on(path: Path, recipe: Make) -> None:
    start(path, recipe("seed=3"), "seed=3").close()
    before = {p.name: p.read_bytes() for p in path.iterdir() if p.name != ".lock"}
    start(path, recipe("seed=3"), "other words").close()
    assert {p.name: p.read_bytes() for p in path.iterdir() if p.name != ".lock"} == before


def test_another_recipe_is_refused_with_what_differs(path: Path, recipe: Make) -> None:
    start(path, recipe()).close()
    line = refusal(path, recipe("seed=3", "supernet.epochs=4", "split=random"))
    assert "is the run of another recipe" in line
    for difference in ("seed: 0 -> 3", "supernet.epochs: 3.0 -> 4.0", "split.by: 'none'"):
        assert difference in line
    assert "choose another run=DIR" in line


def test_more_trials_go_on_in_the_same_folder(path: Path, recipe: Make) -> None:
    start(path, recipe("search.trials=20")).close()
    start(path, recipe("search.trials=30"), "search.trials=30").close()
    assert "trials: 30" in (path / "recipe.yaml").read_text()
    assert "search.trials: 20 -> 30" in (path / "overrides.txt").read_text()
    line = refusal(path, recipe("search.trials=25"))
    assert "search.trials: 30 -> 25" in line


def test_what_a_refused_setting_is_for_is_said(path: Path, recipe: Make) -> None:
    start(path, recipe()).close()
    assert f"fewshot retrain run={path} takes them" in refusal(path, recipe("retrain.epochs=3"))
    assert f"from={path} run=NEW" in refusal(path, recipe("constraint.flops=5000"))
    assert "from=" not in refusal(path, recipe("constraint.flops=5000", "seed=1"))


def test_a_training_is_known_by_its_settings(path: Path) -> None:
    architecture = nasbench201().sample(random.Random(0))
    folder = RunFolder(path)
    names = [
        folder.retraining(architecture, 0, settings).folder.name
        for settings in (None, {}, {"retrain.epochs": 3.0}, {"retrain.epochs": 4.0})
    ]
    assert names[0] == names[1] == f"{architecture.id}-0"
    assert len(set(names)) == 3
    assert (
        names[2]
        == folder.retraining(
            architecture, 0, json.loads(json.dumps({"retrain.epochs": 3.0}))
        ).folder.name
    )


def test_many_differences_are_cut_short(path: Path, recipe: Make) -> None:
    start(path, recipe()).close()
    words = [f"{part}.batch_size=8" for part in ("supernet", "retrain", "evaluator")]
    assert refusal(path, recipe(*words, "seed=1", "data.limit=9")).count("->") == 4


def test_a_changed_description_is_no_difference(path: Path, recipe: Make) -> None:
    start(path, recipe()).close()
    start(path, recipe("description=Words.")).close()


def test_a_foreign_folder_is_refused_and_left_alone(path: Path, recipe: Make) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")
    line = refusal(path, recipe())
    assert "is not a run folder" in line
    assert "thesis.tex" in line
    assert [p.name for p in path.iterdir() if not p.name.startswith(".")] == ["thesis.tex"]


def test_hidden_files_do_not_make_a_folder_foreign(path: Path, recipe: Make) -> None:
    path.mkdir()
    (path / ".DS_Store").write_text("")
    start(path, recipe()).close()


@pytest.mark.parametrize("step", ["environment", "recipe_yaml"])
def test_a_start_that_was_killed_can_be_repeated(
    step: str, path: Path, recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module, step, die)
    with pytest.raises(KeyboardInterrupt):
        start(path, recipe())
    monkeypatch.undo()
    start(path, recipe()).close()
    assert (path / "recipe.yaml").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, recipe: Make) -> None:
    """Permissions do not stop root, but nobody can make a folder inside a file."""
    (tmp_path / "file").write_text("")
    assert "run=DIR" in refusal(tmp_path / "file" / "run", recipe())
    assert "run=DIR" in refusal(tmp_path / "file", recipe())
    assert (tmp_path / "file").read_text() == ""


def test_a_read_only_folder_is_refused(path: Path, recipe: Make) -> None:
    path.mkdir()
    path.chmod(0o500)
    try:
        (path / "probe").write_text("")
    except OSError:
        assert "cannot be written to" in refusal(path, recipe())
    else:
        pytest.skip("permissions do not stop this user")
    finally:
        path.chmod(0o700)


# --- in use


def test_a_second_opener_is_refused(path: Path, recipe: Make) -> None:
    first = start(path, recipe())
    line = refusal(path, recipe())
    assert "in use by another process" in line
    assert f"found: process {os.getpid()} on " in line
    with pytest.raises(RunFolderError, match="in use"):
        RunFolder(path).require_free()
    with pytest.raises(RunFolderError, match="in use"):
        RunFolder.attach(path)
    first.close()
    RunFolder(path).require_free()
    start(path, recipe()).close()


def _attach_and_say(path: Path, said: Path) -> None:
    try:
        RunFolder.attach(path)
    except RunFolderError as error:
        said.write_text(str(error))
    else:
        said.write_text("opened")


def _attach_and_die(path: Path) -> None:
    held = RunFolder.attach(path)
    assert held
    os.kill(os.getpid(), signal.SIGKILL)


def attach_elsewhere(path: Path) -> str:
    """What another process says that attaches to the folder."""
    said = path.with_name("said")
    process = FORK.Process(target=_attach_and_say, args=(path, said))
    process.start()
    process.join()
    return said.read_text()


def test_another_process_is_refused(path: Path, recipe: Make) -> None:
    folder = start(path, recipe())
    assert "in use" in attach_elsewhere(path)
    folder.close()
    assert "opened" in attach_elsewhere(path)


def test_the_lock_ends_with_its_process(path: Path, recipe: Make) -> None:
    start(path, recipe()).close()
    process = FORK.Process(target=_attach_and_die, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    start(path, recipe()).close()


def test_looking_whether_a_folder_is_free_makes_nothing(path: Path) -> None:
    RunFolder(path).require_free()
    assert not path.exists()


def test_closing_twice_is_harmless(path: Path, recipe: Make) -> None:
    folder = start(path, recipe())
    folder.close()
    folder.close()


def test_other_processes_of_a_run_write_and_lock_nothing(path: Path, recipe: Make) -> None:
    folder = start(path, recipe(), writes=False)
    assert not path.exists()
    folder.checkpoint(Region.root(toy_space())).finish(StageState(), {})
    assert not path.exists()


def test_processes_that_work_apart_write_their_checkpoints(path: Path) -> None:
    folder = RunFolder(path, writes=False, apart=True)
    folder.checkpoint(Region.root(toy_space())).finish(StageState(), {})
    assert [p.name for p in path.iterdir()] == ["checkpoints"]


# --- attaching


def test_attaching_gives_the_recipe(path: Path, recipe: Make) -> None:
    start(path, recipe("seed=4")).close()
    folder, found = RunFolder.attach(path)
    assert found == recipe("seed=4")
    folder.close()


@pytest.mark.parametrize(
    ("processes", "world", "saves"),
    [("regions", 2, True), ("regions", 1, False), ("data", 2, False)],
)
def test_who_saves_depends_on_the_recipe(
    processes: str,
    world: int,
    saves: bool,
    path: Path,
    recipe: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start(path, recipe(f"processes={processes}")).close()
    monkeypatch.setenv("WORLD_SIZE", str(world))
    assert RunFolder.attach(path, writes=False)[0].saves == saves


def test_attaching_to_nothing_names_what_there_is(path: Path, recipe: Make) -> None:
    start(path, recipe()).close()
    with pytest.raises(RunFolderError, match=rf"no run folder.*allowed: {path}"):
        RunFolder.attach(path.parent / "runn")
    assert not (path.parent / "runn").exists()


# --- places


def test_every_region_has_a_checkpoint_of_its_own(path: Path) -> None:
    root = Region.root(toy_space())
    parts = [
        part for cut in (ByDecision("a"), ByBands("sum", (3.0,))) for part in cut(root).regions
    ]
    folder = RunFolder(path)
    places = {folder.checkpoint(part).folder for part in [root, *parts]}
    assert len(places) == 1 + 3 + 2
    assert all(place.parent == path / "checkpoints" for place in places)


def test_long_names_are_shortened_and_stay_distinct() -> None:
    names = [file_name("x" * 300 + end) for end in ("a", "b")]
    assert len(set(names)) == 2
    assert all(len(name) < 100 for name in names)
    assert file_name("edge_1_0=none+skip") == "edge_1_0=none+skip"


@pytest.mark.parametrize("text", ["../up", "a/b", "a\\b", "a b", "tab\t", "ü"])
def test_names_of_files_are_plain(text: str) -> None:
    assert "/" not in file_name(text)
    assert "\\" not in file_name(text)
    assert file_name(text).isascii()
