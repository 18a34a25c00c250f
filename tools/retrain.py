"""Train what a search found from scratch, beside a random and the largest architecture.

The test images are read after all trainings. The same command again continues.
"""

from pathlib import Path

from fewshot_core.recipe.cli import main, parse_words

KEYS = {"run": Path | None, "recipe": "", "architecture": ""}


def action(words: list[str]) -> None:
    options = parse_words(words, KEYS, settings=True)
    from fewshot_core.pipeline.retrain import retrain

    retrain(options)


if __name__ == "__main__":
    raise SystemExit(main("retrain", __doc__, action, keys=KEYS))
