"""Checkpoints of one training: a state file while it runs, weights when it is done.

``state.json`` names the current file with its SHA-256 and is replaced last, so a kill at any
moment leaves the previous checkpoint in force. Weights are safetensors; the state of a running
training is read with ``torch.load(weights_only=True)``. Neither can run code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fewshot_core.errors import RunFolderError
from fewshot_core.runs.files import read_json, sha256, write_atomic, write_json


@dataclass
class StageState:
    """Where a training stands."""

    step: int = 0
    steps: int = 0
    done: bool = False
    file: str = ""
    sha256: str = ""
    seconds: float = 0.0
    images: int = 0  # forward passes of single images: steps x batch x paths
    history: list[list[float]] = field(default_factory=list)  # [step, loss]
    notes: dict[str, Any] = field(default_factory=dict)


class StageCheckpoint:
    """The checkpoint of one training, in a folder of its own."""

    def __init__(self, folder: Path, writes: bool = True) -> None:
        """``writes`` is true on the main process alone."""
        self.folder = folder
        self.writes = writes

    @property
    def _index(self) -> Path:
        return self.folder / "state.json"

    @property
    def _remedy(self) -> str:
        return f"delete {self.folder} to train this stage again; everything else is kept"

    def state(self) -> StageState:
        """Where the training stands; a fresh state where it never ran.

        Raises:
            RunFolderError: The index is damaged.
        """
        if not self._index.exists():
            return StageState()
        try:
            return StageState(**read_json(self._index, self._remedy))
        except TypeError as error:
            raise RunFolderError(
                f"{self._index} is damaged", found=error, fix=self._remedy
            ) from None

    def save(self, state: StageState, payload: dict[str, Any]) -> None:
        """Write a resumable checkpoint and drop the one before."""
        if not self.writes:
            return
        path = self.folder / f"step-{state.step:08d}.pt"
        write_atomic(path, lambda beside: torch.save(payload, beside))
        self._commit(path, state)

    def finish(self, state: StageState, weights: dict[str, Tensor]) -> None:
        """Write the final weights and drop what only a resume needs."""
        if not self.writes:
            return
        path = self.folder / "weights.safetensors"
        plain = {name: t.detach().cpu().contiguous() for name, t in weights.items()}
        state.done = True
        write_atomic(path, lambda beside: save_file(plain, beside))
        self._commit(path, state)

    def _commit(self, path: Path, state: StageState) -> None:
        state.file, state.sha256 = path.name, sha256(path)
        write_json(self._index, asdict(state))
        for old in self.folder.glob("step-*.pt"):
            if old != path:
                old.unlink()

    def annotate(self, notes: dict[str, Any]) -> None:
        """Add to what is recorded about a training."""
        if self.writes:
            state = self.state()
            state.notes |= notes
            write_json(self._index, asdict(state))

    def load_finished(self) -> dict[str, Tensor]:
        """The weights of a training that is done.

        Raises:
            RunFolderError: It is not done, or its file is damaged.
        """
        state = self.state()
        if not state.done:
            raise RunFolderError(
                f"{self.folder} holds no finished training", fix="run tools/search.py to its end"
            )
        return self.load(state)

    def load(self, state: StageState) -> dict[str, Any]:
        """The payload of a running training, or the weights of a finished one.

        Raises:
            RunFolderError: The file is missing or not what was written.
        """
        path = self.folder / state.file
        if not path.is_file():
            raise RunFolderError(f"checkpoint {path} is missing", fix=self._remedy)
        if sha256(path) != state.sha256:
            raise RunFolderError(
                f"checkpoint {path} is damaged: its SHA-256 is not the one recorded",
                fix=self._remedy,
            )
        try:
            if path.suffix == ".safetensors":
                return load_file(path)
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # decoders of a planted file raise whatever they stumble over
            raise RunFolderError(
                f"checkpoint {path} cannot be read", found=str(error)[:80], fix=self._remedy
            ) from None
