"""Cards of generators that were trained from scratch, and of those with a supernet's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fewshot_core.contexts import ExportContext, InheritedFacts
from fewshot_core.export.card import (
    digest_text,
    found_text,
    images_text,
    labels_of,
    training_text,
)
from fewshot_core.export.front_matter import Measured, front_matter
from fewshot_core.export.inherited_card import costs_rows, numbers_text, origin_text
from fewshot_core.export.licenses import license_text
from fewshot_core.recipe.schema import Recipe
from fewshot_core.report.account import channels_text, data_name, read_account
from fewshot_core.report.results import format_spread, label_text, summarise
from fewshot_core.runs.retrained import how_trained, starts_of
from fewshot_tasks.autogan.metrics import name_metric
from fewshot_tasks.autogan.settings import DESCRIPTION


def retrained_card(
    context: ExportContext,
    result: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    differences: Mapping[str, float],
) -> str:
    """The card of a generator that was trained on its own, as Markdown."""
    recipe, data = context.recipe, context.described
    account, environment = read_account(context.run, recipe, data), context.environment
    metric, measured = DESCRIPTION.metric, _measured(recipe, result["test"], "test")
    rows = "\n".join(
        f"| {label_text(row['label'])} | {format_spread(row['values'])} | {row['params']:,} |"
        for row in summarise(results, metric.name)
    )
    named = name_metric(metric, recipe, "test")
    latent = recipe.network.latent
    seen = f"{result['images_seen']:,} in {result['training_seconds']:.0f} s"
    average = (
        ""
        if not recipe.gan.ema
        else f"They are a moving average over training (decay {recipe.gan.ema}). "
    )
    published, labels = context.published, labels_of(result, results)
    repository = published.repository.rpartition("/")[2]
    front = front_matter(
        model_name=repository or f"generator-{result['id']}",
        account=account,
        labels=labels,
        license=published.license,
        task="unconditional-image-generation",
        library=None,
        tags=["gan", "onnx", "pytorch"],
        measured=measured,
    )
    return f"""{front}
# {repository or f"Generator {result['genotype']}"}

{account.origin(result["label"], labels, how_trained(starts_of([result])))}
{_made(data, latent)}

![samples](samples.png)

| | |
| --- | --- |
{_rows(measured)}
| parameters | {result["params"]:,} |
| FLOPs: multiply-adds of convolutions and linear layers, one image | {result["flops"]:,} |
| images seen by the discriminator | {seen} |
| license of the weights | {published.license.removeprefix("other:") or "not stated"} |

Distances are to the test images unless it says otherwise. {_comparable(recipe)}

{_use(latent, differences)}

{_limits(context)}

## Data

{images_text(recipe.data, data)}.{digest_text(published)}

## How the numbers came about

{found_text(account, labels)}{account.scoring(labels)}

{training_text(account, result, results)}
{average}No checkpoint was chosen by its score, and the noise is the same for all.

| generator | {named} | parameters |
| --- | --- | --- |
{rows}

Machine: {environment["processor"]}, {environment["accelerator"]}, torch
{environment["packages"]["torch"]}; {environment["date"]}.
"""


def inherited_card(
    context: ExportContext, facts: InheritedFacts, differences: Mapping[str, float]
) -> str:
    """The card of a generator with its supernet's weights, as Markdown.

    It has no test result, because nobody has measured one.
    """
    recipe, data, published = context.recipe, context.described, context.published
    account = read_account(context.run, recipe, data)
    measured = _measured(recipe, facts.metrics, "validation")
    latent, repository = recipe.network.latent, published.repository.rpartition("/")[2]
    front = front_matter(
        model_name=repository or "generator",
        account=account,
        labels=[facts.label],
        license=published.license,
        task="unconditional-image-generation",
        library=None,
        tags=["gan", "onnx", "pytorch"],
        measured=[],
    )
    return f"""{front}
# {repository or f"Generator {facts.genotype}"}, with the weights of a supernet

{origin_text(account, facts)}
{_made(data, latent)}

![samples](samples.png)

| | |
| --- | --- |
{_rows(measured, "validation ")}
| test result | not measured |
{costs_rows(facts)}
| license of the weights | {published.license.removeprefix("other:") or "not stated"} |

{_comparable(recipe)}

{_use(latent, differences)}

{_limits(context)}

## Data

{images_text(recipe.data, data)}.{digest_text(published)}

## How the numbers came about

{numbers_text(account, facts, "noise vectors")}
"""


def _measured(recipe: Recipe, values: Mapping[str, float], part: str) -> list[Measured]:
    """The metrics that cards show, named as tables name them."""
    metrics = ((DESCRIPTION.find_metric(name), value) for name, value in values.items())
    return [
        Measured(shown.name, name_metric(shown, recipe, part), value, _split(shown.name))
        for shown, value in metrics
        if shown == DESCRIPTION.metric or shown.beside
    ]


def _rows(measured: Sequence[Measured], before: str = "") -> str:
    return "\n".join(f"| {before}{one.name} | {one.value:.4g} |" for one in measured)


def _made(data: Mapping[str, Any], latent: int) -> str:
    size = data["image_size"]
    return (
        f"It is of the space of AutoGAN, and makes images of {size}x{size} pixels,\n"
        f"{channels_text(data['channels'])}, of {latent} random numbers."
    )


def _comparable(recipe: Recipe) -> str:
    if recipe.metric.extractor == "inception":
        return (
            "They are by the Inception network of 2015, as published ones are; `docs/autogan.md` "
            "says what else a comparison needs."
        )
    return (
        "They are by a small classifier that was trained on this data, so they compare with each "
        "other and with nothing that is published."
    )


def _use(latent: int, differences: Mapping[str, float]) -> str:
    return f"""## Use

```python
import torch
import generator  # the file in this folder; it needs torch and safetensors

model = generator.load()
images = generator.to_bytes(model(torch.randn(16, {latent})))  # uint8
```

`model.onnx` takes `noise` [batch, {latent}] and gives `images` in [-1, 1].

Checked at export, largest difference of the images: this folder {differences["folder"]:.1e}, ONNX
by onnxruntime {differences["onnx"]:.1e}. Weights are safetensors: opening them runs no code.
`generator.py` is code; read it before you run it."""


def _limits(context: ExportContext) -> str:
    license = license_text(context.published.license)
    return f"""## Intended use and limits

For studies of architectures of generators, on images like those of
{data_name(context.recipe.data)}. It makes images of nothing else, and cannot be told what to show.
Whether images of the training data come out again, or how its images differ among groups within
these, was not measured.

{license} `generator.py` is part of fewshot-nas (Apache-2.0)."""


def _split(metric: str) -> str:
    """The part of the images that a metric of the test is against."""
    return "train" if metric == "fid_train" else "test"
