"""Curves, results and pictures of a run, for TensorBoard and the other trackers of Accelerate.

What was sent is noted in ``logs/sent.json``, so that a run that goes on continues its curves: a
step that a killed process has sent is not sent again when it is repeated. A tracker that fails
under way is given up with a line, since a search of days must not end by it.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fewshot_core.errors import RunFolderError
from fewshot_core.recipe.tracker_names import MissingTrackerError
from fewshot_core.runs.files import read_json, write_json

LOGS = "logs"
"""The folder of a run where trackers write that write to files."""

PROJECT = "fewshot-nas"
"""What trackers call the collection of all runs."""

OWN_STEPS = ("tensorboard", "mlflow", "aim", "comet_ml", "clearml")
"""Trackers whose curves have steps of their own. The others count what they are sent."""


@dataclass
class Sent:
    """What the trackers of a run have been sent.

    Attributes:
        curves: The last step of every curve.
        count: How many times something was sent.
        ids: Names by which trackers know the run.
        pictures: Digests of pictures by their name.
        begun: Trackers that know the settings of the run.
    """

    curves: dict[str, int] = field(default_factory=dict)
    count: int = 0
    ids: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)


class Tracking:
    """The trackers of a run, at work.

    Args:
        run: The run folder.
        names: Which trackers.
        settings: The settings of the run, flat.
        say: Is told when a tracker is given up.

    Raises:
        MissingTrackerError: One cannot be started.
        RunFolderError: The note of what was sent is damaged.
    """

    def __init__(
        self,
        run: Path,
        names: Sequence[str],
        settings: Mapping[str, Any],
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._folder, self._say = run / LOGS, say
        self._file = self._folder / "sent.json"
        self._sent = _read(self._file)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._trackers: dict[str, Any] = {}
        for name in names:
            try:
                tracker = self._start(name, run)
                if name not in self._sent.begun:
                    tracker.store_init_configuration(_plain(settings))
            except Exception as error:  # whatever its package raises
                self.close()
                raise MissingTrackerError(
                    f"track={name} cannot be started",
                    found=f"{type(error).__name__}: {str(error)[:200]}",
                    fix="see its own documentation, or leave it out",
                ) from None
            self._trackers[name] = tracker
            if name not in self._sent.begun:
                self._sent.begun.append(name)
        write_json(self._file, asdict(self._sent))

    def log(self, curve: str, step: int, values: Mapping[str, float]) -> None:
        """Send values of a step, unless they or later ones were sent.

        Args:
            curve: What the values are about, such as a training.
            step: Its step; of a curve they ascend.
            values: By their name.
        """
        if step <= self._sent.curves.get(curve, -1):
            return
        start = _clean(curve)
        named = {f"{start}/{_clean(name)}": float(value) for name, value in values.items()}
        for name in list(self._trackers):
            if name in OWN_STEPS:
                self._try(name, "log", named, step=step)
            else:
                self._try(name, "log", named | {f"{start}/step": step}, step=self._sent.count)
        self._sent.curves[curve] = step
        self._note()

    def show(self, path: Path) -> None:
        """Send a PNG file, unless it was sent as it is."""
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        if self._sent.pictures.get(path.stem) == digest:
            return
        for name in list(self._trackers):
            self._show(name, path)
        self._sent.pictures[path.stem] = digest
        self._note()

    def close(self) -> None:
        """Let the trackers finish what they do."""
        for name in list(self._trackers):
            self._try(name, "finish")
        self._trackers.clear()

    def _start(self, name: str, run: Path) -> Any:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        kind = LOGGER_TYPE_TO_CLASS.get(name)
        if kind is None:
            raise RuntimeError("this version of Accelerate does not know it")
        title = f"{run.absolute().parent.name}/{run.absolute().name}"
        more: dict[str, Any] = {}
        if name == "wandb":
            own = self._sent.ids.setdefault(name, uuid.uuid4().hex)
            more = {"id": own, "resume": "allow", "name": title, "dir": str(self._folder)}
        elif name == "mlflow":
            more = {"run_id": self._sent.ids.get(name), "run_name": title}
            more |= self._place_of_mlflow()
        if kind.requires_logging_directory:
            more["logging_dir"] = str(self._folder.absolute())
        tracker = kind(name if name == "tensorboard" else PROJECT, **more)
        if hasattr(tracker, "start"):  # since Accelerate 1.9; before, making it was enough
            tracker.start()
        if name == "mlflow":
            self._sent.ids[name] = tracker.tracker.info.run_id
        return tracker

    def _place_of_mlflow(self) -> dict[str, str]:
        """Files in the run folder, unless the user has a server."""
        if os.environ.get("MLFLOW_TRACKING_URI"):
            return {}
        import mlflow

        # A plain folder; recent versions have to be asked for it.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        folder = self._folder.absolute() / "mlflow"
        mlflow.set_tracking_uri(folder.as_uri())
        # Not within: MLflow takes every folder there for an experiment.
        return {"logging_dir": (self._folder.absolute() / "mlflow-artifacts").as_uri()}

    def _show(self, name: str, path: Path) -> None:
        tracker = self._trackers[name]
        if hasattr(tracker, "log_artifact"):
            self._try(name, "log_artifact", str(path), "pictures")
        elif hasattr(tracker, "log_images"):
            import numpy as np
            from PIL import Image

            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            title = f"pictures/{path.stem}"
            if name == "tensorboard":
                batch = {title: pixels[None]}
                step = self._sent.count
                self._try(name, "log_images", batch, step=step, dataformats="NHWC")
            elif name in OWN_STEPS:
                self._try(name, "log_images", {title: Image.fromarray(pixels)})
            else:
                self._try(name, "log_images", {title: [pixels]}, step=self._sent.count)

    def _try(self, name: str, what: str, *arguments: Any, **more: Any) -> None:
        try:
            getattr(self._trackers[name], what)(*arguments, **more)
        except Exception as error:  # whatever its package raises
            del self._trackers[name]
            self._say(f"{name} is sent nothing more: {type(error).__name__}: {str(error)[:200]}")

    def _note(self) -> None:
        self._sent.count += 1
        write_json(self._file, asdict(self._sent))


def _read(path: Path) -> Sent:
    if not path.exists():
        return Sent()
    fix = "delete it: curves may then have steps twice"
    found = read_json(path, fix)
    try:
        sent = Sent(**found)
        whole = all(type(step) is int for step in sent.curves.values()) and type(sent.count) is int
        if not whole or not isinstance(sent.begun, list):
            raise ValueError("a value of the wrong kind")
        return sent
    except (AttributeError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged", found=str(error)[:120], fix=fix) from None


def _clean(name: str) -> str:
    """A name that all trackers take."""
    return re.sub(r"[^\w\-. ]+", "_", name).strip(" _")


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Values that all trackers take."""
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in settings.items()
    }
