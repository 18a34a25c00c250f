"""The names that the core offers to programs of other people."""

from __future__ import annotations

import subprocess
import sys

import fewshot_core


def test_every_public_name_is_there_and_documented() -> None:
    assert dir(fewshot_core) == sorted(fewshot_core.__all__)
    for name in fewshot_core.__all__:
        found = getattr(fewshot_core, name)
        assert found.__name__ == name
        assert found.__doc__


def test_the_package_imports_nothing_until_a_name_is_used() -> None:
    code = (
        "import sys, fewshot_core\n"
        "loaded = {m for m in sys.modules if m.startswith('fewshot_core')}\n"
        "assert loaded == {'fewshot_core'}, loaded\n"
        "fewshot_core.register, fewshot_core.Architecture\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
