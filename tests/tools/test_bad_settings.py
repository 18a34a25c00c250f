"""Settings and images that cannot be are refused in one line, before there is a run folder.

Most are refused in this process; that the line of a process is the same is shown by a few.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.data.forms import images, png, samples, write_tar

from .process import run_here, run_tool, words_of
from .refusals import contents, refused
from .tiny import TINY

NO_SPLIT = {key: value for key, value in TINY.items() if not key.startswith("split")}

# -- settings ------------------------------------------------------------------------------

SETTINGS: dict[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "recipe": ({"recipe": "digit"}, ("unknown recipe 'digit'", "did you mean 'digits'")),
    "key": ({"supernet.epoch": 3}, ("supernet.epoch", "did you mean 'supernet.epochs'")),
    "type": ({"search.trials": "many"}, ("search.trials", "many")),
    "several": (
        {"search.trials": "many", "nonsense": 1, "data.test": 2},
        ("search.trials", "nonsense", "data.test=2"),
    ),
    "trials": ({"search.trials": 0}, ("search.trials=0 must be at least 1",)),
    "split.by": ({"split": "halves"}, ("split.by=halves", "groups")),
    "split.decision": ({"split.decision": "edge_9_9"}, ("edge_9_9", "edge_1_0")),
    "split.groups": (
        {"split.groups": "[[none,conv_9x9],[skip_connect,nor_conv_1x1,nor_conv_3x3,avg_pool_3x3]]"},
        ("edge_1_0", "conv_9x9", "nor_conv_3x3"),
    ),
    "split.groups incomplete": (
        {"split.groups": "[[none],[skip_connect]]"},
        ("edge_1_0", "every option once", "avg_pool_3x3"),
    ),
    "paths.feature": (
        {"supernet.paths": "balanced", "supernet.paths.feature": "nonlinaer"},
        ("nonlinaer", "did you mean 'nonlinear'"),
    ),
    "regions.paths.feature": (
        {"regions.paths": "balanced", "regions.paths.feature": "depth"},
        ("no feature 'depth'", "nonlinear"),
    ),
    "network.space": ({"network.space": "nasbench301"}, ("nasbench301", "nasbench201")),
    "network.channels": ({"network.channels": 0}, ("network.channels=0", "at least 1")),
    "data.source": ({"data": "digts"}, ("data.source=digts", "did you mean 'digits'")),
    "data.source torch": ({"data": "torch/cifar11"}, ("torch/cifar11", "torch/cifar10")),
    "data.limit": ({"data.limit": 5}, ("data.limit", "found: 5", "20 or more")),
    "strategy": ({"strategy": "hyprband"}, ("hyprband", "did you mean 'hyperband'")),
    "optimizer": ({"regions.optimizer": "sdg"}, ("sdg", "did you mean 'sgd'")),
    "constraint.params": (
        {"constraint.params": 10},
        ("constraint.params=10 cannot be met", "the cheapest", "raise constraint.params"),
    ),
    "constraint.flops": (
        {"constraint.flops": 1000},
        ("constraint.flops=1,000 cannot be met", "raise constraint.flops"),
    ),
    "evaluator": ({"evaluator": "guess"}, ("evaluator.name=guess", "inherited")),
    "evaluator.table": (
        {"evaluator": "table", "evaluator.table": "none.csv"},
        ("none.csv does not exist", "to fix:"),
    ),
    "storage": ({"search.storage": "nosuchdb://x"}, ("nosuchdb://x", "search.storage")),
    "preferences": (
        {"strategy": "darts", "preferences.order": 3, "preferences.share": 1, "preferences.lr": 0},
        (
            "preferences.order=3 must be at least 1 and at most 2",
            "preferences.share=1",
            "preferences.lr=0",
        ),
    ),
    "preferences.partial": (
        {"strategy": "pcdarts", "preferences.partial": 3},
        ("4 channels cannot be divided by preferences.partial=3", "multiple of 3"),
    ),
    "preferences and evaluator": (
        {"strategy": "enas", "evaluator": "naswot"},
        ("strategy.name=enas needs evaluator.name=inherited, not naswot",),
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings(case: str, tmp_path: Path) -> None:
    changes, parts = SETTINGS[case]
    refused(run_here("search", words_of(TINY | changes, run="run"), tmp_path), *parts)
    assert not any(tmp_path.iterdir())


def test_a_setting_in_vain(tmp_path: Path) -> None:
    words = ["recipe=digits", "data.root=/does/not/exist", "run=run"]
    line = "data.root=/does/not/exist has no effect with data.source=digits"
    refused(run_here("search", words, tmp_path), line, "images, wds, hfds or torch/NAME")
    assert not any(tmp_path.iterdir())


def test_feature_of_bands(tmp_path: Path) -> None:
    words = words_of(
        NO_SPLIT | {"split": "bands", "split.feature": "skip", "split.cuts": "[2]"}, run="run"
    )
    refused(run_here("search", words, tmp_path), "no feature 'skip'", "did you mean 'skips'")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("case", "real"), [("network.space", True), ("several", False), ("constraint.params", False)]
)
def test_a_process_says_the_same(case: str, real: bool, tmp_path: Path) -> None:
    """Started from nothing, libraries have more to say on standard error."""
    changes, parts = SETTINGS[case]
    words = words_of(TINY | changes, run="run")
    refused(run_tool("search", words, tmp_path, real=real), *parts)
    assert not any(tmp_path.iterdir())


def hide_smac(folder: str) -> None:
    """In a tool's process: a package that cannot be imported stands for one that is not there."""
    sys.path.insert(0, folder)


def test_a_strategy_whose_package_is_missing(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    (hidden / "smac").mkdir(parents=True)
    (hidden / "smac" / "__init__.py").write_text("raise ImportError(\"No module named 'smac'\")")
    words = words_of(TINY, strategy="smac", run="run")
    done = run_tool("search", words, tmp_path, prepare=hide_smac, arguments=(str(hidden),))
    refused(done, "strategy=smac needs the package smac", "No module named 'smac'", "pip install")
    assert not (tmp_path / "run").exists()


def test_a_bad_run_is_refused_before_the_recipe_is_tried(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    words = words_of(TINY, run="run")
    refused(
        run_here("search", words, tmp_path),
        "run is not a run folder",
        "thesis.tex",
        "choose an empty or new run=DIR",
    )
    assert contents(tmp_path) == {"run/thesis.tex": b"years of work"}


# -- images --------------------------------------------------------------------------------


def no_images(root: Path) -> None:
    """Nothing there."""


def class_without_images(root: Path) -> None:
    some_images(root)
    (root / "c").mkdir()


def corrupt_image(root: Path) -> None:
    some_images(root)
    path = root / "b" / "3.png"
    path.write_bytes(path.read_bytes()[:40])


def some_images(root: Path) -> None:
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for index in range(12):
            Image.new("L", (8, 8), 20 * index).save(root / name / f"{index}.png")


IMAGES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "missing": (no_images, ("data.root", "images does not exist", "one folder of images per")),
    "empty class": (class_without_images, ("images/c has no image", "remove the folder")),
    "corrupt": (corrupt_image, ("images/b/3.png",)),
}


@pytest.mark.parametrize("case", IMAGES)
def test_images(case: str, tmp_path: Path) -> None:
    make, parts = IMAGES[case]
    make(tmp_path / "images")
    settings = {key: value for key, value in TINY.items() if key != "data.limit"}
    words = words_of(settings | {"data.root": "images"}, run="run", data="images")
    refused(run_here("search", words, tmp_path), *parts)
    assert not (tmp_path / "run").exists()


SOURCES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a key without shards": (("data=images", "data.label_key=cls"), ("data.source=wds or hfds",)),
    "a shard that is missing": (
        ("data=wds", "data.root=images/part-{0000..0001}.tar"),
        ("images/part-0001.tar does not exist",),
    ),
    "a sample without label": (
        ("data=wds", "data.root=images"),
        ("images/part-0000.tar: the sample 00012 has no label", "data.label_key= names"),
    ),
    "a set that is missing": (("data=hfds", "data.root=./birds"), ("birds", "data.root")),
}


@pytest.mark.parametrize("case", SOURCES)
def test_sources(case: str, tmp_path: Path) -> None:
    members = [*samples(images(4)), ("00012.png", png(0))]
    write_tar(tmp_path / "images" / "part-0000.tar", members)
    words, parts = SOURCES[case]
    settings = {key: value for key, value in TINY.items() if key != "data.limit"}
    refused(run_here("search", [*words_of(settings, run="run"), *words], tmp_path), *parts)
    assert not (tmp_path / "run").exists()
