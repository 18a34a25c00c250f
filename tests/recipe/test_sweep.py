from __future__ import annotations

import os
from pathlib import Path

import pytest

from fewshot_core.errors import FewshotError, RecipeError, RunFolderError
from fewshot_core.recipe.commas import combine, split_value
from fewshot_core.recipe.sweep import plan_sweep
from fewshot_core.runs.sweeps import DONE, SWEEP, read_sweep


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0,1,2", ["0", "1", "2"]),
        ("rea, random", ["rea", "random"]),
        ("1M,2M", ["1M", "2M"]),
        ("[random,largest]", ["[random,largest]"]),
        ("[random],[largest,random]", ["[random]", "[largest,random]"]),
        ("{name: tpe, a: 1},rea", ["{name: tpe, a: 1}", "rea"]),
        ("'a,b'", ["'a,b'"]),
        ('"a,b",c', ['"a,b"', "c"]),
        ("f(a,b),c", ["f(a,b)", "c"]),
        ("it's,b", ["it's", "b"]),
        ("[a,b", ["[a,b"]),
        ("'a,b", ["'a,b"]),
        ("a", ["a"]),
        ("a,", ["a", ""]),
    ],
)
def test_a_comma_separates_outside_of_brackets_and_quotes(text: str, values: list[str]) -> None:
    assert split_value(text) == values


def test_the_last_word_varies_fastest_and_a_repeated_value_counts_once() -> None:
    found = combine([("seed", "0,1,0"), ("x", "7"), ("strategy", "a,b")], lambda key: False)
    assert [one.chosen for one in found] == [
        (("seed", "0"), ("strategy", "a")),
        (("seed", "0"), ("strategy", "b")),
        (("seed", "1"), ("strategy", "a")),
        (("seed", "1"), ("strategy", "b")),
    ]
    assert all(("x", "7") in one.words for one in found)


def names(*words: str) -> list[str]:
    planned = plan_sweep(["recipe=digits", *words])
    assert planned is not None
    return [member.name for member in planned.sweep.members]


def test_words_without_commas_are_one_run() -> None:
    assert plan_sweep(["recipe=digits", "seed=1"]) is None
    assert plan_sweep(["recipe=digits", "retrain.compare=[random,largest]"]) is None
    assert plan_sweep(["recipe=digits", "data.source=images", "data.root=/a,b"]) is None
    assert plan_sweep(["run=runs/of,commas", "recipe=digits"]) is None


def test_a_member_has_the_words_that_it_reads() -> None:
    found = names("seed=0,1", "strategy=rea,random", "strategy.population=20,30")
    assert found == [
        "seed=0+strategy=rea+strategy.population=20",
        "seed=0+strategy=rea+strategy.population=30",
        "seed=0+strategy=random",
        "seed=1+strategy=rea+strategy.population=20",
        "seed=1+strategy=rea+strategy.population=30",
        "seed=1+strategy=random",
    ]
    planned = plan_sweep(["recipe=digits", "strategy=rea,random", "strategy.population=20"])
    assert planned is not None
    assert planned.sweep.members[1].words == ["recipe=digits", "strategy=random"]
    assert planned.sweep.folder == Path("runs/digits-sweep")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["seed=0,,1"], "seed=0,,1 has nothing between two commas"),
        (["seed=0,x"], "seed=x is not a whole number"),
        (["strategy=rea,reaa"], "did you mean 'rea'"),
        (["seed=0,1", "sede=3"], "unknown setting 'sede'"),
        (["seed=0,1", "strategy=random", "strategy.population=9"], "has no effect"),
        (["strategy=tpe,random", "strategy.sample=9,11"], "has no effect"),
        (["seed=0,1", "--lr", "3"], "settings are written key=value"),
        (["seed=0,1", "members=many"], "members=many is not a whole number"),
        ([f"seed={','.join(map(str, range(101)))}"], "ask for 101 runs"),
    ],
)
def test_a_wrong_word_of_any_member_is_one_line(words: list[str], what: str) -> None:
    with pytest.raises(RecipeError, match=what) as caught:
        plan_sweep(["recipe=digits", *words])
    assert "\n" not in str(caught.value)


def test_more_runs_than_usual_need_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewshot_core.recipe.sweep.MOST", 3)
    with pytest.raises(RecipeError, match="members=4"):
        names("seed=0,1", "search.trials=5,6")
    with pytest.raises(RecipeError, match="members=4"):
        names("seed=0,1", "search.trials=5,6", "members=3")
    assert len(names("seed=0,1", "search.trials=5,6", "members=4")) == 4


def kept(folder: Path, *words: str) -> None:
    """A sweep's folder in which the first member is done."""
    planned = plan_sweep(["recipe=digits", f"run={folder}", *words])
    assert planned is not None
    folder.mkdir()
    planned.sweep.members[0].state = DONE
    planned.sweep.save()


def test_a_sweep_goes_on_by_its_folder_alone_and_may_grow(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    kept(folder, "seed=0,1", "search.trials=5")
    again = plan_sweep([f"run={folder}"])
    assert again is not None
    assert [(one.name, one.state) for one in again.sweep.members] == [
        ("seed=0", DONE),
        ("seed=1", "waiting"),
    ]
    more = plan_sweep(
        ["recipe=digits", "strategy=random,rea", "seed=1,0", "search.trials=5", f"run={folder}"]
    )
    assert more is not None
    assert [(one.name, one.state) for one in more.sweep.members] == [
        ("strategy=random+seed=1", "waiting"),
        ("strategy=random+seed=0", "waiting"),
        ("seed=1", "waiting"),
        ("seed=0", DONE),
    ]


def test_a_sweep_keeps_what_it_has(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    kept(folder, "seed=0,1", "search.trials=5")
    with pytest.raises(RecipeError, match=r"another sweep.*seed=0"):
        plan_sweep(["recipe=digits", "seed=1,2", "search.trials=5", f"run={folder}"])
    with pytest.raises(RecipeError, match="another sweep"):
        plan_sweep(["recipe=digits", "seed=0,1", "search.trials=6", f"run={folder}"])


def test_a_sweep_keeps_its_paths_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    planned = plan_sweep(["recipe=digits", "data.source=images", "data.root=mine", "seed=0,1"])
    assert planned is not None
    assert f"data.root={tmp_path / 'mine'}" in planned.sweep.words
    os.chdir("/")
    planned.sweep.folder = tmp_path / "sweep"
    planned.sweep.folder.mkdir()
    planned.sweep.save()
    again = plan_sweep([f"run={tmp_path / 'sweep'}"])
    assert again is not None
    assert again.recipes[0].data.root == str(tmp_path / "mine")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"words": []}',
        '{"words": [1], "members": []}',
        '{"words": [], "members": [{"name": "../x", "words": [], "chosen": []}]}',
        '{"words": [], "members": [{"name": "x", "words": [], "chosen": [], "state": "odd"}]}',
    ],
)
def test_a_damaged_file_of_a_sweep_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / SWEEP).write_text(text)
    with pytest.raises(FewshotError, match=SWEEP):
        read_sweep(tmp_path)
    with pytest.raises(RunFolderError, match="no folder of a sweep"):
        read_sweep(tmp_path / "elsewhere")
