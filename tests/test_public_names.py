"""The names that are offered to programs of other people: to users, and to writers of plug-ins."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
import torch  # noqa: F401  (the first import of it may start a process of its own)

import fewshot
import fewshot_core

FACES = pytest.mark.parametrize("face", [fewshot, fewshot_core], ids=lambda face: face.__name__)


@FACES
def test_every_public_name_is_there_and_documented(face: ModuleType) -> None:
    assert dir(face) == sorted(face.__all__)
    for name in face.__all__:
        found = getattr(face, name)
        assert found.__name__ == ("open_run" if name == "open" else name)
        assert found.__doc__


def test_names_that_both_have_are_one() -> None:
    shared = {*fewshot.__all__} & {*fewshot_core.__all__}
    assert shared == {"FewshotError"}
    assert fewshot.FewshotError is fewshot_core.FewshotError


@FACES
def test_another_name_is_an_attribute_error(face: ModuleType) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'serach'"):
        _ = face.serach


@pytest.mark.parametrize(
    ("face", "names"),
    [("fewshot", "search, fewshot.open, fewshot.Run"), ("fewshot_core", "register")],
)
def test_the_package_imports_nothing_until_a_name_is_used(face: str, names: str) -> None:
    code = (
        f"import sys, {face}\n"
        "loaded = {m for m in sys.modules if m.startswith('fewshot')}\n"
        f"assert loaded == {{{face!r}}}, loaded\n"
        f"{face}.{names}\n"
        "assert not {'torch', 'optuna', 'pandas', 'matplotlib'} & {*sys.modules}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
