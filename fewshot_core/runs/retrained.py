"""``retrain.json``: what was trained from scratch in a run and tested, one beside the other.

Each result has a label that says what it is of. Trainings with other settings than the run's have
these behind it, as in ``found, retrain.epochs=40``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from fewshot_core.errors import RunFolderError
from fewshot_core.recipe.places import is_local_model
from fewshot_core.recipe.stock_names import PRETRAINED, SCRATCH, stock_name
from fewshot_core.recipe.yamltext import write_value
from fewshot_core.runs.files import read_json, write_json
from fewshot_core.runs.folder import RunFolder

RETRAIN = "retrain.json"
"""The file of a run folder that keeps results of retraining."""

PREDICTIONS = "predictions.json"
"""The file beside a retraining's checkpoint that keeps what its network says of the test images."""

INHERITED = "inherited"
"""What a training starts from, beside what stock models do: ``retrain.start``, which may also be
``timm:NAME``."""

NEAR = "nearest_to"
"""In a stock model's result: the id of the architecture whose FLOPs it was chosen by."""

_HOW = {
    SCRATCH: "trained from scratch",
    INHERITED: "fine-tuned from the weights of the supernet",
    PRETRAINED: "fine-tuned from published weights",
}

_OF_FOLDER = "weights of "
"""What a start begins with that is a folder with a model of timm."""

FOUND, EARLIER, GIVEN, TRIAL = "found", "earlier", "given", "trial"
"""Labels: what the search found, what it had found before it went on, what was given by hand, and a
trial of the search by its number."""


def read_retrained(folder: RunFolder) -> list[dict[str, Any]]:
    """The results that a run has; none where nothing was retrained.

    Raises:
        RunFolderError: The file is damaged.
    """
    path = folder.file(RETRAIN)
    if not path.exists():
        return []
    fix = f"delete it, and run fewshot retrain run={folder.path} again: trainings are kept"
    found = read_json(path, fix)
    try:
        results: list[dict[str, Any]] = found["results"]
        for result in results:
            _ = result["label"], result["id"], result["seed"], result["genotype"], result["test"]
    except (KeyError, TypeError) as error:
        raise RunFolderError(f"{path} is damaged", found=repr(error), fix=fix) from None
    return results


def merge_results(
    before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Results with later ones laid over them: of a label and seed the later one counts."""
    merged = {(one["label"], one["seed"]): one for one in before}
    return list((merged | {(one["label"], one["seed"]): one for one in now}).values())


def label_for(
    base: str, architecture: str, settings: Mapping[str, object], known: Sequence[dict[str, Any]]
) -> str:
    """The label of a training: that of the same one before, or one that nothing else has.

    Args:
        base: What is trained: ``given``.
        architecture: Its id.
        settings: Settings of its training that are not those of the run's recipe.
        known: The results of the run.

    Returns:
        ``given``; for a second architecture ``given 2``; with settings behind it.
    """
    taken = {one["label"]: one["id"] for one in known}
    number = 1
    while True:
        name = base if number == 1 else f"{base} {number}"
        others = {found for label, found in taken.items() if base_label(label) == name} - {
            architecture
        }
        if not others:
            return with_settings(name, settings)
        number += 1


def with_settings(label: str, settings: Mapping[str, object]) -> str:
    """A label with settings behind it."""
    return ", ".join([label, *(f"{key}={write_value(settings[key])}" for key in sorted(settings))])


def base_label(label: str) -> str:
    """A label without settings: what was trained."""
    return label.partition(", ")[0]


def kind_of_label(label: str) -> str:
    """A label without settings and number."""
    return base_label(label).partition(" ")[0]


def start_of_result(result: Mapping[str, Any]) -> str:
    """What a training started from, as :func:`how_trained` takes it.

    Those of earlier versions started from scratch. Of a model in a folder nobody knows whether its
    weights are published, so its start is that folder.
    """
    start, stock = str(result.get("start", SCRATCH)), stock_name(str(result["genotype"]))
    if start == PRETRAINED and stock is not None and is_local_model(stock[0]):
        return f"{_OF_FOLDER}{stock[0]}"
    return start


def starts_of(results: Iterable[Mapping[str, Any]]) -> set[str]:
    """What trainings started from; see :func:`start_of_result`."""
    return {start_of_result(result) for result in results}


def how_trained(starts: Iterable[str]) -> str:
    """How networks were trained that started so, in words that go on a sentence."""
    starts = set(starts)
    texts = [text for start, text in _HOW.items() if start in starts]
    tuned = [text for text in texts if text != _HOW[SCRATCH]]
    tuned += [f"fine-tuned from {_weights(start)}" for start in sorted(starts - _HOW.keys())]
    joined = " or ".join(tuned).replace(" or fine-tuned", " or")
    return ", or ".join([*(t for t in texts if t not in tuned), *([joined] if joined else [])])


def _weights(start: str) -> str:
    """What is neither a supernet nor published, in words."""
    if start.startswith(_OF_FOLDER):
        return f"the weights {in_folder(start.removeprefix(_OF_FOLDER))}"
    name, _ = stock_name(start) or (start, "")
    of = in_folder(name) if is_local_model(name) else name
    return f"the weights of the stock model {of} where blocks agree"


def in_folder(name: str) -> str:
    """A model of timm in a folder, by the folder's name: its place says nothing elsewhere."""
    return f"in the folder {PurePath(name).name}"


def without_places(label: str) -> str:
    """A label with the folders of local models by their names, for people: places are long."""
    return re.sub(r"local-dir:[^\s,]*/([^/\s,]+)", r"\1", label)


def license_of_start(start: str) -> str:
    """A sentence about the license of weights that a training started from; empty: they are its
    own.

    Args:
        start: See :func:`start_of_result`.
    """
    stock = stock_name(start)
    folder = start.removeprefix(_OF_FOLDER) if start.startswith(_OF_FOLDER) else ""
    if stock is not None and is_local_model(stock[0]):
        folder = stock[0]
    if folder:
        return (
            f"Its training began with the weights {in_folder(folder)}; where they have a license, "
            "it applies as well."
        )
    if start == PRETRAINED or stock is not None:
        return "Its training began with published weights, whose license applies as well."
    return ""


def settings_of_label(label: str) -> str:
    """The settings behind a label; empty: those of the run's recipe."""
    return label.partition(", ")[2]


def relabel_found(folder: RunFolder, architecture: str) -> None:
    """Where a search that went on finds something else, what it had found is found no more.

    Args:
        folder: The folder of the run.
        architecture: The id of what is found now.
    """
    results = read_retrained(folder)
    changed: list[dict[str, Any]] = []
    for one in results:
        if base_label(one["label"]) == FOUND and one["id"] != architecture:
            name = base_label(label_for(EARLIER, one["id"], {}, [*results, *changed]))
            rest = settings_of_label(one["label"])
            one = one | {"label": f"{name}, {rest}" if rest else name}
        changed.append(one)
    if changed != results:
        write_json(folder.file(RETRAIN), read_json(folder.file(RETRAIN)) | {"results": changed})
