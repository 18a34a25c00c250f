"""Export a retrained network: a folder for plain timm, ONNX, and a card with its numbers.

label= picks the network (found, random, largest, given), out= the folder (RUN/export).
"""

from pathlib import Path

from fewshot_core.recipe.cli import main, parse_words

KEYS = {"run": Path | None, "recipe": "", "label": "", "out": Path | None}


def action(words: list[str]) -> None:
    options = parse_words(words, KEYS)
    from fewshot_core.pipeline.export import export

    export(options)


if __name__ == "__main__":
    raise SystemExit(main("export", __doc__, action, keys=KEYS))
