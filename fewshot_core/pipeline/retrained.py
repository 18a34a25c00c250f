"""What a retraining has left: its results, and the networks that it has trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from fewshot_core.errors import RunFolderError
from fewshot_core.pipeline.retrain import build_trained
from fewshot_core.pipeline.run import KeptRun
from fewshot_core.pipeline.stock import read_trained
from fewshot_core.recipe.declare import with_values
from fewshot_core.runs.retrained import FOUND, read_retrained


def require_retrained(run: KeptRun) -> list[dict[str, Any]]:
    """The results of a run, one for each label and seed; at least one.

    Raises:
        RunFolderError: Nothing was retrained, or the file is damaged.
    """
    results = read_retrained(run.folder)
    if not results:
        raise RunFolderError(
            f"{run.folder.path} holds no retrained network",
            fix=f"run fewshot retrain run={run.folder.path} first",
        )
    return results


def choose_retrained(
    results: Sequence[dict[str, Any]], label: str, seed: int | None = None
) -> dict[str, Any]:
    """The result of one retrained network.

    Args:
        results: Those of the run.
        label: Which network; empty: the one found, or else the only one.
        seed: Which of its seeds; None: the first. Choosing the best by its test result would turn
            the test images into a choice.

    Raises:
        RunFolderError: There is none of that label or seed.
    """
    labels = list(dict.fromkeys(r["label"] for r in results))
    only = labels[0] if len(labels) == 1 else FOUND
    wanted = label or (FOUND if FOUND in labels else only)
    if wanted not in labels:
        raise RunFolderError(f"no retrained network {wanted!r}", allowed=", ".join(labels))
    of_label = [r for r in results if r["label"] == wanted]
    chosen = [r for r in of_label if seed is None or r["seed"] == seed]
    if not chosen:
        seeds = ", ".join(str(r["seed"]) for r in of_label)
        raise RunFolderError(f"no network {wanted!r} with seed {seed}", allowed=seeds)
    return chosen[0]


def load_retrained(run: KeptRun, result: Mapping[str, Any]) -> nn.Module:
    """The trained network of a result, on the CPU and in evaluation mode.

    Raises:
        RunFolderError: Its checkpoint is missing or damaged.
    """
    trained, settings = read_trained(run.root.space, result["genotype"]), result.get("settings")
    run = replace(run, recipe=with_values(run.recipe, settings or {}))
    network = build_trained(run, result["seed"], trained).cpu().eval()
    stage = run.folder.retraining(trained, result["seed"], settings)
    network.load_state_dict(stage.load_finished())
    return run.task.result(network)
