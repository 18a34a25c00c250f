"""Paths in recipes mean the same files from every working directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fewshot_core.recipe.load import load_recipe, recipe_from_file, recipe_yaml
from fewshot_core.recipe.places import absolute, database, local_model, place_of_images
from fewshot_core.recipe.schema import DataSettings

from .conftest import Load, Write


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which is none of a recipe."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def images(text: str, source: str) -> str:
    return place_of_images(text, DataSettings(source=source))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b", "{here}/a/b"),
        ("./a/", "{here}/a"),
        ("../a", "{above}/a"),
        ("a/../b", "{here}/a/../b"),  # where a is a link this is not b
        ("/a/b", "/a/b"),
        ("~/a", "~/a"),
        ("", ""),
    ],
)
def test_a_path_from_the_root_on(here: Path, text: str, expected: str) -> None:
    assert absolute(text) == expected.format(here=here, above=here.parent)


def test_links_stay_links(here: Path) -> None:
    (here / "target").mkdir()
    (here / "link").symlink_to("target")
    assert absolute("link") == f"{here}/link"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x-{0000..0099}.tar", "{here}/x-{{0000..0099}}.tar"),
        ("part/x-*.tar", "{here}/part/x-*.tar"),
        ("{a,b}/x.tar", "{{{here}/a,{here}/b}}/x.tar"),
        ("{a,/b}/x.tar", "{{{here}/a,/b}}/x.tar"),
        ("/a/x-{0..3}.tar", "/a/x-{{0..3}}.tar"),
        ("http://a/b.tar", "http://a/b.tar"),  # refused by who reads it
    ],
)
def test_names_of_shards(here: Path, text: str, expected: str) -> None:
    assert images(text, "wds") == expected.format(here=here)


def test_a_working_directory_is_no_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fewshot_core.data.shard_files import find_shards

    folder = tmp_path / "a[1]"
    folder.mkdir()
    (folder / "x-1.tar").write_bytes(b"")
    monkeypatch.chdir(folder)
    assert find_shards(images("x-*.tar", "wds")) == [folder / "x-1.tar"]
    assert images("x-1.tar", "wds") == str(folder / "x-1.tar")


def test_a_name_on_the_hub_is_no_path(here: Path) -> None:
    assert images("someone/birds:small", "hfds") == "someone/birds:small"
    assert images("./someone/birds", "hfds") == f"{here}/someone/birds"
    (here / "someone/birds").mkdir(parents=True)
    assert images("someone/birds", "hfds") == f"{here}/someone/birds"
    assert images("someone/birds", "images") == f"{here}/someone/birds"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///study.db", "sqlite:///{here}/study.db"),
        ("sqlite+pysqlite:///a/b.db?timeout=5", "sqlite+pysqlite:///{here}/a/b.db?timeout=5"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("postgresql+psycopg://me@host/nas", "postgresql+psycopg://me@host/nas"),
    ],
)
def test_databases(here: Path, url: str, expected: str) -> None:
    assert database(url) == expected.format(here=here)


def test_teachers(here: Path) -> None:
    assert local_model("local-dir:teacher") == f"local-dir:{here}/teacher"
    assert local_model("resnet18") == "resnet18"


WORDS = (
    "data=images",
    "data.root=photos",
    "data.test_root=../test",
    "search.storage=sqlite:///s.db",
    "retrain.teacher=local-dir:t",
)


def test_every_path_of_a_recipe_is_kept_in_full(load: Load, here: Path) -> None:
    recipe = load(*WORDS).recipe
    assert recipe.data.root == f"{here}/photos"
    assert recipe.data.test_root == f"{here.parent}/test"
    assert recipe.search.storage == f"sqlite:///{here}/s.db"
    assert recipe.retrain.teacher == f"local-dir:{here}/t"
    table = load("evaluator=table", text="evaluator: {table: t.csv}\n").recipe
    assert table.evaluator.table == f"{here}/t.csv"
    torch = load("data=torch/cifar10", "data.root=.").recipe
    assert torch.data.root == str(here)


def test_paths_of_a_tasks_own_sections(here: Path) -> None:
    words = ["recipe=autogan", "metric.weights=w.pth", "metric.cache=~/cache"]
    metric = load_recipe(words).recipe.metric
    assert (metric.weights, metric.cache) == (f"{here}/w.pth", "~/cache")


def test_a_run_is_continued_from_elsewhere(
    load: Load, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images are those that it began with, also where others of the same name are."""
    started = load(*WORDS).recipe
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text(recipe_yaml(started))
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "photos").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert recipe_from_file(run / "recipe.yaml").data.root == f"{here}/photos"
    assert load_recipe([f"run={os.path.relpath(run)}"]).recipe == started


def test_a_file_is_read_from_where_the_command_is_given(
    write: Write, here: Path, tmp_path: Path
) -> None:
    path = write("recipes/own", "data: {source: images, root: photos}\n")
    assert load_recipe([f"recipe={path}"]).recipe.data.root == f"{here}/photos"
