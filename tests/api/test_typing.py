"""A script that uses the API is checked by mypy as a user would check it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
from pathlib import Path

import fewshot

run = fewshot.search("digits", Path("runs/x"), flops="30M", supernet={"epochs": 5})
epochs: float = fewshot.open("runs/x").recipe.supernet.epochs
best: fewshot.Network = run.best
flops: list[float] = [point.costs["connected_flops"] for point in run.front]
genotypes: list[str] = [row.genotype for row in run.list_trials()]
results: fewshot.Results = run.retrain(best, settings={"architecture": "x"})
mean: float = results.mean
spreads: dict[str, float] = {k: s.spread for k, s in results.comparisons.items()}
seconds: list[float] = [training.training_seconds for training in results]
folder: Path = run.export(out="x", label="largest")
tau: float = run.rank("truth.csv", "accuracy")["parameters"].tau
run.figure("front").savefig("x.pdf")
parameters: int = sum(p.numel() for p in run.model(seed=0).parameters())
try:
    run.report()
except (fewshot.FewshotError, fewshot.Preempted) as error:
    print(error)
"""

WRONG = """
run.retrain(3)
best.scores
fewshot.open()
fewshot.serach("digits")
word: int = run.export()
"""


def test_mypy_knows_every_type(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + WRONG)
    done = subprocess.run(
        # With the options and the cache of `make lint`, or it would take a minute.
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--strict", str(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    first = SCRIPT.count("\n") + 1
    lines = [line for line in done.stdout.splitlines() if line.startswith(str(script))]
    found = {int(line.split(":")[1]) for line in lines if ": error:" in line}
    assert found == set(range(first + 1, first + 1 + WRONG.count("\n") - 1)), done.stdout
