"""The core names no task, and nothing that belongs to one."""

from __future__ import annotations

import ast
from pathlib import Path

from fewshot_core.metrics import CLASSIFICATION
from fewshot_core.tasks import load_description, task_names

CORE = Path(__file__).parents[1] / "fewshot_core"
SPACES = ("nasbench201", "ofa_mbv3", "proxyless")
COMMON = {"network", "metric", "precision", "recall", "reward"}
"""Words of tasks that the core uses in senses of its own."""


def words_of_tasks() -> set[str]:
    found = {*task_names(), *SPACES}
    for description in map(load_description, task_names()):
        found |= {*description.sections, *(metric.name for metric in description.metrics)}
    return found - COMMON - {metric.name for metric in CLASSIFICATION}


def test_no_text_of_the_core_is_a_word_of_a_task() -> None:
    words = words_of_tasks()
    assert {"cifar10", "gan", "fid"} <= words
    bad = [
        f"{path.relative_to(CORE)}:{node.lineno}: {node.value}"
        for path in sorted(CORE.rglob("*.py"))
        if path != CORE / "recipe" / "schema.py"  # where a recipe that names no task gets one
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in words
    ]
    assert bad == []
