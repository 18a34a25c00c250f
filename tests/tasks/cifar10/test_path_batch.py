from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKS = 6


@pytest.mark.skipif(find_spec("triton") is None, reason="torch for CPUs alone has no Triton")
def test_kernels_in_the_interpreter() -> None:
    script = Path(__file__).with_name("interpreted.py")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*words, str(script)],
        capture_output=True,
        text=True,
        env=os.environ | {"TRITON_INTERPRET": "1"},
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert re.search(rf"{CHECKS} passed", done.stdout), done.stdout[-500:]
