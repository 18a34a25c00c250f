"""Convert published data to what this program reads.

images=DIR is a folder of down-sampled ImageNet as it is published (Chrabaszcz et al., 2017): the
pickled files train_data_batch_1 to train_data_batch_10 and val_data. to=DIR gets train.tar and
test.tar, class folders of PNG files. classes=120 keeps the first so many classes: those of
ImageNet16-120.

weights=FILE|URL|NAME to=FILE.safetensors writes pretrained weights, read without running code, as
safetensors with the same names; the metadata has the SHA-256 of the source.
"""

from __future__ import annotations

from collections import ChainMap
from pathlib import Path

from fewshot_core.commands.command import Command
from fewshot_core.errors import RecipeError

KEYS = {"images": Path | None, "weights": "", "to": Path, "classes": 120}


def action(words: list[str]) -> None:
    from fewshot_core.recipe.cli import parse_words

    options = parse_words(words, KEYS)
    if (options["images"] is None) == (not options["weights"]):
        raise RecipeError("convert needs one of images=DIR and weights=FILE")
    if options["weights"]:
        print(convert_weights(options["weights"], options["to"]))
        return
    from fewshot_core.data.pickled import convert
    from fewshot_core.runs.console import Console

    for line in convert(options["images"], options["to"], options["classes"], Console()):
        print(line)


def convert_weights(text: str, to: Path) -> str:
    """Write pretrained weights as safetensors; returns what was done, in a line.

    Raises:
        FewshotError: They cannot be had or read, or the target is there already.
    """
    from fewshot_core.runs.files import sha256, write_tensors
    from fewshot_core.runs.pretrained import find_weights, read_weights
    from fewshot_core.tasks import load_task, task_names

    if to.exists():
        raise RecipeError(f"{to} is there already", fix="name another file with to=")
    published = [load_task(name).published for name in task_names()]
    path = find_weights(text, dict(ChainMap(*map(dict, published))))
    digest, tensors = sha256(path), read_weights(path)
    whole = {name: tensor.clone() for name, tensor in tensors.items()}  # none shares its memory
    write_tensors(to, whole, source=text, source_sha256=digest)
    return f"{to}: {len(whole)} tensors of {path.name}, SHA-256 {digest}"


COMMAND = Command("convert", __doc__ or "", action, keys=KEYS)
