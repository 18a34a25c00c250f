"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest


def pytest_collection_finish() -> None:
    """Every training ends with a collection, which would walk all that was imported each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def shared_data() -> Path:
    """The folder of shared data sets: beside the repository, or where the environment says."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("FEWSHOT_SHARED_DATA") or beside)
    if not path.is_dir():
        pytest.skip(f"no shared data in {path}; FEWSHOT_SHARED_DATA names another folder")
    return path
