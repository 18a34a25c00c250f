"""Checkpoints of one training: a state file while it runs, weights when it is done.

``state.json`` names the current file with its SHA-256 and is replaced last, so a kill at any
moment leaves the previous checkpoint in force. The last :data:`KEPT` states of a running training
are kept, each with an index of its own, so that a damaged one costs the steps since the one before
it. Weights are safetensors; states are read with ``torch.load(weights_only=True)``. Neither can run
code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save_file
from torch import Tensor

from fewshot_core.errors import RunFolderError
from fewshot_core.runs.files import read_json, sha256, write_atomic, write_json

KEPT = 2
"""States of a running training that are kept."""


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
    diverged: str = ""  # why the training was given up; empty: it was not

    def require_whole(self) -> None:
        """Raise ``ValueError`` where a value cannot be what a training has written."""
        numbers = (self.step, self.steps, self.seconds, self.images)
        texts = (self.file, self.sha256, self.diverged)
        if not (
            all(type(value) in (int, float) and value >= 0 for value in numbers)
            and all(isinstance(value, str) for value in texts)
            and isinstance(self.history, list)
            and all(isinstance(p, list) and len(p) == 2 for p in self.history)
            and all(type(value) in (int, float) for point in self.history for value in point)
            and isinstance(self.notes, dict)
            and isinstance(self.done, bool)
        ):
            raise ValueError("a value of the wrong kind")
        if Path(self.file).name != self.file:
            raise ValueError(f"the file {self.file!r} lies elsewhere")


class DamagedError(RunFolderError):
    """A checkpoint is missing, or is not what was written."""


class StageCheckpoint:
    """The checkpoint of one training, in a folder of its own.

    Args:
        folder: The folder.
        writes: Whether this process writes; of those that train together one does.
    """

    def __init__(self, folder: Path, writes: bool = True) -> None:
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
        return self._read(self._index) if self._index.exists() else StageState()

    def _read(self, index: Path) -> StageState:
        try:
            state = StageState(**read_json(index, self._remedy))
            state.require_whole()
            return state
        except (TypeError, ValueError) as error:
            raise RunFolderError(f"{index} is damaged", found=error, fix=self._remedy) from None

    def newest(
        self, say: Callable[[str], object] = lambda line: None
    ) -> tuple[StageState, dict[str, Any] | None]:
        """The newest state of a training that is whole.

        Args:
            say: Is told about damaged ones.

        Returns:
            The state with its payload; without one where the training is done or has to start.

        Raises:
            RunFolderError: The index is damaged and no state is left, or a state is whole but is
                none that a training has written.
        """
        try:
            current = self.state()
        except RunFolderError as error:
            if not self._indices():
                raise
            say(str(error))
            current = None
        if current is not None and (current.done or not current.file):
            return current, None
        for state in self._candidates(current):
            try:
                return state, self.load(state)
            except DamagedError as error:
                say(f"{error.what}: going on from the one before it")
        say(f"{self.folder} holds no whole checkpoint: this stage starts again")
        return StageState(), None

    def _candidates(self, current: StageState | None) -> Iterator[StageState]:
        """The current state, then the older ones, the newest first."""
        if current is not None:
            yield current
        for index in self._indices():
            try:
                state = self._read(index)
            except RunFolderError:
                continue
            if current is None or state.step < current.step:
                yield state

    def _indices(self) -> list[Path]:
        """The indices of single states, the newest first."""
        return sorted(self.folder.glob("step-*.json"), reverse=True)

    def save(self, state: StageState, payload: dict[str, Any]) -> None:
        """Write a resumable checkpoint and drop all but the one before."""
        if not self.writes:
            return
        path = self.folder / f"step-{state.step:08d}.pt"
        write_atomic(path, lambda beside: torch.save(payload, beside))
        state.file, state.sha256 = path.name, sha256(path)
        write_json(path.with_suffix(".json"), asdict(state))
        write_json(self._index, asdict(state))
        self._prune(keep=path)

    def finish(self, state: StageState, weights: dict[str, Tensor]) -> None:
        """Write the final weights and drop what only a resume needs."""
        if not self.writes:
            return
        path = self.folder / "weights.safetensors"
        plain = {name: t.detach().cpu().contiguous() for name, t in weights.items()}
        state.done = True
        write_atomic(path, lambda beside: save_file(plain, beside))
        state.file, state.sha256 = path.name, sha256(path)
        write_json(self._index, asdict(state))
        self._prune()

    def _prune(self, keep: Path | None = None) -> None:
        """Drop all states, or all but ``keep`` and those just before it.

        Later ones are damaged: the training went on from before them.
        """
        states = sorted(self.folder.glob("step-*.pt"), reverse=True)
        kept = [path for path in states if keep is not None and path <= keep][:KEPT]
        for path in states:
            if path not in kept:
                path.unlink()
        for index in self._indices():
            if index.with_suffix(".pt") not in kept:
                index.unlink()

    def give_up(self, why: str) -> None:
        """Record that the training diverged; its last good state stays."""
        if self.writes:
            state = self.state()
            state.diverged = why
            write_json(self._index, asdict(state))

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
        if state.diverged:
            raise RunFolderError(
                f"{self.folder} holds no finished training: it diverged", found=state.diverged
            )
        if not state.done:
            raise RunFolderError(
                f"{self.folder} holds no finished training", fix="run fewshot search to its end"
            )
        return self.load(state)

    def load(self, state: StageState) -> dict[str, Any]:
        """The payload of a running training, or the weights of a finished one.

        Raises:
            RunFolderError: The file is missing or not what was written.
        """
        path = self.folder / state.file
        if not path.is_file():
            raise DamagedError(f"checkpoint {path} is missing", fix=self._remedy)
        if sha256(path) != state.sha256:
            raise DamagedError(
                f"checkpoint {path} is damaged: its SHA-256 is not the one recorded",
                fix=self._remedy,
            )
        try:
            if path.suffix == ".safetensors":
                # load_file of safetensors 0.8 loses two small objects for every tensor, and a
                # search loads a supernet whenever it goes from one region to another.
                return load(path.read_bytes())
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # decoders of a planted file raise whatever they stumble over
            raise RunFolderError(
                f"checkpoint {path} cannot be read", found=str(error)[:80], fix=self._remedy
            ) from None
