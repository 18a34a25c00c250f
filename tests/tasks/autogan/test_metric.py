"""Our figures are torch-fidelity's own."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch_fidelity
from accelerate import Accelerator
from torch import Tensor

from fewshot_core.data import ImageData
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.schema import Recipe
from fewshot_tasks.autogan import extractors
from fewshot_tasks.autogan.export import write_images
from fewshot_tasks.autogan.extractors import (
    ClassifierFeatures,
    Extractor,
    SmallClassifier,
    classifier,
    inception,
)
from fewshot_tasks.autogan.metric import ByteImages, Judge, Reference
from fewshot_tasks.autogan.metrics import METRICS, name_metric
from fewshot_tasks.autogan.scorer import make_judge
from fewshot_tasks.autogan.settings import MetricSettings
from fewshot_tasks.autogan.task import TASK

MakeRecipe = Callable[..., Recipe]
SETTINGS = MetricSettings(images=60, splits=3, kid=True, precision_recall=True, batch_size=16)


def images(count: int, seed: int, high: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, high, (count, 3, 8, 8), generator=generator).byte()


def extractor() -> Extractor:
    torch.manual_seed(0)
    module = ClassifierFeatures(SmallClassifier(3, 5), "made-up")
    return Extractor(module, "features", "logits", "made-up", "0", 3)


def judge(store: Path, real: Tensor, **settings: object) -> Judge:
    return Judge(
        extractor(), replace(SETTINGS, **settings), {"fid": Reference("made-up", real)}, store
    )


class Registered(ClassifierFeatures):
    """The same extractor, as torch-fidelity makes one by name."""

    def __init__(self, name: str, features_list: list[str], **ignored: object) -> None:
        super().__init__(extractor().module.network, name)


def test_figures_are_those_of_calculate_metrics(tmp_path: Path) -> None:
    name = "made-up-for-the-tests"
    if name not in torch_fidelity.registry.FEATURE_EXTRACTORS_REGISTRY:
        torch_fidelity.register_feature_extractor(name, Registered)
    fake, real = images(60, 1, 200), images(70, 2)
    expected = torch_fidelity.calculate_metrics(
        input1=ByteImages(fake, 3),
        input2=ByteImages(real, 3),
        feature_extractor=name,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        isc_splits=3,
        kid_subset_size=60,
        batch_size=16,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    found = judge(tmp_path, real).measure(fake)
    names = {
        "is": "inception_score_mean",
        "is_std": "inception_score_std",
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "precision": "precision",
        "recall": "recall",
    }
    for mine, theirs in names.items():
        assert found[mine] == pytest.approx(expected[theirs], rel=1e-6), mine
    assert found["reward"] == pytest.approx(found["is"] - 0.1 * found["fid"])


def test_an_image_set_is_no_distance_from_itself(tmp_path: Path) -> None:
    real = images(80, 3)
    assert abs(judge(tmp_path, real).measure(real)["fid"]) < 1e-3


def test_statistics_are_kept_and_never_those_of_other_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, real, others = images(60, 1), images(60, 2), images(60, 3, 100)
    first = judge(tmp_path, real).measure(fake)
    (kept,) = tmp_path.iterdir()
    again = judge(tmp_path, real)
    calls: list[int] = []
    whole = Judge.features
    monkeypatch.setattr(Judge, "features", lambda self, x: calls.append(len(x)) or whole(self, x))
    assert again.measure(fake) == first
    assert calls == [60]  # those of the real images were read
    other = judge(tmp_path, others).measure(fake)
    assert other["fid"] > 2 * first["fid"]
    assert len(list(tmp_path.iterdir())) == 2
    assert kept.name.startswith("made-up-8px-60-")
    judge(tmp_path, real, kid=False, precision_recall=False).measure(fake)
    assert len(list(tmp_path.iterdir())) == 3  # without features, which are large


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    silent = judge(tmp_path, images(60, 1))
    silent.writes = False
    silent.measure(images(60, 2))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_image_has_no_figures(tmp_path: Path) -> None:
    figures = judge(tmp_path, images(60, 1)).figures(None)
    assert {"is", "fid", "reward"} <= set(figures)
    assert all(math.isnan(value) for value in figures.values())


def test_the_extractor_refuses_what_is_not_uint8() -> None:
    with pytest.raises(TypeError, match="uint8"):
        extractor().module(torch.rand(2, 3, 8, 8))


# -- which real images ------------------------------------------------------------------------


def test_a_search_never_sees_training_or_test_images(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    recipe = make_recipe(metric__against_train=True)
    search = make_judge(recipe, data, "validation", accelerator, tmp_path)
    assert list(search.references) == ["fid"]
    assert torch.equal(search.references["fid"].images, data.validation.images)
    test = make_judge(recipe, data, "test", accelerator, tmp_path)
    assert torch.equal(test.references["fid"].images, data.test().images)
    assert len(test.references["fid_train"].images) == len(data.train) + len(data.validation)
    assert set(test.measure(data.validation.images)) >= {"fid", "fid_train", "is"}


# -- names ------------------------------------------------------------------------------------


def test_no_figure_without_extractor_and_number_of_images(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(metric__images=1000, metric__test_images=5000, metric__fid_weight=0.5)
    texts = {
        (metric.name, p): name_metric(metric, recipe, p)
        for metric in METRICS
        for p in ("validation", "test")
    }
    assert texts["fid", "test"] == "FID (classifier, 5,000 images)"
    assert texts["is", "validation"] == "IS (classifier, 1,000 images)"
    assert texts["reward", "validation"] == "1 IS − 0.5 FID (classifier, 1,000 images)"


# -- the classifier ---------------------------------------------------------------------------


def test_the_classifier_is_trained_once(
    data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    settings = MetricSettings(extractor="classifier", steps=60)
    first = classifier(settings, data, accelerator, tmp_path, seed=0)
    state = json.loads((tmp_path / "classifier-8px" / "state.json").read_text())
    assert state["step"] == 60
    assert state["notes"]["validation accuracy"] > 90
    again = classifier(settings, data, accelerator, tmp_path, seed=0)
    assert again.digest == first.digest
    other = classifier(settings, data, accelerator, tmp_path / "other", seed=1)
    assert other.digest != first.digest
    features, logits = first.module(data.validation.images)
    assert (features.shape, logits.shape) == ((80, 128), (80, 4))
    assert (logits.argmax(1) == data.validation.labels).float().mean() > 0.9


def test_a_single_class_teaches_no_classifier(
    data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    lonely = replace(data, train=replace(data.train, classes=("all",)))
    with pytest.raises(RecipeError, match="two classes"):
        classifier(MetricSettings(), lonely, accelerator, tmp_path, 0)


# -- Inception --------------------------------------------------------------------------------


@pytest.mark.slow
def test_figures_are_those_of_the_command_line(
    weights: Path, make_recipe: MakeRecipe, accelerator: Accelerator, tmp_path: Path
) -> None:
    """On a folder of PNG files, with the real Inception network."""
    recipe = make_recipe(
        metric__extractor="inception", metric__weights=weights, metric__splits=2,
        metric__cache=tmp_path / "cache", metric__kid=True,
    )  # fmt: skip
    fake, real = images(8, 1, 200), images(6, 2)
    for name, part in (("fake", fake), ("real", real)):
        write_images(tmp_path / name, part)
    command = [str(Path(sys.executable).with_name("fidelity")), "--cpu", "--isc", "--fid", "--kid"]
    command += ["--input1", str(tmp_path / "fake"), "--input2", str(tmp_path / "real")]
    command += ["--isc-splits", "2", "--kid-subset-size", "6", "--no-cache", "--json", "--silent"]
    command += ["--feature-extractor-weights-path", str(weights)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = json.loads(done.stdout)
    mine = Judge(
        inception(recipe.metric, accelerator),
        recipe.metric,
        {"fid": Reference("real", real)},
        tmp_path / "store",
    ).measure(fake)
    assert mine["is"] == pytest.approx(expected["inception_score_mean"], rel=1e-3)
    assert mine["fid"] == pytest.approx(expected["frechet_inception_distance"], rel=1e-3)
    assert mine["is"] > 1.01
    assert min(mine["fid"], abs(mine["kid"])) > 1e-3  # else equality would say nothing
    assert mine["kid"] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-3)


def test_weights_that_are_not_there(accelerator: Accelerator, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is no file"):
        inception(MetricSettings(weights=str(tmp_path / "no.pth")), accelerator)


def test_weights_that_are_not_inceptions(accelerator: Accelerator, tmp_path: Path) -> None:
    torch.save({"conv": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(RecipeError, match="not torch-fidelity's Inception"):
        inception(MetricSettings(weights=str(tmp_path / "other.pth")), accelerator)


class Planted:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("planted"),)


def test_weights_that_would_run_code(
    accelerator: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv": Planted()}, "bad.pth")
    with pytest.raises(RecipeError, match="holds more than weights"):
        inception(MetricSettings(weights="bad.pth"), accelerator)
    assert not Path("planted").exists()


def test_weights_that_cannot_be_had(
    accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise extractors.URLError("no network")

    monkeypatch.setattr(
        "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", fail
    )
    with pytest.raises(RecipeError, match=r"metric\.weights=.*metric\.extractor=classifier"):
        inception(MetricSettings(), accelerator)


# -- scores -----------------------------------------------------------------------------------


def test_scores_depend_on_the_architecture_alone(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    """The same noise for every candidate, and no trace of those scored before."""
    from fewshot_core.spaces.region import Region

    recipe = make_recipe()
    space = TASK.space(recipe)
    torch.manual_seed(0)
    supernet = TASK.supernet(Region.root(space), recipe, data.shape)
    scorer = TASK.scorer(recipe, data, "validation", accelerator, tmp_path)
    one, other = space.parse("1,1,1,1,1,1,1,1,1"), space.parse("0,1,0,1,0,1,2,1,0")
    first = scorer.score(supernet, one)
    assert scorer.score(supernet, other) != first
    assert scorer.score(supernet, one) == first
    # What is extracted has the supernet's running statistics; measured anew they are the same.
    assert dict(scorer.score_many(supernet, [one]))[one] == first
    assert scorer.price(1.0) == 1
    assert scorer.price(0.5) == pytest.approx((32 + 20) / 72)
    assert set(scorer.score(supernet, one, 0.5)) == set(first)


def test_a_generator_without_numbers_has_no_score(
    make_recipe: MakeRecipe, data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    recipe = make_recipe()
    network = TASK.network(TASK.space(recipe).parse("1,1,1,1,1,1,1,1,1"), recipe, data.shape)
    with torch.no_grad():
        network.average.stem.weight.fill_(math.nan)
    scorer = TASK.scorer(recipe, data, "test", accelerator, tmp_path)
    assert math.isnan(scorer.score(network, None)["fid"])
