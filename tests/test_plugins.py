"""The registry: what it finds, what it knows, and that nothing else knows a plug-in by its name."""

from __future__ import annotations

import ast
import dataclasses
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from fewshot_core import plugins as registry
from fewshot_core.errors import RecipeError
from fewshot_core.plugins import KINDS, Plugin, plugin, plugin_of, plugins, register
from fewshot_core.recipe.check import check
from fewshot_core.recipe.declare import help_of, setting
from fewshot_core.recipe.load import load_recipe, recipe_yaml
from fewshot_core.recipe.loose import _loose_recipe
from fewshot_core.recipe.schema import Recipe, SplitLevel, StrategySettings
from fewshot_core.search.strategies import Strategy, StrategyContext, make_strategy
from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.splitters import ByDecision, SplitterContext
from fewshot_core.testing.strategies import StrategySuite
from fewshot_core.testing.toys import total, toy_space

ROOT = Path(__file__).resolve().parents[1]
ALL = [entry for kind in KINDS for entry in plugins(kind).values()]


def identity(entry: Plugin) -> str:
    return f"{entry.kind}-{entry.name}"


# --- what is known of each


@pytest.mark.parametrize("entry", ALL, ids=identity)
def test_a_plugin_says_what_it_is(entry: Plugin) -> None:
    assert entry.about
    assert not entry.about.endswith(".")
    for section in (entry.settings, *entry.sections.values()):
        assert section.__doc__
        assert not section.__doc__.startswith(f"{section.__name__}(")
        undescribed = [f.name for f in dataclasses.fields(section) if not help_of(f)]
        assert undescribed == []
    assert (entry.words is not None) == (entry.kind == "evaluator")


@pytest.mark.parametrize("entry", ALL, ids=identity)
def test_its_settings_are_complete_and_cannot_be_changed(entry: Plugin) -> None:
    made = entry.settings()
    assert made == entry.default()
    choice = KINDS[entry.kind].choice
    assert getattr(made, choice) == entry.name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, choice, "another")


def test_abilities_go_together() -> None:
    for entry in plugins("evaluator").values():
        assert entry.inherits or not entry.direct
        assert entry.measures or not (entry.inherits or entry.trains or entry.budgets)
        assert not (entry.inherits and entry.trains)
    for entry in plugins("strategy").values():
        assert not (entry.differentiable and (entry.budgets or entry.foresees or entry.fronts))
        assert bool(entry.only_with_budgets) <= entry.budgets
        assert {f.name for f in dataclasses.fields(entry.settings)} >= {*entry.only_with_budgets}


def test_importing_all_of_them_imports_neither_torch_nor_optuna() -> None:
    code = (
        "import sys\n"
        "from fewshot_core.plugins import KINDS, plugins\n"
        "for kind in KINDS: assert plugins(kind)\n"
        "from fewshot_core.recipe.schema import Recipe\n"
        "Recipe()\n"
        "print({'torch', 'optuna'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


# --- those of users


@dataclasses.dataclass(frozen=True)
class FirstSettings(StrategySettings):
    """Of a strategy of somebody else."""

    name: str = setting("first", "which strategy")
    step: int = setting(1, "options that are passed over", low=1)

    def check(self, key: str) -> Iterator[str]:
        if self.step == 13:
            yield f"{key}.step=13 brings bad luck"


class Steps(Strategy):
    """Goes through the space in the order of its options; a third from then on is random."""

    def __init__(self, region: Region, step: int) -> None:
        self.region, self.step, self.told = region, step, 0

    def ask(self, seed: int) -> Proposal:
        rng = random.Random(seed)
        if rng.random() < 1 / 3:
            return Proposal(self.region.sample(rng))
        members = list(self.region.enumerate())
        return Proposal(members[self.told * self.step % len(members)])

    def tell(self, trial: Trial) -> None:
        self.told += 1


@register("strategy", "first", settings=FirstSettings, about="one after the other")
def make_first(settings: FirstSettings, context: StrategyContext) -> Steps:
    return Steps(context.region, settings.step)


@dataclasses.dataclass(frozen=True)
class SecondLevel(SplitLevel):
    """Of a splitter of somebody else."""

    by: str = setting("second", "which splitter")
    half: str = setting("edge_1_0", "the decision that is cut")


@register("splitter", "second", settings=SecondLevel, about="by one decision", products=True)
def make_second_level(level: SecondLevel, context: SplitterContext) -> ByDecision:
    return ByDecision(level.half)


PATH = f"{__name__}:make_first"
CONTEXT = StrategyContext(Region.root(toy_space()), lambda a: True, total)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if a package had an entry point."""

    def points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint("any", PATH, group)] if group == "fewshot_nas.strategy" else []

    monkeypatch.setattr(registry, "entry_points", points)
    forget()
    yield
    forget()


def forget() -> None:
    """Look for plug-ins anew."""
    plugins.cache_clear()
    _loose_recipe.cache_clear()


class TestByDottedPath(StrategySuite):
    plugin = PATH


def test_a_dotted_path_is_found_checked_and_made() -> None:
    entry = plugin("strategy", PATH)
    assert entry.name == PATH
    settings = entry.default()
    assert settings == FirstSettings(PATH)
    assert plugin_of("strategy", settings) == entry
    assert isinstance(make_strategy(settings, CONTEXT), Steps)
    assert "first" not in plugins("strategy")
    assert check(dataclasses.replace(Recipe(), strategy=settings)) == []
    for step, words in ((0, "strategy.step=0 must be at least 1"), (13, "bad luck")):
        bad = dataclasses.replace(Recipe(), strategy=FirstSettings(PATH, step))
        (line,) = check(bad)
        assert words in line


DIGITS = ["recipe=digits", "split.when=always"]
OWN_SPLIT = f"split={__name__}:make_second_level"


def test_recipes_have_the_settings_of_what_a_path_names(tmp_path: Path) -> None:
    recipe = load_recipe([*DIGITS, f"strategy={PATH}", "strategy.step=5", OWN_SPLIT]).recipe
    assert recipe.strategy == FirstSettings(PATH, 5)
    assert (recipe.split.by, recipe.split.half) == (OWN_SPLIT.partition("=")[2], "edge_1_0")
    (tmp_path / "recipe.yaml").write_text(recipe_yaml(recipe))
    assert load_recipe([f"run={tmp_path}"]).recipe == recipe
    assert load_recipe([*DIGITS, f"strategy={{name: {PATH}, step: 5}}"]).recipe.strategy.step == 5


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["strategy.stepp=5"], "unknown setting 'strategy.stepp' (did you mean 'strategy.step'?)"),
        (["strategy.step=0"], "strategy.step=0 must be at least 1"),
        (["strategy.step=13"], "bad luck"),
        (
            ["strategy.population=5"],
            f"strategy.population=5 has no effect with strategy.name={PATH} | allowed: "
            "strategy.name=nsga2 or rea read it",
        ),
        (
            [OWN_SPLIT, "split.then=[{by: random, half: x}]"],
            f"split.then[0].half=x has no effect with split.then[0].by=random | allowed: "
            f"split.then[0].by={OWN_SPLIT.partition('=')[2]} reads it",
        ),
    ],
)
def test_what_is_wrong_with_them_is_told(words: list[str], line: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe([*DIGITS, f"strategy={PATH}", *words])
    assert line in str(caught.value)


def test_a_file_may_not_name_code_of_its_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange.py").write_text("raise SystemExit('this ran')\n")
    (tmp_path / "own.yaml").write_text("task: cifar10\nstrategy: strange:make\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError, match=r"strategy=strange:make \| to fix: .*FEWSHOT_TASKS"):
        load_recipe([f"recipe={tmp_path / 'own.yaml'}"])
    monkeypatch.setenv("FEWSHOT_TASKS", "strange:make")
    with pytest.raises(SystemExit, match="this ran"):
        load_recipe([f"recipe={tmp_path / 'own.yaml'}"])


@pytest.mark.usefixtures("installed")
def test_an_installed_one_is_chosen_by_its_name() -> None:
    assert load_recipe([*DIGITS, "strategy=first", "strategy.step=5"]).recipe.strategy == (
        FirstSettings("first", 5)
    )
    with pytest.raises(RecipeError, match=r"allowed: strategy\.name=first reads it"):
        load_recipe([*DIGITS, "strategy=tpe", "strategy.step=5"])


@pytest.mark.usefixtures("installed")
def test_an_entry_point_is_found_listed_checked_and_made() -> None:
    assert "first" in plugins("strategy")
    settings = plugin("strategy", "first").default()
    assert isinstance(make_strategy(settings, CONTEXT), Steps)
    assert check(dataclasses.replace(Recipe(), strategy=settings)) == []
    bad = dataclasses.replace(Recipe(), strategy=FirstSettings("first", 13))
    assert len(check(bad)) == 1
    with pytest.raises(RecipeError, match=r"unknown strategy 'frist'.*did you mean 'first'"):
        plugin("strategy", "frist")


def test_a_name_that_is_taken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "fewshot_core.search.strategies.evolution:make_rea"
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint("x", path, group)])
    forget()
    with pytest.raises(RecipeError, match=r"two plug-ins have the name strategy=rea.*uninstall"):
        plugins("strategy")
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no_such_package:make", "cannot be imported"),
        (f"{__name__}:make_second", "cannot be imported"),
        (f"{__name__}:Steps", "is no strategy.*@register"),
        ("fewshot_core.evaluators.table:make_table", "is no strategy.*@register"),
    ],
)
def test_a_path_that_leads_nowhere_is_one_clear_line(path: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        plugin("strategy", path)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_registered() -> None:
    with pytest.raises(ValueError, match="no kind of plug-in: 'sampler'"):
        register("sampler", "x", settings=FirstSettings, about="x")
    with pytest.raises(ValueError, match="no dataclass with a field by"):
        register("splitter", "x", settings=FirstSettings, about="x")


# --- nobody else knows their names

SOURCES = [
    path for folder in ("fewshot_core", "tasks", "tools") for path in (ROOT / folder).rglob("*.py")
]

COMMON = {
    *("none", "random", "cost", "table", "decision", "groups", "uniform", "bands"),
    *("inherited", "predictor", "standalone"),
}
"""Names that are also words of other vocabularies: options, rivals, keys of JSON, columns. They are
looked for only where they are compared with a choice of a recipe."""

NAMES = {entry.name for entry in ALL} - COMMON

CHOICES = {kind.choice for kind in KINDS.values()}

HOMES = tuple(home.replace(".", "/") for kind in KINDS.values() for home in kind.homes)


def names_compared(source: str) -> list[str]:
    """Names of plug-ins that the source compares something with, or looks something up by."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        words = [*_words(_parts(node))]
        found += [word for word in words if word in NAMES]
        if isinstance(node, ast.Compare) and any(map(_is_choice, _parts(node))):
            below = [part for side in _parts(node) for part in ast.walk(side)]
            found += [word for word in _words(below) if word in COMMON]
    return found


def _parts(node: ast.AST) -> list[ast.AST]:
    """What a node compares or collects, or looks something up by."""
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.MatchValue):
        return [node.value]
    if isinstance(node, ast.Dict):
        return [key for key in node.keys if key is not None]
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return [*node.elts]
    return [node.slice] if isinstance(node, ast.Subscript) else []


def _words(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _is_choice(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in CHOICES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_name_of_a_plugin_is_compared(path: Path) -> None:
    assert names_compared(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "if recipe.strategy.name == 'rea': pass",
        "if name in ('darts', 'enas'): pass",
        "DRAWING = ['setn']",
        "SOME = {'naswot'}",
        "TITLES = {'synflow': 'SynFlow'}",
        "title = TITLES['sandwich']",
        "match name:\n    case 'gradients': pass",
        "if recipe.evaluator.name == 'inherited': pass",
        "if recipe.split.by not in ('none', 'bands'): pass",
        "match name:\n    case 'hyperband' | 'bohb': pass",
    ],
)
def test_a_comparison_is_seen(source: str) -> None:
    assert names_compared(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "if option == 'none': pass",
        "notes['inherited'] = 1",
        "@register('strategy', 'rea')\ndef make(): pass",
        "x: str = setting('darts')",
        "f'{rea}'",
    ],
)
def test_naming_is_no_comparison(source: str) -> None:
    assert names_compared(source) == []


def test_every_plugin_lies_in_a_home() -> None:
    for entry in ALL:
        assert entry.make.__module__.replace(".", "/").startswith(HOMES)
