"""What anybody may do with a timm model, done with exported ones. Needs nothing but torch and timm.

    python citizen.py HOW... FOLDER

``FOLDER`` holds an exported folder for each kind, and beside it ``KIND.pt`` with what it should
give. ``HOW`` is how the file that registers the model is run: ``runpy``, as the card says, or
``import``; each in a process that has not seen the other, and begins with torch and timm imported.
Prints a JSON object a line: for each kind and check nothing, or what went wrong.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import io
import json
import os
import pickle
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset

KNOWS_GRAY = tuple(map(int, timm.__version__.split(".")[:3])) >= (1, 0, 31)
"""Whether timm turns weights for gray images into such for others."""


EXPORTS: list[Export] = []
"""All of the folder, once they are registered."""


class Export:
    """An exported folder, and what it should give."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = json.loads((folder / "config.json").read_text())
        self.name = self.config["architecture"]
        self.expected = torch.load(folder.with_name(f"{folder.name}.pt"), weights_only=True)
        self.images: Tensor = self.expected["images"]
        self.channels = self.images.shape[1]

    def register(self, how: str) -> None:
        if how == "runpy":
            runpy.run_path(str(self.folder / f"{self.name}.py"))
        else:
            sys.path.insert(0, str(self.folder))
            importlib.import_module(self.name)

    def load(self, **more: Any) -> nn.Module:
        torch.manual_seed(1)
        name = f"local-dir:{self.folder}"
        model: nn.Module = timm.create_model(name, pretrained=True, **more)
        return model.eval()

    @property
    def is_cell(self) -> bool:
        return self.name.endswith("_cell")


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def same_logits(export: Export, model: Callable[[Tensor], Tensor]) -> None:
    with torch.no_grad():
        same(model(export.images), export.expected["logits"])


def same_body(export: Export, model: nn.Module, but: tuple[str, ...]) -> None:
    """All weights are those of the folder, but for these layers."""
    weights, other = export.load().state_dict(), model.state_dict()
    kept = [name for name in weights if name.rpartition(".")[0] not in but]
    assert len(kept) >= len(weights) - 2
    for name in kept:
        assert torch.equal(weights[name], other[name]), name


def error_of(export: Export, **arguments: Any) -> Exception | None:
    try:
        export.load(**arguments)
    except Exception as error:
        return error
    return None


# --- copies


def check_logits(export: Export) -> None:
    same_logits(export, export.load())


def check_whole_model_saved(export: Export) -> None:
    file = io.BytesIO()
    torch.save(export.load(), file)
    file.seek(0)
    same_logits(export, torch.load(file, weights_only=False))


def check_pickle_and_deepcopy(export: Export) -> None:
    model = export.load()
    same_logits(export, pickle.loads(pickle.dumps(model)))
    same_logits(export, copy.deepcopy(model))


def check_an_older_model_is_pickled_after_the_file_ran_again(export: Export) -> None:
    model = export.load()
    runpy.run_path(str(export.folder / f"{export.name}.py"))
    same_logits(export, pickle.loads(pickle.dumps(model)))
    same_logits(export, pickle.loads(pickle.dumps(export.load())))


def check_file_of_weights(export: Export) -> None:
    path = str(export.folder / "model.safetensors")
    arguments = dict(export.config["model_args"], num_classes=5, checkpoint_path=path)
    same_logits(export, timm.create_model(export.name, **arguments).eval())
    whole = timm.create_model(f"local-dir:{export.folder}", checkpoint_path=path)
    same_logits(export, whole.eval())


class Outputs(Dataset[Tensor]):
    """What a model makes of images, one by one."""

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.model, self.images = model, images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        with torch.no_grad():
            output: Tensor = self.model(self.images[index : index + 1])[0]
            return output


def by_worker(exports: Sequence[Export], context: str) -> list[Tensor]:
    """The logits of each of them, from one worker that has got all the models."""
    models: ConcatDataset[Tensor] = ConcatDataset([Outputs(e.load(), e.images) for e in exports])
    loader = DataLoader(models, 1, num_workers=1, multiprocessing_context=context)
    return list(torch.cat(list(loader)).split([len(export.images) for export in exports]))


def check_workers_by_fork(export: Export) -> None:
    same(by_worker([export], "fork")[0], export.expected["logits"])


@cache
def spawned() -> list[Tensor]:
    """A worker of its own start imports torch and timm, so that one does for all exports."""
    return by_worker(EXPORTS, "spawn")


def check_workers_by_spawn(export: Export) -> None:
    same(spawned()[EXPORTS.index(export)], export.expected["logits"])


# --- graphs


def check_compile(export: Export) -> None:
    torch._dynamo.reset()
    same_logits(export, torch.compile(export.load(), backend="eager", fullgraph=True))


def check_trace(export: Export) -> None:
    traced = torch.jit.trace(export.load(), torch.randn_like(export.images[:2]))
    same_logits(export, traced)


def check_export(export: Export) -> None:
    program = torch.export.export(export.load(), (torch.randn_like(export.images),))
    same_logits(export, program.module())


# --- heads


def check_parts(export: Export) -> None:
    model = export.load()
    features = model.forward_features(export.images)
    same(model.forward_head(features), export.expected["logits"])
    pooled = model.forward_head(features, pre_logits=True)
    assert pooled.shape == (len(export.images), model.head_hidden_size)
    same(model.get_classifier()(pooled), export.expected["logits"])
    assert model.get_submodule(model.pretrained_cfg["classifier"]) is model.get_classifier()
    first = model.get_submodule(model.pretrained_cfg["first_conv"])
    assert isinstance(first, nn.Conv2d)
    assert model.num_features == features.shape[1] == export.config["num_features"]


def check_other_classes(export: Export) -> None:
    model = export.load(num_classes=3)
    assert model(export.images).shape == (len(export.images), 3)
    assert model.num_classes == 3
    same_body(export, model, (model.pretrained_cfg["classifier"],))


def check_no_classes(export: Export) -> None:
    whole, model = export.load(), export.load(num_classes=0)
    pooled = whole.forward_head(whole.forward_features(export.images), pre_logits=True)
    same(model(export.images), pooled)
    same_body(export, model, (model.pretrained_cfg["classifier"],))


def check_pooling(export: Export) -> None:
    whole = export.load()
    largest = export.load(global_pool="max")
    assert not torch.allclose(largest(export.images), export.expected["logits"])
    assert torch.equal(
        largest.forward_features(export.images), whole.forward_features(export.images)
    )
    flat = export.load(global_pool="", num_classes=0)(export.images)
    assert flat.ndim == 4
    if export.is_cell:
        same(flat, whole.forward_features(export.images))


def check_reset(export: Export) -> None:
    model, pooled = export.load(), export.load(num_classes=0)(export.images)
    largest = export.load(num_classes=0, global_pool="max")(export.images)
    model.reset_classifier(7)
    assert model(export.images).shape == (len(export.images), 7)
    assert model.num_classes == 7
    model.reset_classifier(0)
    same(model(export.images), pooled)
    model.reset_classifier(0, "max")
    same(model(export.images), largest)
    if export.is_cell:  # of MobileNetV3, some versions of timm go back to the average
        model.reset_classifier(3)
        same(model.forward_head(model.forward_features(export.images), pre_logits=True), largest)


def check_other_channels(export: Export) -> None:
    own = export.load()
    name = own.pretrained_cfg["first_conv"]
    weight = own.get_submodule(name).weight
    for channels in {1, 3, 4} - {export.channels}:
        if export.channels == 1 and not KNOWS_GRAY:
            error = error_of(export, in_chans=3)
            assert isinstance(error, RuntimeError)
            assert "size mismatch" in str(error)
            continue
        model = export.load(in_chans=channels)
        same_body(export, model, (name,))
        found = model.get_submodule(name).weight
        if channels == 1:  # as timm does: a gray image is seen as it was before
            same(found, weight.sum(1, keepdim=True))
        else:  # as often as it takes, of the same sum if all channels are alike
            times = -(-channels // export.channels)
            expected = weight.repeat(1, times, 1, 1)[:, :channels] * (export.channels / channels)
            same(found, expected)


def check_features(export: Export) -> None:
    whole, model = export.load(), export.load(features_only=True)
    found = model(export.images)
    reductions, widths = model.feature_info.reduction(), model.feature_info.channels()
    assert len(found) == len(reductions) >= 3
    side = export.images.shape[-1]
    shapes = [
        (len(export.images), w, side // r, side // r)
        for w, r in zip(widths, reductions, strict=True)
    ]
    assert [tuple(feature.shape) for feature in found] == shapes
    if export.is_cell:
        _, expected = whole.forward_intermediates(export.images)
        for feature, value in zip(found, expected, strict=True):
            same(feature, value)
    for indices in ((0, 2), (1,), (0,)):
        some = export.load(features_only=True, out_indices=indices)
        for feature, index in zip(some(export.images), indices, strict=True):
            same(feature, found[index])
        assert some.feature_info.reduction() == [reductions[index] for index in indices]


def check_features_that_are_not_there(export: Export) -> None:
    error = error_of(export, features_only=True, out_indices=(0, 9))
    assert isinstance(error, (AssertionError, IndexError)), error


# --- training


def check_dropout(export: Export) -> None:
    model = export.load(drop_rate=0.5)
    same_logits(export, model)
    head = export.load(drop_rate=0.5, num_classes=0).train()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        dropped = head(export.images)
        kept = export.load(num_classes=0)(export.images)
    assert 0.2 < ((dropped == 0) & (kept != 0)).float().sum() / (kept != 0).float().sum() < 0.8


def check_stochastic_depth(export: Export) -> None:
    if export.is_cell:
        error = error_of(export, drop_path_rate=0.2)
        assert isinstance(error, TypeError)
        assert "drop_path_rate" in str(error)
        return
    model = export.load(drop_path_rate=0.2)
    same_logits(export, model)
    assert any(type(module).__name__ == "DropPath" for module in model.modules())


def check_the_arguments_of_train_py(export: Export) -> None:
    arguments = dict.fromkeys(("drop_path_rate", "drop_block_rate", "global_pool", "bn_eps"))
    model = export.load(**arguments, drop_rate=0.0, num_classes=5, in_chans=export.channels)
    same_logits(export, model)


def check_layers(export: Export) -> None:
    model = export.load()
    for coarse in (False, True):
        layers = group_parameters(model, model.group_matcher(coarse=coarse))
        found = [name for names in layers.values() for name in names]
        assert sorted(found) == sorted(name for name, _ in model.named_parameters())
        assert layers[0][0].startswith(model.pretrained_cfg["first_conv"].split(".")[0])
        assert len(layers) >= 3
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    scales = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    first = model.get_submodule(model.pretrained_cfg["first_conv"]).weight
    assert scales[id(first)] == min(scales.values())
    assert scales[id(model.get_classifier().weight)] == 1


def check_checkpointing(export: Export) -> None:
    gradients = []
    for enable in (False, True):
        model = export.load().train()
        model.set_grad_checkpointing(enable)
        model(export.images).square().sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
        assert len(gradients[-1]) >= len(list(model.parameters())) - 1
    for plain, saving in zip(*gradients, strict=True):
        same(saving, plain)
    model.set_grad_checkpointing(False)


def check_pixels(export: Export) -> None:
    """Of an image file: what the network was evaluated with."""
    from PIL import Image

    config = timm.data.resolve_model_data_config(export.load())
    transform = timm.data.create_transform(**config)
    for pixels, expected in export.expected["pictures"]:
        same(transform(Image.fromarray(pixels.numpy())), expected)


def name_of(check: Callable[[Export], None]) -> str:
    return check.__name__.removeprefix("check_")


CHECKS = [v for n, v in list(globals().items()) if n.startswith("check_") and inspect.isfunction(v)]


BY_PATH = (
    "logits",
    "whole_model_saved",
    "pickle_and_deepcopy",
    "an_older_model_is_pickled_after_the_file_ran_again",
    "workers_by_fork",
)
"""What depends on how the file was run. Workers of their own start have to find it by its name."""


def main() -> None:
    *hows, where = sys.argv[1:]
    for how in hows:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try_all(how, where)
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"{how}: ended with {os.waitstatus_to_exitcode(status)}")


def try_all(how: str, where: str) -> None:
    """Print what each check says of each kind."""
    only = BY_PATH if how == "runpy" else [name_of(check) for check in CHECKS]
    torch.set_num_threads(1)
    for name in ("fewshot_core", "fewshot_tasks"):
        sys.modules[name] = None  # type: ignore[assignment]  # as if they were not installed
    EXPORTS.extend(Export(path) for path in sorted(Path(where).iterdir()) if path.is_dir())
    for export in EXPORTS:
        export.register(how)
    found: dict[str, dict[str, str | None]] = {}
    for export in EXPORTS:
        for check in CHECKS:
            name = name_of(check)
            if name not in only:
                continue
            wrong = None
            try:
                check(export)
            except Exception:
                wrong = traceback.format_exc()
            found.setdefault(export.folder.name, {})[name] = wrong
    print(json.dumps(found))


if __name__ == "__main__":
    main()
