"""Print constraints for pip that hold every dependency of pyproject.toml at its lower bound.

    python .ci/lowest.py > lowest.txt && pip install -c lowest.txt -e '.[dev]'

Read from the file itself, so that what is tested and what is declared cannot drift apart.
"""

from __future__ import annotations

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path


def lowest(pyproject: dict) -> list[str]:
    """``name==version`` for the dependencies and all extras.

    Raises:
        ValueError: One has no lower bound, or two that differ.
    """
    project = pyproject["project"]
    declared = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    bounds: dict[str, str] = {}
    for requirement in declared:
        found = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([0-9][^,;\s]*)", requirement)
        if not found:
            raise ValueError(f"no lower bound in {requirement!r}")
        name, version = found.groups()
        if bounds.setdefault(name, version) != version:
            raise ValueError(f"two lower bounds of {name}: {bounds[name]} and {version}")
    return [f"{name}=={version}" for name, version in sorted(bounds.items())]


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    with (folder / "pyproject.toml").open("rb") as file:
        print(*lowest(tomllib.load(file)), sep="\n")
