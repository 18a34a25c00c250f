"""The page and the notebook about the API do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fewshot

from . import notebook

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def test_the_page_names_every_public_name() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = [name for name in vars(fewshot.Run) if not name.startswith("_")]
    said = [name for name in names if f"run.{name}" not in text and f"`{name}" not in text]
    assert said == []
    values = {"Summary", "Training", "Inputs"}  # what `results` and `run.inputs` are made of
    for name in {*fewshot.__all__} - values:
        assert re.search(rf"`{name}`|fewshot\.{name}\b", text), name


def test_the_examples_of_the_page(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "front.pdf").stat().st_size > 1000
    assert (tmp_path / "exported" / "model.onnx").is_file()
    assert "supernet.epoch" in done.stdout.splitlines()[-1]


@pytest.mark.process  # of the kernel
def test_the_notebook(tmp_path: Path) -> None:
    whole = "".join(notebook.code_of(notebook.read()))
    assert all(f'"{key}": ' in whole for key in notebook.SHORT)
    if notebook.HAS_KERNEL:
        executed = notebook.execute(tmp_path, notebook.shorten)
        assert notebook.kinds(executed) == notebook.kinds(notebook.read())
    else:
        notebook.execute_plainly(tmp_path, notebook.shorten)
    assert (tmp_path / "runs" / "notebook" / "export" / "model.onnx").is_file()


def test_the_outputs_of_the_notebook_are_of_its_code_and_of_no_machine() -> None:
    kept = notebook.read()
    assert kept["metadata"]["fewshot"]["outputs_of"] == notebook.digest(kept), (
        "python -m tests.api.notebook makes them anew"
    )
    text = notebook.NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|usr|var|opt)/", text)
    assert "Traceback" not in text
    assert "Warning" not in text
    assert len(text) < 400_000
    assert any("image/png" in cell for cell in notebook.kinds(kept))
