"""What a run has read: it goes on with the same, or is another training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fewshot_core.errors import RunFolderError
from fewshot_core.pipeline import inputs
from fewshot_core.pipeline.inputs import INPUTS, Input, check_inputs, keep_inputs
from fewshot_core.pipeline.run import Run
from fewshot_core.runs.folder import RunFolder

TEACHER = "retrain.teacher"


def make_run(folder: Path, **variation: Any) -> Run:
    names = {TEACHER: variation["teacher"]} if variation else {}
    made = SimpleNamespace(folder=RunFolder(folder, writes=True), variation=names, writes=True)
    return cast("Run", made)


def test_another_teacher_is_refused_unless_it_makes_another_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {TEACHER: Input("resnet18", "a" * 64)}
    monkeypatch.setattr(inputs, "inputs_of", lambda run: named)
    keep_inputs(make_run(tmp_path))
    kept = (tmp_path / INPUTS).read_text()
    check_inputs(make_run(tmp_path))
    named[TEACHER] = Input("resnet34", "b" * 64)
    with pytest.raises(RunFolderError, match="not what this run began with"):
        check_inputs(make_run(tmp_path))
    check_inputs(make_run(tmp_path, teacher="resnet34"))
    keep_inputs(make_run(tmp_path, teacher="resnet34"))
    assert (tmp_path / INPUTS).read_text() == kept  # the run itself has the first one
