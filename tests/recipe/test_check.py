from __future__ import annotations

import pytest

from fewshot_core.recipe.check import check
from fewshot_core.recipe.schema import Recipe

from .conftest import Load, Refusal


def test_the_defaults_are_fine() -> None:
    assert check(Recipe()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["data.source=torch/CIFAR10"],
        ["data.source=images", "data.root=photos"],
        ["data=wds", "data.root=/my/train-{0000..0099}.tar", "data.label_key=json.label"],
        ["data=hfds", "data.root=someone/birds:small", "data.image_key=img"],
        ["split=decision", "split.decision=edge"],
        ["split=groups", "split.decision=edge", "split.groups=[[a, b], [c]]"],
        ["split=bands", "split.feature=nonlinear", "split.cuts=[3, 5]"],
        ["split=random", "split.count=4", "regions.paths=balanced"],
        # The parent's region is a plain product, whatever it is cut into.
        ["split=random", "supernet.paths=fair"],
        ["split=decision", "split.decision=edge", "regions.paths=fair"],
        ["evaluator=table", "evaluator.table=scores.csv"],
        ["evaluator=standalone"],
        ["evaluator=synflow", "evaluator.batch_size=1"],
        ["evaluator=naswot", "evaluator.batch_size=2"],
        ["evaluator=standalone", "audit.networks=8", "audit.epochs=6"],
        ["precision=bf16"],
        ["precision=auto"],
        ["strategy.population=10", "strategy.sample=10"],
        ["constraint.flops=300M", "constraint.params=none"],
        ["retrain.compare=[]"],
        ["retrain.label_smoothing=0", "retrain.momentum=0", "retrain.weight_decay=0"],
    ],
)
def test_combinations_that_go_together(load: Load, words: list[str]) -> None:
    load(*words)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("supernet.paths=fare", "supernet.paths.policy=fare is none of balanced, cost, fair"),
        ("regions.paths=x", "regions.paths.policy=x is none of"),
        ("split=band", "split.by=band is none of bands, decision, gradients, groups, none, random"),
        ("split.then=[bnads]", "split.then[0].by=bnads is none of"),
        (
            "evaluator=tables",
            "evaluator.name=tables is none of counting, ensemble, inherited, naswot, predictor, ",
        ),
        ("evaluator=sinflow", "(did you mean 'synflow'?)"),
        ("evaluator.score=auc", "evaluator.score=auc is none of accuracy, loss"),
        ("strategy=hyprband", "(did you mean 'hyperband'?)"),
        (
            "data=cifar",
            "data.source=cifar is none of digits, cluttered_digits, images, wds, hfds, torch/NAME",
        ),
        ("data=torch/", "data.source=torch/ is none of"),
        ("precision=fp32", "precision=fp32 is none of no, bf16, fp16, auto"),
        ("retrain.compare=[best]", "retrain.compare has 'best'; allowed: random, largest"),
    ],
)
def test_choices(refusal: Refusal, word: str, message: str) -> None:
    assert message in refusal(word)


@pytest.mark.parametrize(
    "word",
    [
        "seed=-1",
        "threads=0",
        "checkpoint_steps=0",
        "search.trials=0",
        "audit.networks=-1",
        "audit.networks=2",
        "audit.epochs=0",
        "audit.candidates=-1",
        "data.image_size=0",
        "data.limit=0",
        "data.pad=-1",
        "data.cutout=-1",
        "data.validation=0",
        "data.validation=1.0",
        "data.test=1.5",
        "supernet.epochs=0",
        "supernet.epochs=.inf",
        "regions.epochs=-1",
        "supernet.batch_size=0",
        "supernet.micro_batch=1",
        "supernet.lr=0",
        "supernet.lr=.nan",
        "supernet.min_lr=-1",
        "supernet.warmup_epochs=-1",
        "supernet.momentum=1",
        "supernet.weight_decay=-1e-4",
        "supernet.grad_clip=0",
        "retrain.label_smoothing=1",
        "retrain.seeds=0",
        "evaluator.recalibrate=-1",
        "evaluator.images=0",
        "evaluator.batch_size=0",
        "evaluator.epochs=0",
        "strategy.population=0",
        "strategy.sample=0",
        "strategy.lr=0",
        "strategy.decay=1",
        "strategy.eta=1",
        "strategy.least=0",
        "strategy.least=1.5",
        "strategy.random_share=-0.1",
        "constraint.flops=0",
        "constraint.params=-3M",
        "split.count=1",
    ],
)
def test_ranges(refusal: Refusal, word: str) -> None:
    words = ["split=random", word] if word.startswith("split") else [word]
    assert f"{word.partition('=')[0]}=" in refusal(*words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=images"], "data.source=images needs data.root"),
        (["data=wds"], "data.source=wds needs data.root, the folder or names of shards"),
        (["data=hfds"], "data.source=hfds needs data.root, the folder or name on the Hub"),
        (["data.image_key=jpg"], "data.image_key is only for data.source=wds or hfds"),
        (["data.label_key=cls"], "data.label_key is only for data.source=wds or hfds"),
        (["split=decision"], "split.by=decision needs split.decision"),
        (["split=groups", "split.groups=[[a], [b]]"], "split.by=groups needs split.decision"),
        (["split=groups", "split.decision=e"], "split.by=groups needs split.groups"),
        (
            ["split=groups", "split.decision=e", "split.groups=[[a], []]"],
            "needs split.groups, at least two lists",
        ),
        (
            ["split=groups", "split.decision=e", "split.groups=[[a, b], [b]]"],
            "split.groups has an option twice: b",
        ),
        (["split=bands", "split.cuts=[1]"], "split.by=bands needs split.feature"),
        (["split=bands", "split.feature=f"], "split.by=bands needs split.cuts"),
        (["split=bands", "split.feature=f", "split.cuts=[2, 2]"], "must increase"),
        (["split=bands", "split.feature=f", "split.cuts=[3, 1]"], "must increase"),
        (["split=bands", "split.feature=f", "split.cuts=[.nan]"], "must increase"),
        (["split.then=[bands]"], "split.then[0].by=bands needs split.then[0].feature"),
        (["split=random", "regions.paths=fair"], "does not go with split.by=random"),
        (
            ["split=decision", "split.decision=e", "split.then=[random]", "regions.paths=fair"],
            "does not go with split.then[0].by=random",
        ),
        (["supernet.paths.together=0"], "supernet.paths.together=0 must be at least 1"),
        (
            ["regions.paths.together=7"],
            "regions.batch_size=64 must be a multiple of regions.paths.together=7",
        ),
        (
            ["supernet.paths=sandwich", "supernet.paths.together=4"],
            "does not go with supernet.paths.policy=sandwich",
        ),
        (
            ["supernet.micro_batch=8", "supernet.paths.together=4"],
            "supernet.micro_batch does not go with supernet.paths.together=4",
        ),
        (["evaluator=table"], "evaluator.name=table needs evaluator.table"),
        (
            ["evaluator=standalone", "audit.networks=8", "audit.epochs=5"],
            "audit.epochs=5 must be above evaluator.epochs=5",
        ),
        (["evaluator=naswot", "evaluator.batch_size=1"], "evaluator.batch_size=1 must be at least"),
        (["supernet.paths={policy: balanced, feature: ''}"], "needs supernet.paths.feature"),
        (["strategy.sample=31"], "must not be above strategy.population=30"),
        (["strategy=nsga2", "strategy.population=1"], "strategy.population=1 must be at least 2"),
        (["retrain.lr=0.1", "retrain.min_lr=0.2"], "must not be above retrain.lr=0.1"),
        (["regions.epochs=1", "regions.warmup_epochs=2"], "must not be above regions.epochs=1"),
        (
            ["strategy=darts", "regions.micro_batch=2"],
            "regions.micro_batch does not go with strategy.name=darts",
        ),
        (["data.root=~/photos"], "the shell did not replace ~"),
        (["evaluator=table", "evaluator.table=~/x.csv"], "the shell did not replace ~"),
    ],
)
def test_combinations(refusal: Refusal, words: list[str], message: str) -> None:
    assert message in refusal(*words)
