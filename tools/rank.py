"""Rank scores against a table of true values, beside parameters, FLOPs and random scores.

With run=DIR the supernets of a run score every architecture of the table first (resumable).
With scores=FILE.csv a file of scores is ranked and no run is needed; recipe=NAME says whose space
it is about (nasbench201). Higher is better, but in columns named loss, fid or kid; better=lower and
score_better=lower say so of others.
"""

from pathlib import Path

from fewshot_core.recipe.cli import main, parse_words

KEYS = {
    "run": Path | None,
    "recipe": "",
    "truth": Path,
    "column": str,
    "scores": Path | None,
    "score_column": "score",
    "better": "",
    "score_better": "",
}


def action(words: list[str]) -> None:
    options = parse_words(words, KEYS, settings=True)
    from fewshot_core.pipeline.rank import rank

    rank(options)


if __name__ == "__main__":
    raise SystemExit(main("rank", __doc__, action, keys=KEYS))
