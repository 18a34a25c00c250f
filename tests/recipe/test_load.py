from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, ListConfig

from fewshot_core.errors import RecipeError
from fewshot_core.plugins import plugin
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.load import (
    differences,
    list_recipes,
    load_recipe,
    recipe_from_file,
    recipe_yaml,
)
from fewshot_core.recipe.schema import Recipe, default_split, recipe_type
from fewshot_core.tasks import load_task, task_names

from .conftest import FAKE_TASK, Load, Refusal, Write
from .fake_task import TASK, FakeNetwork, Stem

REPOSITORY = Path(__file__).resolve().parents[2]


# --- files and words


def test_defaults_file_and_overrides_are_merged_in_this_order(load: Load) -> None:
    loaded = load(
        "supernet.lr=0.05",
        "run=runs/a",
        text="supernet: {lr: 0.2, epochs: 3}\ndescription: text\n",
    )
    assert loaded.recipe.supernet.lr == 0.05
    assert loaded.recipe.supernet.epochs == 3.0
    assert loaded.recipe.supernet.batch_size == Recipe().supernet.batch_size
    assert loaded.recipe.recipe == "demo"
    assert loaded.run == Path("runs/a")
    assert loaded.overrides == ("supernet.lr=0.05",)


def test_the_result_holds_no_omegaconf_containers(load: Load) -> None:
    recipe = load("split.then=[random]", "network.depths=[3]").recipe

    def walk(value: object) -> None:
        assert not isinstance(value, DictConfig | ListConfig)
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                walk(getattr(value, field.name))
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)

    walk(recipe)
    assert recipe.split.then == [plugin("splitter", "random").default()]
    assert recipe.network == FakeNetwork(depths=[3])


def test_nested_settings_of_the_task_are_dataclasses(load: Load) -> None:
    network = load("network.stem.width=4", "network.pair=[1,2]").recipe.network
    assert network == FakeNetwork(stem=Stem(width=4), pair=(1, 2))


def test_the_environment_does_not_count(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load().recipe
    monkeypatch.setenv("SEED", "7")
    monkeypatch.setenv("RECIPE_SEED", "7")
    assert load().recipe == before


def test_a_recipe_may_be_a_path(write: Write) -> None:
    path = write("folder/own", "seed: 4")
    loaded = load_recipe([f"recipe={path}"])
    assert (loaded.recipe.recipe, loaded.recipe.seed) == ("own", 4)


def test_recipes_of_the_current_folder_are_found(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("recipes/mine", "seed: 5")
    monkeypatch.chdir(tmp_path)
    assert load_recipe(["recipe=mine"]).recipe.seed == 5
    assert "mine" in dict(list_recipes())


def test_what_a_folder_of_another_project_holds_is_no_recipe(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = write("elsewhere/mine", "extends: soup")
    (tmp_path / "recipes").mkdir()
    for name in ("soup", "digits"):
        (tmp_path / "recipes" / f"{name}.yaml").write_text("ingredients: [leek, potato]\n")
    monkeypatch.chdir(tmp_path)
    for name, said in (("soup", "unknown recipe 'soup'"), (mine, "extends 'soup', which does not")):
        with pytest.raises(RecipeError, match=said):
            load_recipe([f"recipe={name}"])
    assert load_recipe(["recipe=digits"]).recipe.network.channels == 8


def test_unknown_recipe_names_the_known_and_the_nearest(write: Write, tmp_path: Path) -> None:
    write("cifar_small", "")
    write("digits", "")
    with pytest.raises(RecipeError, match=r"did you mean 'cifar_small'.*cifar_small, digits"):
        load_recipe(["recipe=cifar_smal"], recipes_dir=tmp_path)


def test_a_missing_path_is_refused() -> None:
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe(["recipe=nowhere/x.yaml"])


def test_missing_recipe_lists_the_known(write: Write, tmp_path: Path) -> None:
    write("digits", "")
    with pytest.raises(RecipeError, match=r"recipe= is missing.*digits"):
        load_recipe(["supernet.lr=1"], recipes_dir=tmp_path)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--supernet.lr", "0.1"], "write supernet.lr=0.1 instead of --supernet.lr 0.1"),
        (["--supernet.lr=0.1"], "write supernet.lr=0.1"),
        (["--check-point"], "write check_point=VALUE"),
        (["fast"], "'fast' is not of that form"),
        (["=3"], "'=3' is not of that form"),
    ],
)
def test_words_that_are_not_key_value(refusal: Refusal, words: list[str], hint: str) -> None:
    line = refusal(*words)
    assert "settings are written key=value" in line
    assert hint in line


def test_of_recipe_and_run_given_twice_the_last_counts(load: Load, write: Write) -> None:
    write("other", "seed: 7\n")
    loaded = load("run=a", "recipe=other", "run=b")
    assert (loaded.recipe.recipe, loaded.recipe.seed, loaded.run) == ("other", 7, Path("b"))


def test_recipe_and_run_are_named(refusal: Refusal) -> None:
    assert "recipe= is empty" in refusal("recipe=")
    assert "run= is empty" in refusal("run=")
    assert "the shell did not replace ~" in refusal("run=~/a")


# --- extends


def test_extends_by_name_and_by_path(load: Load, write: Write) -> None:
    write("base", "seed: 1\nsupernet: {lr: 0.3, epochs: 2}\nrecipe: base\n")
    write("sub/middle", "extends: ../base.yaml\nseed: 2\n")
    recipe = load(text="extends: sub/middle.yaml\nsupernet: {epochs: 7}\n").recipe
    assert (recipe.recipe, recipe.seed) == ("demo", 2)
    assert (recipe.supernet.lr, recipe.supernet.epochs) == (0.3, 7.0)
    assert load(text="extends: base\n").recipe.seed == 1


def test_the_task_may_come_from_the_parent(load: Load, write: Write) -> None:
    write("base", "network: {channels: 4}")
    assert load(text="extends: base").recipe.network.channels == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: demo", "runs in a circle: demo.yaml -> demo.yaml"),
        ("extends: other", "runs in a circle: demo.yaml -> other.yaml -> demo.yaml"),
        ("extends: othr", "extends 'othr', which does not exist.*did you mean 'other'"),
        ("extends: [a, b]", "`extends` takes one name or path"),
    ],
)
def test_bad_extends(refusal: Refusal, write: Write, text: str, message: str) -> None:
    write("other", "extends: demo")
    assert re.search(message, refusal(text=text))


# --- YAML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", "line 3: the key 'seed' is given twice"),
        ("data: {pad: 1, pad: 2}\n", "line 2: the key 'pad' is given twice"),
        ("data: [1\n", "line 3:"),
        ("- task: 1\n", "line 1: a recipe holds `key: value` lines"),
        ("1: {[a]: 2}\n", "line 2: a key must be a plain word"),
    ],
)
def test_damaged_yaml_names_file_and_line(refusal: Refusal, text: str, message: str) -> None:
    line = refusal(text=text if text.startswith("-") else f"task: {FAKE_TASK}\n{text}")
    assert "demo.yaml:" in line
    assert message in line


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not a text file"):
        load_recipe([f"recipe={path}"])


def test_values_mean_what_they_say(load: Load) -> None:
    recipe = load(
        "supernet.lr=2e-4",
        "split={by: groups, decision: d, groups: [[none, no], [1, conv]]}",
        text="precision: no\nregions: {lr: 1e-3}\ndata: {flip: yes}\n",
    ).recipe
    assert (recipe.precision, recipe.supernet.lr, recipe.regions.lr) == ("no", 2e-4, 1e-3)
    assert recipe.data.flip is True
    assert recipe.split.groups == [["none", "no"], [1, "conv"]]
    assert load("precision=no").recipe.precision == "no"
    assert load("description=|conv~0|+").recipe.description == "|conv~0|+"
    assert load("data=images", "data.root=/a=b").recipe.data.root == "/a=b"


@pytest.mark.parametrize("word", ["none", "None", "null", "~", ""])
def test_none_in_all_spellings(load: Load, word: str) -> None:
    text = "data: {limit: 5, root: x}\nsupernet: {grad_clip: 1}\n"
    recipe = load(
        f"data.limit={word}", f"data.root={word}", f"supernet.grad_clip={word}", text=text
    ).recipe
    assert (recipe.data.limit, recipe.data.root, recipe.supernet.grad_clip) == (None, None, None)


def test_interpolations_are_refused(refusal: Refusal) -> None:
    line = refusal("data.root=${oc.env:HOME}", "seed=???", "retrain.compare=['${seed}']")
    for key in ("data.root", "seed", "retrain.compare"):
        assert f"{key}=" in line
    assert line.count("a recipe holds plain values") == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [("300M", 3e8), ("1.5G", 1.5e9), ("20k", 2e4), ("300 m", 3e8), ("1e6", 1e6), ("7", 7.0)],
)
def test_sizes(load: Load, text: str, value: float) -> None:
    assert load(f"constraint.flops={text}").recipe.constraint.flops == value
    assert load(text=f"constraint: {{params: {text}}}").recipe.constraint.params == value


def test_other_letters_are_no_size(refusal: Refusal) -> None:
    assert "constraint.flops=300X is not a number or none" in refusal("constraint.flops=300X")


# --- shorthands


def test_shorthands_in_words_and_files(load: Load) -> None:
    recipe = load(
        "strategy=tpe",
        "supernet.paths=fair",
        text="data: torch/CIFAR10\nevaluator: predictor\nsplit: random\n",
    ).recipe
    assert recipe.strategy.name == "tpe"
    assert recipe.supernet.paths.policy == "fair"
    assert recipe.data.source == "torch/CIFAR10"
    assert recipe.evaluator.name == "predictor"
    assert recipe.split.by == "random"


def test_a_shorthand_and_a_field_go_together_in_any_order(load: Load) -> None:
    one = load("split=random", "split.count=3").recipe
    other = load("split.count=3", "split=random").recipe
    assert one == other
    assert (one.split.by, one.split.count) == ("random", 3)


def test_shorthands_within_lists(load: Load) -> None:
    then = load(
        "split=random", "split.then=[random, {by: bands, feature: f, cuts: [2]}]"
    ).recipe.split.then
    bands = plugin("splitter", "bands").settings(by="bands", feature="f", cuts=[2.0])
    assert then == [plugin("splitter", "random").default(), bands]


def test_dotted_keys_in_files(load: Load) -> None:
    assert load(text="supernet.paths: fair\ndata.pad: 2\n").recipe.data.pad == 2


def test_a_section_without_shorthand_refuses_a_bare_value(refusal: Refusal) -> None:
    assert "search is a section, set search.trials and the like" in refusal("search=5")
    assert "split is a section" in refusal("split=")
    assert "split is a section" in refusal("split=[random]")
    assert "network is a section" in refusal(text="network: 3")


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["seed=1", "seed=2"], "seed", 2),
        (["strategy=tpe", "strategy.name=random"], "strategy.name", "random"),
        (["strategy.name=random", "strategy=tpe"], "strategy.name", "tpe"),
        (["split={by: random, count: 3}", "split.count=4"], "split.count", 4),
        (["split.count=4", "split={by: random, count: 3}"], "split.count", 3),
        (["network.channels=4", "network.channels=5"], "network.channels", 5),
        (["data.limit=5", "data.limit=none"], "data.limit", None),
    ],
)
def test_of_a_setting_given_twice_the_last_counts(
    load: Load, words: list[str], key: str, value: object
) -> None:
    loaded = load(*words)
    assert flatten(dataclasses.asdict(loaded.recipe))[key] == value
    assert loaded.overrides == tuple(words)


# --- wrong keys and types


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("supernet.lrr=1", "unknown setting 'supernet.lrr' (did you mean 'supernet.lr'?)"),
        ("network.chanels=1", "did you mean 'network.channels'?"),
        ("network.stem.widht=1", "did you mean 'network.stem.width'?"),
        ("split.then=[{byy: random}]", "unknown setting 'split.then[0].byy'"),
        ("sed=1", "did you mean 'seed'?"),
        ("trials=1", "did you mean 'search.trials'?"),
        ("supernett.epochs=1", "'supernet.epochs'"),
        ("zzzzzz=1", "unknown setting 'zzzzzz'"),
    ],
)
def test_unknown_keys(refusal: Refusal, word: str, hint: str) -> None:
    assert hint in refusal(word)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("search.trials=many", "search.trials=many is not a whole number"),
        ("search.trials=1.5", "search.trials=1.5 is not a whole number"),
        ("seed=null", "seed=none is not a whole number"),
        ("supernet.lr=true", "supernet.lr=true is not a number"),
        ("data.flip=maybe", "data.flip=maybe is not true or false"),
        ("data.limit=x", "data.limit=x is not a whole number or none"),
        ("data.root=[a]", "data.root=[a] is not text or none"),
        ("supernet.lr.x=3", "supernet.lr={x: 3} is not a number"),
        ("retrain.compare=random", "retrain.compare=random is not a list of texts"),
        ("split.groups=[a]", "split.groups=[a] is not a list of lists of values"),
        ("split.then=random", "split.then=random is not a list of sections"),
        ("split.cuts.0=3", "is not a list of numbers"),
        ("split.then=[{count: x}]", "split.then[0].count=x is not a whole number"),
        ("network.pair=[1]", "network.pair=[1] is not a list of 2 values"),
        ("network.stem.width=x", "network.stem.width=x is not a whole number"),
        ("task=[a]", "task takes a name"),
    ],
)
def test_wrong_types(refusal: Refusal, word: str, message: str) -> None:
    assert message in refusal(word)


def test_everything_wrong_is_in_one_line(refusal: Refusal) -> None:
    line = refusal("seed=x", "supernet.lrr=1", "search.trials=0", text="dat: {}\nregions: {lr: y}")
    assert "demo.yaml: unknown setting 'dat' (did you mean 'data'?)" in line
    assert "demo.yaml: regions.lr=y is not a number" in line
    for part in ("seed=x", "'supernet.lrr'", "search.trials=0 must be at least 1"):
        assert part in line
    assert line.count("; ") == 4


# --- tasks


def test_a_task_by_dotted_path() -> None:
    assert load_task(FAKE_TASK) is TASK


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing_of_the_kind", "unknown task 'nothing_of_the_kind'"),
        ("no.such.module:TASK", "unknown task 'no.such.module:TASK'"),
        ("../x", "unknown task"),
        ("", "unknown task"),
        (FAKE_TASK.replace("TASK", "TASKS"), "no attribute 'TASKS'.*did you mean 'TASK'"),
        (FAKE_TASK.replace("TASK", "NOT_A_TASK"), "is not a task"),
    ],
)
def test_tasks_that_cannot_be_used(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_task(name)


def test_unknown_task_lists_the_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewshot_core.tasks.task_names", lambda: ["cifar10", "imagenet"])
    with pytest.raises(RecipeError, match=r"did you mean 'imagenet'.*cifar10, imagenet"):
        load_task("imagnet")


def test_a_task_whose_imports_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needy_task.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError, match="needs the module 'surely_not_installed'"):
        load_task("needy_task:TASK")


def test_task_folders_are_found() -> None:
    folders = [path.parent.name for path in (REPOSITORY / "tasks").glob("*/task.py")]
    assert task_names() == sorted(folders)


# --- writing and comparing


def test_a_resolved_recipe_reads_back_the_same(load: Load, tmp_path: Path) -> None:
    recipe = load(
        "strategy=random",
        "split=groups",
        "split.decision=edge",
        "split.groups=[['1e3', 'no'], [1, 1.5]]",
        "split.then=[random]",
        "network.pair=[8,9]",
        text="description: |\n  first line\n  second: line\nprecision: no\n",
    ).recipe
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_yaml(recipe))
    assert recipe_from_file(path) == recipe
    assert load_recipe([f"recipe={path}"]).recipe == recipe


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(text="", option="\x85", lr=1.0, seed=0, limit=None)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="$?"), max_size=20),
    option=st.text(max_size=8).filter(lambda item: "${" not in item and item != "???"),
    lr=st.floats(1e-12, 1e12),
    seed=st.integers(0, 2**62),
    limit=st.none() | st.integers(1, 10**9),
)
def test_round_trip(
    tmp_path: Path, text: str, option: str, lr: float, seed: int, limit: int | None
) -> None:
    groups = replace(default_split("groups"), decision="d", groups=[[option, seed, lr], [None]])
    recipe = recipe_type({"network": FakeNetwork})(
        task=FAKE_TASK, description=text, seed=seed, split=groups
    )
    recipe = with_values(recipe, {"supernet.lr": lr, "data.limit": limit})
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_yaml(recipe), encoding="utf-8")
    assert recipe_from_file(path) == recipe


def test_differences(load: Load) -> None:
    recipe = load().recipe
    assert differences(recipe, load().recipe) == []
    other = with_values(recipe, {"description": "another text"})
    assert differences(recipe, other) == []
    other = load("supernet.paths=fair", "network.stem.width=3").recipe
    assert differences(recipe, other) == [
        "supernet.paths.policy: 'uniform' -> 'fair'",
        "supernet.paths.connected: False -> 'absent'",
        "network.stem.width: 8 -> 3",
    ]
    other = with_values(other, {"network": Stem()})
    assert "network.channels: 16 -> 'absent'" in differences(recipe, other)


def test_a_recipe_cannot_be_changed(load: Load) -> None:
    recipe = load().recipe
    for section in (recipe, recipe.supernet.paths, recipe.strategy, recipe.split):
        for field in dataclasses.fields(section):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(section, field.name, None)
    with pytest.raises(AttributeError, match="no setting 'lrr'"):
        with_values(recipe, {"supernet.lrr": 1})


def test_list_recipes(write: Write, tmp_path: Path) -> None:
    write("b", "description: |\n  First line.\n  Second line.\n")
    write("a", "seed: 3\n")
    write("c", "seed: 3\nseed: 4\n")
    listed = dict(list_recipes(tmp_path))
    assert list(listed) == ["a", "b", "c"]
    assert (listed["a"], listed["b"]) == ("", "First line.")
    assert listed["c"].startswith("(cannot be read: ")


def test_every_recipe_of_the_repository() -> None:
    files = sorted((REPOSITORY / "recipes").glob("*.yaml"))
    if not files:
        pytest.skip("the folder recipes/ holds no recipe yet")
    for file in files:
        lines = file.read_text().splitlines()
        header = []
        for line in lines:
            if not line.startswith("#"):
                break
            header.append(line)
        command = f"accelerate launch tools/search.py recipe={file.stem}"
        documented = next((line for line in header if command in line), None)
        assert documented is not None, f"{file}: the header lacks `{command}`"
        _, _, settings = documented.partition(command)
        words = [f"recipe={file}", *settings.removesuffix("\\").split()]
        assert load_recipe(words).recipe.description, f"{file}: no description"
