"""Write the report of a run anew from what its folder holds, and print its main table."""

from pathlib import Path

from fewshot_core.recipe.cli import main, parse_words

KEYS = {"run": Path | None, "recipe": ""}


def action(words: list[str]) -> None:
    options = parse_words(words, KEYS)
    from fewshot_core.pipeline.report import report

    report(options)


if __name__ == "__main__":
    raise SystemExit(main("report", __doc__, action, keys=KEYS))
