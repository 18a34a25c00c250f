from __future__ import annotations

import sys
from pathlib import Path

# Benchmarks are scripts: they import each other from their own folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
