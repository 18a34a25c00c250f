from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from fewshot_core.errors import RunFolderError
from fewshot_core.pipeline.processes import make_accelerator
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs import precision
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.precision import has_bf16, precision_note, resolve_precision

Native = Callable[[bool], None]


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Native:
    """Pretend that this device has instructions for bfloat16, or that it has none."""
    return lambda answer: monkeypatch.setattr(precision, "has_bf16", lambda: answer)


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni", True),
        ("flags\t\t: fpu amx_bf16 amx_tile", True),
        ("Features\t: fp asimd sve bf16 i8mm", True),
        ("flags\t\t: fpu avx2 avx512f avx512_vnni", False),
        ("flags\t\t: fpu svebf16x", False),
    ],
)
def test_a_processor_says_whether_it_has_bf16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, found: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\n{flags}\n")
    assert has_bf16(info) is found


def test_nothing_is_claimed_of_a_processor_that_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not has_bf16(tmp_path / "none")


@pytest.mark.parametrize(("capability", "found"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_has_it_from_ampere_on(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], found: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert has_bf16() is found


@pytest.mark.parametrize(("flags", "found"), [("avx2", False), ("avx512_bf16", True)])
def test_a_launch_on_the_cpu_asks_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, found: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5) if found else (9, 0))
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    info = tmp_path / "cpuinfo"
    info.write_text(f"flags\t\t: fpu {flags}\n")
    assert has_bf16(info) is found


def test_only_auto_looks_at_the_device(native: Native) -> None:
    native(False)
    wanted = (None, "bf16", "auto")
    assert [resolve_precision(one, None) for one in wanted] == ["no", "bf16", "no"]
    native(True)
    assert [resolve_precision(wanted, None) for wanted in ("no", "auto")] == ["no", "bf16"]


@pytest.fixture
def used() -> Iterator[Callable[[Recipe, Path], str]]:
    """The precision of a launch; a process has one until its state is reset."""

    def launched(recipe: Recipe, run: Path) -> str:
        AcceleratorState._reset_state()
        return str(make_accelerator(recipe, run).mixed_precision)

    yield launched
    AcceleratorState._reset_state()


@pytest.mark.parametrize("kept", ["no", "bf16"])
def test_a_run_goes_on_in_the_precision_that_it_began_with(
    tmp_path: Path, native: Native, used: Callable[[Recipe, Path], str], kept: str
) -> None:
    run, recipe = tmp_path / "run", Recipe(precision="auto")
    native(kept == "bf16")
    folder = RunFolder(run)
    folder.begin(recipe, [], used(recipe, run))
    folder.close()
    native(kept != "bf16")
    assert used(recipe, run) == kept
    assert used(recipe, tmp_path / "another") != kept


@pytest.mark.parametrize("content", ["{}", "[]", '{"precision": "int1"}', '{"precision": ["no"]}'])
def test_a_run_that_does_not_say_has_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "environment.json").write_text(content)
    assert RunFolder.precision(tmp_path) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(json.dumps({"precision": "no"})[:-4])
    with pytest.raises(RunFolderError, match=r"environment\.json cannot be read"):
        RunFolder.precision(tmp_path)


def test_a_slow_choice_is_pointed_out_and_a_choice_for_the_user_is_told(native: Native) -> None:
    native(False)
    assert "precision=no" in (precision_note("bf16", "bf16") or "")
    assert "precision no" in (precision_note("auto", "no") or "")
    assert precision_note(None, "no") is None
    native(True)
    assert precision_note("bf16", "bf16") is None
    assert "precision bf16" in (precision_note("auto", "bf16") or "")
