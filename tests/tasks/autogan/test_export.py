"""An exported generator can do what modules can, where this project is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from fewshot_core.runs.files import write_copy, write_json, write_tensors
from fewshot_tasks.autogan import network

VECTORS = {"post": [0, 1, 0, 1, 1, 2, 2, 1, 1], "pre": [1, 2, 1, 0, 0, 1, 2, 0, 1]}
SHAPE = {"channels": 4, "latent": 6, "image_size": 8, "image_channels": 1}

USE = """
import copy, io, pickle, runpy, sys
from pathlib import Path

for name in ("fewshot_core", "fewshot_tasks"):
    sys.modules[name] = None
import torch

folders = sys.argv[1:]
expected = torch.load(sys.stdin.buffer, weights_only=True)
for how, folder in [(how, folder) for how in ("runpy", "import") for folder in folders]:
    if how == "runpy":
        load = runpy.run_path(str(Path(folder) / "generator.py"))["load"]
    else:
        sys.path.insert(0, folder)
        import generator
        load = generator.load
    model = load(folder)
    noise, images = expected[Path(folder).name]

    def same(other):
        with torch.no_grad():
            torch.testing.assert_close(other(noise), images, atol=1e-5, rtol=0)

    same(model)
    if how == "import" or folder == folders[0]:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        same(torch.load(file, weights_only=False))
        same(pickle.loads(pickle.dumps(model)))
    same(copy.deepcopy(model))
    same(torch.jit.trace(model, noise[:2]))
    batch = ({0: torch.export.Dim("batch", min=1)},)
    same(torch.export.export(model, (torch.randn(3, 6),), dynamic_shapes=batch).module())
    same(torch.compile(model, backend="eager", fullgraph=True))
    if how == "runpy":
        same(runpy.run_path(str(Path(folder) / "generator.py"))["load"]())
print("well")
"""


def test_a_good_citizen(tmp_path: Path) -> None:
    root = tmp_path / "100% of #1 [größe]?"
    expected = {}
    for name, vector in VECTORS.items():
        torch.manual_seed(0)
        generator = network.Generator(network.split_vector(vector), **SHAPE)
        with torch.no_grad():
            for _ in range(3):
                generator(torch.randn(8, 6))
            noise = torch.randn(5, 6)
            expected[name] = (noise, generator.eval()(noise))
        write_tensors(root / name / "generator.safetensors", generator.state_dict(), format="pt")
        write_copy(root / name / "generator.py", Path(network.__file__))
        write_json(root / name / "config.json", {"vector": vector, "generator": SHAPE})
    torch.save(expected, tmp_path / "expected.pt")
    with (tmp_path / "expected.pt").open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-I", "-c", USE, *(str(root / name) for name in VECTORS)],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=file,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "well\n", done.stderr
