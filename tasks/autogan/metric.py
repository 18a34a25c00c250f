"""Inception score, Frechet and kernel distance, precision and recall: all by torch-fidelity.

Features are computed once for all of them. Statistics of real images are kept under a name that
says what they depend on, a checksum of the pixels included; torch-fidelity's own cache would go on
using those of other images with the same name.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save_file
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torch_fidelity.utils import get_featuresdict_from_dataset

from fewshot_core.runs.files import write_atomic
from fewshot_core.runs.folder import file_name
from fewshot_tasks.autogan.extractors import Extractor
from fewshot_tasks.autogan.settings import MetricSettings

KID_SUBSET = 1000

Features = Mapping[str, Tensor]


class ByteImages(Dataset[Tensor]):
    """uint8 images as torch-fidelity takes them, one ``[C, S, S]`` at a time."""

    def __init__(self, images: Tensor, channels: int) -> None:
        self.images, self.channels = images, channels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        # Inception sees gray images as coloured ones without colour.
        image = self.images[index]
        return image.expand(self.channels, -1, -1) if len(image) < self.channels else image


@dataclass(frozen=True, eq=False)
class Reference:
    """Real images to compare with.

    Attributes:
        name: Data set and part.
        images: uint8 ``[N, C, S, S]``.
    """

    name: str
    images: Tensor

    def digest(self) -> str:
        """A checksum of the pixels."""
        found = hashlib.blake2b(digest_size=6)
        for part in self.images.split(4096):
            found.update(part.contiguous().numpy().tobytes())
        return found.hexdigest()


@dataclass
class Judge:
    """Measures generated images.

    Attributes:
        extractor: Gives the features.
        references: Real images for each distance: ``fid``, and others that end in another name.
        store: Folder of the statistics of real images.
        writes: True on the main process alone.
    """

    extractor: Extractor
    settings: MetricSettings
    references: Mapping[str, Reference]
    store: Path
    writes: bool = True
    cuda: bool = False
    _real: dict[str, Mapping[str, Tensor]] = field(default_factory=dict)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Both layers of the extractor for uint8 images ``[N, C, S, S]``, on the CPU."""
        found: dict[str, Tensor] = get_featuresdict_from_dataset(
            ByteImages(images, self.extractor.channels),
            self.extractor.module,
            self.settings.batch_size,
            cuda=self.cuda,
            save_cpu_ram=True,  # the images are in memory: no worker processes
            verbose=False,
        )
        return found

    def measure(self, images: Tensor) -> dict[str, float]:
        """All figures of generated images, uint8 ``[N, C, S, S]``."""
        return self.figures(self.features(images))

    def figures(self, features: Features | None) -> dict[str, float]:
        """All figures from features of generated images; not a number where there are none."""
        settings, names = self.settings, list(self.references)
        if features is None:
            return dict.fromkeys(["is", "is_std", *names, "reward"], math.nan)
        mine, logits = features[self.extractor.features], features[self.extractor.logits]
        score = isc_features_to_metric(logits, settings.splits)
        figures = {
            "is": score["inception_score_mean"],
            "is_std": score["inception_score_std"],
        }
        statistics = fid_features_to_statistics(mine)
        for name in names:
            real = {k: v.numpy() for k, v in self._statistics(name).items() if k != "features"}
            (figures[name],) = fid_statistics_to_metric(statistics, real, False).values()
        figures["reward"] = (
            settings.is_weight * figures["is"] - settings.fid_weight * figures["fid"]
        )
        return figures | self._further(mine)

    def _further(self, mine: Tensor) -> dict[str, float]:
        settings = self.settings
        figures: dict[str, float] = {}
        if not (settings.kid or settings.precision_recall):
            return figures
        real = self._statistics("fid")["features"]
        if settings.kid:
            size = min(KID_SUBSET, len(mine), len(real))
            found = kid_features_to_metric(mine, real, kid_subset_size=size, verbose=False)
            figures["kid"] = found["kernel_inception_distance_mean"]
        if settings.precision_recall:
            found = prc_features_to_metric(mine, real, verbose=False, save_cpu_ram=True)
            figures |= {"precision": found["precision"], "recall": found["recall"]}
        return figures

    def _statistics(self, name: str) -> Mapping[str, Tensor]:
        if name not in self._real:
            self._real[name] = self._read_stored(self.references[name])
        return self._real[name]

    def _read_stored(self, reference: Reference) -> Mapping[str, Tensor]:
        size = reference.images.shape[-1]
        parts = [reference.name, f"{size}px", str(len(reference.images)), reference.digest()]
        parts += [self.extractor.name, self.extractor.digest]
        keeps = self.settings.kid or self.settings.precision_recall
        path = self.store / (
            file_name("-".join(parts)) + ("-all" if keeps else "") + ".safetensors"
        )
        if path.exists():
            return load(path.read_bytes())
        features = self.features(reference.images)[self.extractor.features]
        found: dict[str, Any] = fid_features_to_statistics(features)
        tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in found.items()}
        if keeps:
            tensors["features"] = features.contiguous()
        if self.writes:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, lambda beside: save_file(tensors, beside))
        return tensors


def join_features(parts: Sequence[Features]) -> dict[str, Tensor]:
    """Features of several processes in one."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
