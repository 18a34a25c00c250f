"""Models of timm in folders, as the Hub has them."""

from __future__ import annotations

import json
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file


def save_teacher(folder: Path, seed: int, classes: int = 10) -> str:
    """A teacher of digits with weights of that seed; what a setting calls it."""
    torch.manual_seed(seed)
    options = {"num_classes": classes, "in_chans": 1}
    model = timm.create_model("test_efficientnet", **options)
    folder.mkdir(exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    last = {"first_conv": "conv_stem", "classifier": "classifier", "input_size": [1, 8, 8]}
    config = {
        "architecture": "test_efficientnet",
        "num_classes": classes,
        "model_args": options,
        "pretrained_cfg": {"num_classes": classes, **last},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"
