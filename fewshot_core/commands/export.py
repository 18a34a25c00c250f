"""Export a retrained network: a folder for plain timm, ONNX, and a card with its numbers.

label= picks the network (found, random, largest, given), out= the folder (RUN/export).
weights=inherited exports without retraining, with the weights of the supernet: what the search
found, or trial=17, front=3 (a point of the Pareto front, 1 is the cheapest), architecture=GENOTYPE.
"""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command

KEYS = {
    "run": Path | None,
    "recipe": "",
    "label": "",
    "out": Path | None,
    "weights": "retrained",
    "trial": int | None,
    "front": int | None,
    "architecture": "",
}


def action(words: list[str]) -> None:
    from fewshot_core.recipe.cli import find_named_run, parse_words
    from fewshot_core.recipe.declare import check_choice
    from fewshot_core.recipe.words import raise_problems

    options = parse_words(words, KEYS)
    problems = list(check_choice("weights", options["weights"], ("retrained", "inherited")))
    raise_problems(problems)
    find_named_run(options)  # without a run there is no need to import torch
    from fewshot_core.pipeline.export import export

    export(options)


COMMAND = Command("export", __doc__ or "", action, keys=KEYS)
