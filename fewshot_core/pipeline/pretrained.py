"""The supernet of a run, filled with pretrained weights before it is trained."""

from __future__ import annotations

from pathlib import Path

from fewshot_core.pipeline.run import Run
from fewshot_core.runs.files import sha256, write_json
from fewshot_core.runs.pretrained import find_weights, read_weights
from fewshot_core.supernet import Supernet
from fewshot_core.supernet.pretrained import WeightsReport

REPORT = "weights.json"
"""What became of every tensor, beside the checkpoint of the supernet."""


def weights_of(run: Run) -> Path | None:
    """The file of ``supernet.weights``, downloaded if need be; None: there are none.

    Raises:
        RecipeError: The file cannot be had, or the task or its space takes none.
    """
    text = run.recipe.supernet.weights
    if not text:
        return None
    return find_weights(text, run.task.find_pretrained(run.recipe))


def check_weights(run: Run, supernet: Supernet) -> None:
    """Try whether the weights fit, on a supernet of the whole space that is then thrown away.

    Raises:
        RecipeError: They do not, or cannot be read.
    """
    if run.recipe.supernet.weights and not _has_begun(run, supernet):
        _load(run, supernet)


def fill(run: Run, supernet: Supernet) -> None:
    """Fill a fresh supernet, say what became of the tensors, and keep it in the run folder.

    Nothing happens where the training of its region has begun or ended, whose weights count.

    Raises:
        RecipeError: The weights cannot be read, or are of another network.
    """
    if not run.recipe.supernet.weights or _has_begun(run, supernet):
        return
    path, report = _load(run, supernet)
    digest = sha256(path)
    run.console.print(f"supernet.weights: {path.name}, SHA-256 {digest}: {report}")
    checkpoint = run.folder.checkpoint(supernet.region)
    if checkpoint.writes:
        source = {"weights": run.recipe.supernet.weights, "sha256": digest}
        checkpoint.folder.mkdir(parents=True, exist_ok=True)
        write_json(checkpoint.folder / REPORT, source | report.to_json())


def _has_begun(run: Run, supernet: Supernet) -> bool:
    state = run.folder.checkpoint(supernet.region).state()
    return state.done or state.step > 0


def _load(run: Run, supernet: Supernet) -> tuple[Path, WeightsReport]:
    path = weights_of(run)
    assert path is not None
    return path, run.task.load_pretrained(supernet, read_weights(path))
