"""Runs the Python that a card shows, as it shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

_RUN = """
import contextlib, io, json, re, shutil, sys
from pathlib import Path

which, blocked, *pictures = sys.argv[1:]
for name in blocked.split(","):
    sys.modules[name] = None
code = re.findall("```python\\n(.*?)```", Path("README.md").read_text(), re.S)[int(which)]
said = []
for picture in pictures:
    shutil.copy(picture, "image.png")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "the card", "exec"), {})
    said.append(out.getvalue())
print(json.dumps(said))
"""
OURS = "fewshot_core,fewshot_tasks"
"""What is blocked where this project is not installed."""

ALONE = f"{OURS},torch,torchvision,timm,onnx,scipy"
"""What is blocked where there is little more than onnxruntime."""


def run_snippet(which: int, folder: Path, blocked: str, pictures: Sequence[Path]) -> list[str]:
    """What a snippet of the card in ``folder`` prints of each picture.

    Args:
        which: Its number on the card.
        blocked: Packages that cannot be imported, with commas.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", _RUN, str(which), blocked, *map(str, pictures)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: list[str] = json.loads(done.stdout.splitlines()[-1])
    return said


def write_pictures(folder: Path) -> list[Path]:
    """Image files of several sizes, shapes and modes."""
    rng, paths = np.random.default_rng(0), []
    for number, shape in enumerate(
        [(8, 8), (8, 8), (23, 41), (31, 20, 3), (9, 9, 4), (8, 8, 3), (64, 15, 3), (50, 50)]
    ):
        paths.append(folder / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(paths[-1])
    return paths
