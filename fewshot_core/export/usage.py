"""From an image file to a label, as a card shows it. The tests run what it shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def facts_of_model(
    *,
    classes: Sequence[str],
    input_size: tuple[int, int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, str]:
    """What an ONNX file says of itself in ``metadata_props``: all that a label needs.

    Args:
        classes: Their names, in the order of the logits.
        input_size: Channels, height, width.
        mean, std: Normalisation per channel, for images in [0, 1].

    Returns:
        ``labels``, ``input_size``, ``mean``, ``std`` and ``resize`` as JSON; ``colour`` is the
        mode of Pillow, in the order of the channels.
    """
    values: dict[str, Any] = {
        "labels": list(classes),
        "input_size": list(input_size),
        "mean": list(mean),
        "std": list(std),
        "resize": {
            "shorter_side": input_size[-1],
            "interpolation": "bicubic",
            "crop": "centre",
        },
    }
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    return texts | {"colour": colour_of(input_size[0])}


def colour_of(channels: int) -> str:
    """The mode of Pillow."""
    return "L" if channels == 1 else "RGB"


def timm_snippet(model_name: str, channels: int, *, registers: bool = True) -> str:
    """Python with timm and Pillow.

    Args:
        model_name: timm's name of the model.
        channels: Of its images.
        registers: Whether a file beside the weights registers it; timm has it otherwise.
    """
    imported, run = "", ""
    if registers:
        imported = "import runpy\n\n"
        about = "# registers the model with timm; needs only torch and timm"
        run = f'runpy.run_path("{model_name}.py")  {about}\n'
    return f"""```python
{imported}import timm
import torch
from PIL import Image

{run}model = timm.create_model("local-dir:.", pretrained=True).eval()
prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
image = Image.open("image.png").convert("{colour_of(channels)}")
with torch.inference_mode():
    logits = model(prepare(image).unsqueeze(0))
print(model.pretrained_cfg["label_names"][int(logits.argmax())])
```"""


def onnx_snippet(file: str = "model.onnx") -> str:
    """Python with onnxruntime, numpy and Pillow alone; the file itself says the rest."""
    return f"""```python
import json

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("{file}", providers=["CPUExecutionProvider"])
facts = session.get_modelmeta().custom_metadata_map
labels, mean, std = (json.loads(facts[name]) for name in ("labels", "mean", "std"))
size = json.loads(facts["input_size"])[-1]
image = Image.open("image.png").convert(facts["colour"])
width, height = (int(size * side / min(image.size)) for side in image.size)
left, top = round((width - size) / 2), round((height - size) / 2)
image = image.resize((width, height), Image.Resampling.BICUBIC)
image = image.crop((left, top, left + size, top + size))
pixels = np.asarray(image, dtype=np.float32).reshape(size, size, -1) / 255
images = ((pixels - mean) / std).astype(np.float32).transpose(2, 0, 1)[np.newaxis]
(logits,) = session.run(["logits"], {{"images": images}})
print(labels[int(logits.argmax())])
```"""
