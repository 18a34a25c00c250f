"""How the parts of the project may hang together, read from the source."""

from __future__ import annotations

import ast
import fnmatch
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "fewshot_core").rglob("*.py"))
FACE = sorted((ROOT / "fewshot").rglob("*.py"))
TASKS = sorted((ROOT / "tasks").rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))
SHIPPED = [*FACE, *CORE, *TASKS, *TOOLS]

LONGEST = 500
"""Lines of a module."""

NO_TORCH = (
    *("spaces.space", "spaces.region", "spaces.splitters", "spaces.paths"),
    *("testing.spaces", "testing.splitters"),
    *("api.run", "api.guest", "api.inputs", "api.values", "api.words"),
    *(
        "start",
        "runs.threads",
        "recipe.cli",
        "runs.launch",
        "runs.places",
        "runs.farewell",
        "runs.preemption",
    ),
    "runs.variables",
    *("export.hub", "export.licenses"),
)
"""Modules of the core that have to be importable without torch."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(nodes: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere below, also inside functions and type checks."""
    for node in ast.walk(nodes):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import would hide where it leads, so nothing here may use one.
            assert node.level == 0, f"relative import of {node.module}"
            # `from fewshot_tasks import cifar10` imports fewshot_tasks.cifar10.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_there_is_something_to_check() -> None:
    assert min(len(CORE), len(TASKS), len(TOOLS)) >= 5


# --- directions


def test_the_core_never_imports_tasks_or_tools() -> None:
    bad = [
        (name(path), module)
        for path in CORE
        for module in imports(tree(path))
        if within(module, "fewshot_tasks") or within(module, "tools")
    ]
    assert bad == []


def test_a_task_never_imports_another() -> None:
    bad = []
    for path in TASKS:
        own = f"fewshot_tasks.{path.relative_to(ROOT).parts[1]}"
        tasks = (m for m in imports(tree(path)) if within(m, "fewshot_tasks"))
        bad += [(name(path), module) for module in tasks if not within(module, own)]
    assert bad == []


def test_a_tool_imports_its_start_and_nothing_else() -> None:
    """Anything more would leave Ctrl-C unanswered, and make `--help` wait for torch."""
    allowed = ("fewshot_core.start", *sys.stdlib_module_names)
    bad = []
    for path in TOOLS:
        top = ast.Module([node for node in tree(path).body if _is_import(node)], [])
        others = (m for m in imports(top) if not any(within(m, package) for package in allowed))
        bad += [(name(path), module) for module in others]
    assert bad == []


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def test_no_module_imports_itself_through_others() -> None:
    """Counting imports inside functions and of type checks: a circle cannot be taken apart."""
    modules = {
        path.relative_to(ROOT)
        .with_suffix("")
        .as_posix()
        .replace("/", ".")
        .removesuffix(".__init__"): path
        for path in [*CORE, *TASKS]
    }
    graph = {
        module: {
            # A name that is no module is in one.
            found if found in modules else found.rpartition(".")[0]
            for found in imports(tree(path))
        }
        - {module}
        for module, path in modules.items()
    }
    # It raises a CycleError that names the circle.
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("fewshot_core.errors") < order.index("fewshot_core.pipeline.run")


def test_only_suites_import_pytest() -> None:
    users = {name(p) for p in SHIPPED if any(within(m, "pytest") for m in imports(tree(p)))}
    assert all(user.startswith("fewshot_core/testing/") for user in users)


# --- size


def test_no_module_is_long_and_most_are_short() -> None:
    lengths = {name(p): len(p.read_text(encoding="utf-8").splitlines()) for p in SHIPPED}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}
    assert statistics.median(length for length in lengths.values() if length) < 150


# --- what must not be written

FORBIDDEN = {
    # Not a method, and not ``eval()`` in a docstring, which is a mode of torch.
    "eval": re.compile(r"(?<![\w.`])(eval|exec)\("),
    "pickle": re.compile(r"\bpickle\.(load|loads|Unpickler)\b|\bimport pickle\b|from pickle"),
    "torch.load": re.compile(r"\btorch\.load\((?![^\n]*weights_only=True)"),
    "weights_only": re.compile(r"weights_only\s*=\s*False"),
    "bare except": re.compile(r"^\s*except\s*:", re.MULTILINE),
    "device": re.compile(r"\.cuda\(|\.to\(\s*[\"']cuda"),
    "path": re.compile(r"\bsys\.path\b(?!_)"),
    "shell": re.compile(r"shell\s*=\s*True|\bos\.system\("),
    "debugger": re.compile(r"\bbreakpoint\(|\bpdb\b"),
}


SAFE = {("fewshot_core/data/pickled.py", "pickle")}
"""An unpickler that knows arrays and nothing else; tests/data/test_pickled.py tries to fool it."""


def test_nothing_forbidden_is_written() -> None:
    texts = {name(path): path.read_text(encoding="utf-8") for path in SHIPPED}
    bad = [
        (path, rule)
        for path, text in texts.items()
        for rule, pattern in FORBIDDEN.items()
        if pattern.search(text) and (path, rule) not in SAFE
    ]
    assert bad == []


def test_the_rules_see_what_they_forbid_and_nothing_else() -> None:
    forbidden = [
        "x = eval(text)",
        "import pickle",
        "torch.load(path)",
        "torch.load(path, map_location='cpu')",
        "torch.load(path, weights_only = False)",
        "    except:\n",
        "model.cuda()",
        "model.to('cuda')",
        "sys.path.insert(0, '.')",
        "os.system('ls')",
    ]
    fine = [
        "model.eval()",
        "torch.load(path, weights_only=True)",
        "except OSError:",
        "recalibrated_eval(",
    ]
    seen = [t for t in [*forbidden, *fine] if any(p.search(t) for p in FORBIDDEN.values())]
    assert seen == forbidden


# --- nothing runs at import


def run_python(code: str, folder: Path) -> str:
    """Output of a fresh interpreter in an empty folder."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_importing_prints_nothing_and_makes_no_file(tmp_path: Path) -> None:
    modules = [
        path.relative_to(ROOT)
        .with_suffix("")
        .as_posix()
        .replace("/", ".")
        .removesuffix(".__init__")
        for path in [*FACE, *CORE, *TASKS]
    ]
    # By the name that it is installed under: a user's own tasks/ may lie beside it.
    modules = [re.sub(r"^tasks\b", "fewshot_tasks", module) for module in modules]
    code = (
        "import importlib, warnings\n"
        # Warnings of other packages about themselves are theirs.
        "warnings.simplefilter('ignore')\n"
        f"for module in {modules}: importlib.import_module(module)\n"
    )
    assert run_python(code, tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_what_needs_no_torch_does_not_import_it(tmp_path: Path) -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {NO_TORCH}: importlib.import_module(f'fewshot_core.{{name}}')\n"
        "print('torch' in sys.modules, 'optuna' in sys.modules)"
    )
    assert run_python(code, tmp_path) == "False False\n"


# --- packaging


def packaging() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]


def test_the_wheel_holds_every_package() -> None:
    """They are listed one by one: setuptools' own discovery leaves folders named tasks out."""
    core = {".".join(path.parent.relative_to(ROOT).parts) for path in CORE}
    tasks = {".".join(("fewshot_tasks", *p.parent.relative_to(ROOT).parts[1:])) for p in TASKS}
    others = ["fewshot", "fewshot_recipes"]
    assert sorted(packaging()["packages"]) == sorted([*core, *tasks, *others])


def test_every_folder_with_modules_is_a_package() -> None:
    for folder in {path.parent for path in [*CORE, *TASKS]}:
        assert (folder / "__init__.py").is_file(), folder


def test_the_wheel_holds_what_is_no_module() -> None:
    """Whatever else lies in the packages has to be listed."""
    listed = packaging()["package-data"]
    places = packaging()["package-dir"]
    assert places == {
        "fewshot": "fewshot",
        "fewshot_core": "fewshot_core",
        "fewshot_recipes": "recipes",
        "fewshot_tasks": "tasks",
    }
    for package, folder in places.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts:
                inside = path.relative_to(ROOT / folder).as_posix()
                assert any(fnmatch.fnmatch(inside, p) for p in listed.get(package, [])), path
