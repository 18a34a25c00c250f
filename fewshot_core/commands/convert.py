"""Convert published data to what this program reads.

images=DIR is a folder of down-sampled ImageNet as it is published (Chrabaszcz et al., 2017): the
pickled files train_data_batch_1 to train_data_batch_10 and val_data. to=DIR gets train.tar and
test.tar, class folders of PNG files. classes=120 keeps the first so many classes: those of
ImageNet16-120.
"""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command

KEYS = {"images": Path, "to": Path, "classes": 120}


def action(words: list[str]) -> None:
    from fewshot_core.recipe.cli import parse_words

    options = parse_words(words, KEYS)
    from fewshot_core.data.pickled import convert
    from fewshot_core.runs.console import Console

    for line in convert(options["images"], options["to"], options["classes"], Console()):
        print(line)


COMMAND = Command("convert", __doc__ or "", action, keys=KEYS)
