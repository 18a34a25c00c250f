"""Export a retrained network: a folder for plain timm, ONNX, and a card with its numbers.

label= picks the network (found, random, largest, given), out= the folder (RUN/export). license= is
the license of the weights (apache-2.0, mit, ..., other:NAME). int8=true adds a quantised ONNX file
and what it loses. push_to_hub=USER/NAME uploads the folder, private=true to a hidden repository.
weights=inherited exports without retraining, with the weights of the supernet: what the search
found, or trial=17, front=3 (a point of the Pareto front, 1 is the cheapest), architecture=GENOTYPE.
"""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command
from fewshot_core.errors import RecipeError

KEYS = {
    "run": Path | None,
    "recipe": "",
    "label": "",
    "out": Path | None,
    "license": "",
    "int8": False,
    "push_to_hub": "",
    "private": False,
    "weights": "retrained",
    "trial": int | None,
    "front": int | None,
    "architecture": "",
}


def perform(words: list[str]) -> Path:
    """Do it; for programs that use what it returns."""
    from fewshot_core.export.hub import check_repository
    from fewshot_core.export.licenses import check_license
    from fewshot_core.recipe.cli import find_named_run, parse_words
    from fewshot_core.recipe.declare import check_choice
    from fewshot_core.recipe.words import raise_problems

    options = parse_words(words, KEYS)
    raise_problems([*check_choice("weights", options["weights"], ("retrained", "inherited"))])
    check_license(options["license"])
    if options["push_to_hub"]:
        check_repository(options["push_to_hub"])
    elif options["private"]:
        raise RecipeError("private=true has no effect without push_to_hub=USER/NAME")
    find_named_run(options)  # without a run there is no need to import torch
    from fewshot_core.pipeline.export import export

    return export(options)


def action(words: list[str]) -> None:
    perform(words)


COMMAND = Command("export", __doc__ or "", action, keys=KEYS)
