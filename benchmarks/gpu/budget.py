"""The time of a command, from its first import on."""

from __future__ import annotations

import time
from dataclasses import dataclass

BEGAN = time.monotonic()
"""This module is imported before those that take seconds."""


@dataclass(frozen=True)
class Budget:
    """So many seconds for the whole command."""

    seconds: float

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - BEGAN)
