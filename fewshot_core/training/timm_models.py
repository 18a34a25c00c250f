"""Models of timm with their weights: from a folder, the cache of the Hugging Face Hub, or the Hub.

Left alone, the Hub's own program asks again and again where there is no network, and says so each
time. Here it is asked once whether it answers. Where it does not, what is in the cache is taken.
"""

from __future__ import annotations

from typing import Any

import timm
from huggingface_hub import constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import get_session
from torch import nn

PATIENCE = 5.0
"""Seconds in which the Hub has to answer."""

HUB = "hf-hub:"
"""What names of models begin with that nobody has registered with timm."""

FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of files of weights on the Hub, the one that timm prefers first."""


class NoWeightsError(Exception):
    """The Hub does not answer, and the cache does not have the weights."""


def create_pretrained(name: str, **arguments: Any) -> nn.Module:
    """A model of timm with its weights.

    Args:
        name: As for ``timm.create_model``.
        arguments: As for ``timm.create_model``.

    Raises:
        NoWeightsError: The weights are on the Hub, which does not answer, and not in its cache.
        Exception: What timm, the Hub and the file system raise otherwise.
    """
    cfg = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    repository = name.removeprefix(HUB) if name.startswith(HUB) else cfg and cfg.hf_hub_id
    if not repository or hub_answers():
        return _create(name, **arguments)
    repository, _, revision = repository.partition("@")
    if cfg is None:
        return _create(f"local-dir:{_cached_folder(repository, revision)}", **arguments)
    names = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else FILES
    asked = (try_to_load_from_cache(repository, one, revision=revision or None) for one in names)
    file = next((path for path in asked if isinstance(path, str)), None)
    if file is None:
        raise _missing()
    return _create(name, pretrained_cfg_overlay={"file": file}, **arguments)


def hub_answers() -> bool:
    """Whether the Hugging Face Hub can be asked; not where ``HF_HUB_OFFLINE`` forbids it."""
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # of the library for HTTP, which depends on the version
        return False
    return True


def _cached_folder(repository: str, revision: str) -> str:
    try:
        return str(snapshot_download(repository, revision=revision or None, local_files_only=True))
    except LocalEntryNotFoundError:
        raise _missing() from None


def _missing() -> NoWeightsError:
    return NoWeightsError(f"no answer from {constants.ENDPOINT}, and no copy in its cache")


def _create(name: str, **arguments: Any) -> nn.Module:
    model: nn.Module = timm.create_model(name, pretrained=True, **arguments)
    return model
