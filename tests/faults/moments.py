"""The moments of a run: every training step, score, flush and rename, counted.

A fault at a moment hits the same place whatever the machine does beside, so that ten random moments
are ten places all over the run and not ten times the longest stage.
"""

from __future__ import annotations

import math
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}
"""Faults that are signals."""


def watch(log: Path | None, at: int = 0, fault: str = "") -> None:
    """Run in a process before its tool: count moments, and let the fault happen at one.

    Args:
        log: Where every moment leaves a line.
        at: Number of the moment, from 1.
        fault: ``kill``, ``term``, ``stop``, ``full`` or ``nan``.
    """
    import fewshot_core.evaluators.agreed as agreed
    import fewshot_core.pipeline.live as live
    import fewshot_core.training.loop as training

    live.FIRST = math.inf  # pages come by the clock: moments would have other numbers each time
    count = 0

    def moment(name: str) -> bool:
        nonlocal count
        count += 1
        if log is not None:
            with log.open("a") as file:
                file.write(f"{name}\n")
        if count != at:
            return False
        if fault in SIGNALS:
            os.kill(os.getpid(), SIGNALS[fault])
        elif fault == "full":  # every write beyond 512 bytes of a file fails from now on
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
        return True

    def before(holder: Any, name: str, label: str) -> None:
        plain: Callable[..., Any] = getattr(holder, name)

        def counted(*arguments: Any, **more: Any) -> Any:
            moment(label)
            return plain(*arguments, **more)

        setattr(holder, name, counted)

    step = training._Run._step

    def trained(self: training._Run, number: int) -> dict[str, torch.Tensor]:
        hit = moment(f"step of {self.stage.name}")
        logged = step(self, number)
        if hit and fault == "nan":
            with torch.no_grad():
                for parameter in self.model.parameters():
                    parameter.fill_(math.nan)
            logged = {name: torch.tensor(math.nan) for name in logged}
        return logged

    training._Run._step = trained  # type: ignore[method-assign]
    before(agreed._Agreed, "_agree", "score")
    before(os, "fsync", "flush")
    before(os, "replace", "rename")


def named(log: Path, part: str, which: float = 0.5) -> int:
    """The number of a moment whose line begins with ``part``: the one at this share of them."""
    lines = log.read_text().splitlines()
    found = [number for number, line in enumerate(lines, start=1) if line.startswith(part)]
    assert found, f"no moment {part!r} among {sorted(set(lines))}"
    return found[min(len(found) - 1, int(which * len(found)))]
