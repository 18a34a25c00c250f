"""From an image file to its label, by what cards show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fewshot_core.data.decode import _crop_square
from fewshot_core.export.onnx import write_onnx
from fewshot_core.export.usage import colour_of, facts_of_model, onnx_snippet, timm_snippet
from fewshot_core.runs.files import write_tensors
from tests.export.folders import KINDS, MEAN, STD, Kind, write
from tests.export.snippets import ALONE, OURS, run_snippet, write_pictures


def prepare(path: Path, kind: Kind) -> torch.Tensor:
    """The image as retrained networks are tested with it."""
    picture = Image.open(path).convert(colour_of(kind.channels))
    shown = np.asarray(_crop_square(picture, kind.size), dtype=np.float32)
    values = torch.from_numpy(shown.reshape(kind.size, kind.size, -1)).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(v[: kind.channels]).view(-1, 1, 1) for v in (MEAN, STD))
    return (values - mean) / std


@pytest.mark.parametrize("name", ["cell", "ofa for small images, gray"])
@torch.no_grad()
def test_both_snippets_give_the_label(name: str, tmp_path: Path) -> None:
    kind, folder = KINDS[name], tmp_path / "export"
    network = write(kind, folder)
    pictures = write_pictures(tmp_path)
    images = torch.stack([prepare(path, kind) for path in pictures])
    # So that the labels of these images are not all the same.
    network.get_classifier().bias -= network(images).mean(0)  # type: ignore[operator]
    write_tensors(folder / "model.safetensors", network.state_dict(), format="pt")
    expected = ["abcde"[index] + "\n" for index in network(images).argmax(1)]
    assert len(set(expected)) > 2
    mean, std = MEAN[: kind.channels], STD[: kind.channels]
    size = (kind.channels, kind.size, kind.size)
    facts = facts_of_model(classes="abcde", input_size=size, mean=mean, std=std)
    write_onnx(folder / "model.onnx", network, images, facts=facts)
    shown = [timm_snippet(kind.model, kind.channels), onnx_snippet()]
    (folder / "README.md").write_text("\n\n".join(shown))
    assert run_snippet(0, folder, OURS, pictures) == expected
    assert run_snippet(1, folder, ALONE, pictures) == expected
