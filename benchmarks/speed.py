"""Speed, as ratios measured in one run on one machine.

    python -m benchmarks.speed            a few minutes; writes benchmarks/results/speed.json
    python -m benchmarks.speed --quick    under two minutes; writes nothing
    python -m benchmarks.speed --cells 5 --batch 48 --threads 1
                                          training alone, with these; writes nothing

Three questions, on the supernet of recipe nasbench201 with one cell per stage:

1. How many images a second does supernet training see, against the plain loops of `plain_loop.py`
   on the same paths? Once as the recipe has it, and once as in the paper, with five cells per stage
   and batches of 48, on one thread.
2. How much sooner is a table of 15,625 cells scored when equal networks are computed once, and what
   neighbours have in common too, against every string one by one?
3. What share of the convolution peak that this machine shows does training reach?

What `fewshot_core/runs/memory.py` gives is not in these figures: it concerns the whole process, and
the plain loops would have it too. The images are random: what they show does not change how long
they take.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from benchmarks.gpu.data import random_array
from benchmarks.plain_loop import MEAN, STD, loaded_batches, plain_loop, ready_batches
from benchmarks.studies.record import time_call, write_results
from benchmarks.studies.tables import Table
from fewshot_core.costs.table import CostTable
from fewshot_core.data import BatchStream, ImageArray, ImageShape
from fewshot_core.data.stream import EvalBatches, calibration_batches
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe, recalibration_images, scored_images
from fewshot_core.runs.precision import resolve_precision
from fewshot_core.spaces.paths import UniformPaths
from fewshot_core.spaces.region import Region
from fewshot_core.training.classification import ClassificationObjective
from fewshot_core.training.classifier_scores import ClassificationScorer
from fewshot_tasks.cifar10.space import CellSpace
from fewshot_tasks.cifar10.supernet import CellSupernet
from fewshot_tasks.cifar10.task import TASK

SHAPE = ImageShape(3, 32, 10)

PAPER = 5, 48
"""Cells per stage and batch size of the paper's supernet."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, nothing written")
    parser.add_argument("--cells", type=int, help="cells per stage; training alone is measured")
    parser.add_argument("--batch", type=int, help="images per batch; training alone is measured")
    parser.add_argument("--threads", type=int, help="by default as torch chooses")
    parser.add_argument("--rounds", type=int, help="of the loops in turns")
    parser.add_argument("--steps", type=int, help="of a loop in each round")
    given = parser.parse_args()
    quick, rounds, steps = given.quick, given.rounds, given.steps
    if given.threads:
        torch.set_num_threads(given.threads)
    recipe = load_recipe(["recipe=nasbench201"]).recipe
    recipe = replace(recipe, precision=resolve_precision(recipe.precision, None))
    images = random_array(1_000 if quick else 10_000, 32, 10)
    if given.cells or given.batch:
        setting = _with(recipe, given.cells, given.batch)
        _show(measure_training(setting, images, rounds or 40, steps or 2))
        return
    training = measure_training(
        recipe, images, rounds or (2 if quick else 50), steps or (3 if quick else 5)
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    paper = measure_training(
        _with(recipe, *PAPER), images, rounds or (2 if quick else 40), steps or (1 if quick else 2)
    )
    torch.set_num_threads(threads)
    peak = convolution_peak(2 if quick else 5)
    scoring = measure_scoring(recipe, images, 4 if quick else 100)
    figures = {**training, **{f"paper_{k}": v for k, v in paper.items()}, **peak, **scoring}
    figures["share_of_peak"] = (
        training["training_gflops_per_second"] / peak["convolution_peak_gflops_per_second"]
    )
    _show(figures)
    if not quick:
        print(write_results("speed", figures, [0]))


# -- 1. training ---------------------------------------------------------------------------------


def measure_training(
    recipe: Recipe, images: ImageArray, rounds: int, steps: int
) -> dict[str, float]:
    """Images per second of our loop and of three plain ones, in turns, the median of the rounds.

    All take the same paths in the same order. Two of the plain loops have our precision and memory
    layout, and read PIL images or tensors from memory; the third is the float32 loop that one would
    write first. A ratio is the median of those of the rounds, beside its quartiles. Rounds are
    short, because what else the machine does changes in seconds.
    """
    size, precision, last = recipe.supernet.batch_size, recipe.precision, recipe.channels_last
    space = TASK.space(recipe)
    assert isinstance(space, CellSpace)
    plain = partial(plain_loop, recipe, space)
    loops = {
        "ours": _our_loop(recipe, images, steps),
        "same_precision": plain(loaded_batches(images, size), steps, precision or "no", last),
        "in_memory": plain(ready_batches(images, size), steps, precision or "no", last),
        "float32": plain(loaded_batches(images, size), steps, "no", False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for round_ in range(rounds + 1):
        for name, loop in random.Random(round_).sample(list(loops.items()), len(loops)):
            took = time_call(partial(loop, round_ * steps))
            if round_:  # the first warms caches and kernels up
                seconds[name].append(took)
    ours = seconds.pop("ours")
    rate = steps * size / statistics.median(ours)
    figures = {"training_images_per_second": rate}
    for name, values in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(values, ours, strict=True)]
        figures[f"plain_{name}_images_per_second"] = steps * size / statistics.median(values)
        figures[f"ratio_to_plain_{name}"] = statistics.median(ratios)
        low, _, high = statistics.quantiles(ratios, n=4)
        figures[f"ratio_to_plain_{name}_low"] = low
        figures[f"ratio_to_plain_{name}_high"] = high
    figures["training_gflops_per_second"] = rate * _flops_per_image(recipe) / 1e9
    return figures


def _our_loop(recipe: Recipe, images: ImageArray, steps: int) -> Callable[[int], None]:
    accelerator = Accelerator(mixed_precision=recipe.precision, cpu=True)
    net = _supernet(recipe, recipe.channels_last)
    paths = UniformPaths(net.region)
    stream = BatchStream(
        images, batch_size=recipe.supernet.batch_size, seed=0, mean=MEAN, std=STD, flip=True, pad=4
    )
    objective = ClassificationObjective(net, recipe.supernet, 10_000, accelerator)

    def run(first: int) -> None:
        for step in range(first, first + steps):
            objective.step(stream.batch(step), paths.draw(random.Random(step)), step)

    return run


# -- 2. scoring ----------------------------------------------------------------------------------


def measure_scoring(recipe: Recipe, images: ImageArray, sample: int) -> dict[str, float]:
    """Time to score the whole table string by string, and each distinct network once.

    The whole table takes hours, so both are measured on samples: the time of a random string and
    that of a random distinct network.
    """
    accelerator = Accelerator(mixed_precision=recipe.precision, cpu=True)
    net = _supernet(recipe, recipe.channels_last).eval()
    settings = recipe.evaluator
    count, batch = recalibration_images(settings), settings.batch_size
    calibration = calibration_batches(images, count, batch, 0, MEAN, STD)
    scorer = ClassificationScorer(
        list(EvalBatches(images, settings.batch_size, MEAN, STD, limit=scored_images(settings))),
        [x for x, _ in calibration],
        accelerator,
    )
    space = net.region.space
    strings = list(space.enumerate())
    distinct = list(dict.fromkeys(space.canonical(a) for a in strings))
    rng = random.Random(0)
    string, one = (
        statistics.mean(time_call(partial(scorer.score, net, a)) for a in rng.sample(pool, sample))
        for pool in (strings, distinct)
    )
    return {
        "strings": len(strings),
        "distinct": len(distinct),
        "seconds_per_string": string,
        "seconds_per_distinct": one,
        "ratio_distinct_once": len(strings) * string / (len(distinct) * one),
    }


# -- 3. peak -------------------------------------------------------------------------------------


def convolution_peak(rounds: int) -> dict[str, float]:
    """The best of several large 3x3 convolutions, forward and backward, in multiply-adds."""

    def forward_backward(conv: nn.Module, x: Tensor) -> None:
        conv(x).sum().backward()

    best = 0.0
    for dtype in (torch.float32, torch.bfloat16):
        for channels, size in ((128, 32), (256, 16)):
            conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(dtype)
            conv = conv.to(memory_format=torch.channels_last)
            x = torch.randn(32, channels, size, size, dtype=dtype)
            x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
            work = 3 * 32 * size * size * channels * channels * 9
            for _ in range(rounds + 1):
                took = time_call(partial(forward_backward, conv, x))
                best = max(best, work / took / 1e9)
    return {"convolution_peak_gflops_per_second": best}


# -- shared --------------------------------------------------------------------------------------


def _supernet(recipe: Recipe, channels_last: bool) -> CellSupernet:
    torch.manual_seed(0)
    net = TASK.supernet(Region.root(TASK.space(recipe)), recipe, SHAPE)
    assert isinstance(net, CellSupernet)
    return net.to(memory_format=torch.channels_last) if channels_last else net


def _with(recipe: Recipe, cells: int | None, batch: int | None) -> Recipe:
    """The recipe with other numbers of cells and images, where there are any."""
    wanted = {"network.cells_per_stage": cells, "supernet.batch_size": batch}
    changed: Recipe = with_values(recipe, {key: value for key, value in wanted.items() if value})
    return changed


def _flops_per_image(recipe: Recipe) -> float:
    """Multiply-adds of a training step per image: three times the mean forward pass."""
    table: CostTable = TASK.costs(recipe, SHAPE)
    space = TASK.space(recipe)
    rng = random.Random(0)
    sample = [table.costs(space.sample(rng))["connected_flops"] for _ in range(2000)]
    return 3 * statistics.mean(sample)


def _show(figures: dict[str, float]) -> None:
    lines = [(name.replace("_", " "), f"{value:,.4g}") for name, value in figures.items()]
    Table(f"Speed on {torch.get_num_threads()} threads", ("figure", "value"), lines).show()


if __name__ == "__main__":
    main()
