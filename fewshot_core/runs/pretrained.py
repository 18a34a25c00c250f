"""Files of pretrained weights: found by path, address or name, and read without running code."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256 as digest
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fewshot_core.errors import RecipeError, nearest

KEY = "supernet.weights"

_WRAPPER = "state_dict"
"""The key under which a training script often keeps the tensors."""


def find_weights(text: str, published: Mapping[str, str]) -> Path:
    """The file that ``supernet.weights`` names, downloaded if need be.

    Downloads are kept in torch's hub folder (``TORCH_HOME``), under ``fewshot``.

    Args:
        text: A path, an address with ``https://``, or one of the names.
        published: Addresses by name.

    Raises:
        RecipeError: There is no such file, or it cannot be downloaded.
    """
    address = published.get(text, text)
    if urlsplit(address).scheme in ("http", "https", "file"):
        return _download(address)
    path = Path(text).expanduser()
    if path.is_file():
        return path
    raise RecipeError(
        f"{KEY} names no file",
        found=text,
        allowed=f"a file, an address, or one of {', '.join(published)}",
        fix=nearest(text, published) or None,
    )


def _download(address: str) -> Path:
    # Two addresses may end in one name.
    start = digest(address.encode()).hexdigest()[:12]
    folder = Path(torch.hub.get_dir()) / "fewshot"
    path = folder / f"{start}-{Path(urlsplit(address).path).name}"
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), progress=False)
    except (OSError, ValueError) as error:  # URLError is an OSError
        raise RecipeError(
            f"{KEY} could not be downloaded from {address}",
            found=error,
            fix=f"download it elsewhere and give the file: {KEY}=FILE",
        ) from None
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name: safetensors, or a pickle of tensors, which is not executed.

    Raises:
        RecipeError: It is neither, or holds something else than tensors.
    """
    try:
        found: Any = load_file(path)
    except (SafetensorError, OSError, ValueError):
        found = _read_pickle(path)
    if isinstance(found, dict) and isinstance(found.get(_WRAPPER), dict):
        found = found[_WRAPPER]
    if not isinstance(found, dict) or not found:
        raise _not_weights(path, type(found).__name__)
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _not_weights(path, f"{str(name)[:60]!r}: {type(value).__name__}")
    return dict(found)


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # decoders of a planted file raise whatever they stumble over
        raise _not_weights(path, str(error).strip().partition("\n")[0][:160]) from None


def _not_weights(path: Path, found: object) -> RecipeError:
    return RecipeError(
        f"{path} holds no weights that can be read without running code",
        found=found,
        allowed="safetensors, or what torch.save makes of tensors by name",
    )
