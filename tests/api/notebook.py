"""The notebook of the documentation, executed: with a kernel where one is installed.

``python -m tests.api.notebook`` executes it and keeps what comes out in the file itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.ipynb"
SECONDS = 900
SHORT = {
    "supernet.epochs": 1,
    "regions.epochs": 0.2,
    "search.trials": 6,
    "retrain.epochs": 0.5,
    "retrain.seeds": 2,
}
"""What a test has in place of the settings of the notebook, whose outputs are those of a search."""
HAS_KERNEL = all(importlib.util.find_spec(name) for name in ("nbclient", "ipykernel"))


def read() -> dict[str, Any]:
    """The notebook as JSON."""
    found: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return found


def code_of(notebook: dict[str, Any]) -> list[str]:
    """The text of every code cell."""
    cells = notebook["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def digest(notebook: dict[str, Any]) -> str:
    """Of the code, kept beside the outputs: they are those of this code."""
    return hashlib.sha256(json.dumps(code_of(notebook)).encode()).hexdigest()


def kinds(notebook: dict[str, Any]) -> list[list[str]]:
    """What kinds of output each code cell has."""
    return [
        sorted({kind for output in cell["outputs"] for kind in (output.get("data") or ["text"])})
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def shorten(code: str) -> str:
    """The same code with the settings of ``SHORT``."""
    for key, value in SHORT.items():
        code = re.sub(rf'("{re.escape(key)}": )[\d.]+', rf"\g<1>{value}", code)
    return code


def execute(folder: Path, change: Callable[[str], str] = str) -> dict[str, Any]:
    """The notebook with its outputs, after a kernel has worked in a folder.

    Args:
        folder: Where it works.
        change: What becomes of the code of a cell before.
    """
    import nbformat
    from nbclient import NotebookClient

    os.environ["IPYTHONDIR"] = str(folder / ".ipython")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = change(cell["source"])
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources=where, record_timing=False
    ).execute()
    found: dict[str, Any] = json.loads(nbformat.writes(notebook))
    return found


def execute_plainly(folder: Path, change: Callable[[str], str] = str) -> None:
    """The code of all cells in one process, as a kernel would, without what it shows."""
    code = "\n\n".join(map(change, code_of(read())))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def join_streams(cell: dict[str, Any]) -> None:
    """Make one output of lines that came one after the other."""
    joined: list[dict[str, Any]] = []
    for output in cell.get("outputs", []):
        before = joined[-1] if joined else {}
        if output.get("name") is not None and output["name"] == before.get("name"):
            before["text"] = "".join([*before["text"], *output["text"]]).splitlines(keepends=True)
        else:
            joined.append(output)
    cell["outputs"] = joined


def main() -> None:
    with TemporaryDirectory() as folder:
        notebook = execute(Path(folder))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            join_streams(cell)
    kept = read()["metadata"]
    notebook["metadata"] = kept | {"fewshot": {"outputs_of": digest(notebook)}}
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)
    NOTEBOOK.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
