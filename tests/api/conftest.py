from __future__ import annotations

# The runs that the commands have made: an API on the same code reads and makes the same.
from tests.tools.conftest import copy, finished, truth

__all__ = ["copy", "finished", "truth"]
