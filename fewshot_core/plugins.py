"""The one registry: strategies, evaluators, splitters and path policies, found by name.

A plug-in registers itself in its own file, and nothing else names it::

    @dataclass
    class ReaSettings(StrategySettings):
        population: int = setting(30, "architectures alive", low=1)

    @register("strategy", "rea", settings=ReaSettings, about="regularized evolution (Real et al.)")
    def make_rea(settings: ReaSettings, context: StrategyContext) -> Strategy: ...

:func:`register` leaves the entry on what it decorates; there is no table that an import fills.
Ours are found in the packages of :data:`KINDS`. Those of users are found by an entry point of the
group ``fewshot_nas.KIND``, or by the dotted path ``package.module:NAME`` in place of a name, and
are equal to ours.

Recipes are checked with the settings of every plug-in, before torch or Optuna is imported. So the
modules of our plug-ins import these late: inside their factories. Modules whose names begin with
``_`` are not searched for plug-ins.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, TypeVar

from fewshot_core.errors import RecipeError, nearest

ENTRY = "__fewshot_plugins__"
"""The attribute that keeps the entries of what is decorated."""


@dataclass(frozen=True)
class Kind:
    """A kind of plug-in.

    Attributes:
        name: The word for it, as :func:`register` takes it.
        choice: The setting that names a plug-in, without its section: ``name`` or ``by``.
        homes: Packages whose modules hold ours.
    """

    name: str
    choice: str
    homes: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "strategy",
            "name",
            ("fewshot_core.search.strategies", "fewshot_core.search.differentiable"),
        ),
        Kind("evaluator", "name", ("fewshot_core.evaluators",)),
        Kind("splitter", "by", ("fewshot_core.spaces.splitters",)),
        Kind("paths", "policy", ("fewshot_core.spaces.paths",)),
    )
}


@dataclass(frozen=True, eq=False)  # each is itself: it is known by what it was registered on
class Plugin:
    """What is known of a plug-in without making it. The abilities are false unless it has them.

    Attributes:
        kind: A name of :data:`KINDS`.
        name: What a recipe calls it.
        settings: Dataclass of its section, with the field :attr:`Kind.choice`.
        about: What it is, in a clause with its source.
        make: Makes it from an instance of ``settings`` and the context of its kind.
        sections: Dataclasses of further sections that it alone reads, by name.
        words: What the scores of an evaluator mean, for reports and cards; None: ``about`` has to
            do, see :func:`fewshot_core.evaluators.words.find_words`.
        inherits: An evaluator that needs trained supernets.
        measures: An evaluator whose scores are measured on validation images.
        budgets: An evaluator that can spend a part of the budget on an architecture, or a strategy
            that asks for scores with a part of it.
        direct: An evaluator whose score of an architecture is that of its supernet, no prediction.
        trains: An evaluator that trains each network it scores, for ``evaluator.epochs``.
        untrained: An evaluator that looks at networks as they are before any training.
        beforehand: Of an evaluator that needs trainings: makes, like ``make``, what it asks of
            networks before any; not every network can be asked.
        only_with_budgets: Settings of a strategy that it reads if the evaluator knows budgets.
        differentiable: A strategy that learns preferences together with the supernets.
        fronts: A strategy that weighs the score against a cost, so that it finds a front.
        foresees: A strategy that can say what it will ask for before it is told anything.
        learned: A splitter that looks at the trained supernet of the region that it cuts.
        products: A splitter whose regions allow every combination of their options.
        cuts: A splitter that makes more than one region.
        needs_products: A path policy for regions that allow every combination of their options.
        spans: A path policy whose batches can have several architectures, each on its own part.
    """

    kind: str
    name: str
    settings: type
    about: str
    make: Callable[..., Any]
    sections: Mapping[str, type] = field(default_factory=dict)
    words: Any = None
    inherits: bool = False
    measures: bool = False
    budgets: bool = False
    direct: bool = False
    trains: bool = False
    untrained: bool = False
    beforehand: Callable[..., Any] | None = None
    only_with_budgets: tuple[str, ...] = ()
    differentiable: bool = False
    fronts: bool = False
    foresees: bool = False
    learned: bool = False
    products: bool = False
    cuts: bool = True
    needs_products: bool = False
    spans: bool = False

    def default(self) -> Any:
        """Its settings with their defaults."""
        return self.settings(**{KINDS[self.kind].choice: self.name})


Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def register(
    kind: str, name: str, *, settings: type, about: str, **abilities: Any
) -> Callable[[Decorated], Decorated]:
    """Let recipes choose what is decorated, a factory or a class, by name.

    Args:
        kind: A name of :data:`KINDS`.
        name: What a recipe calls it. Another name can be given by decorating again.
        settings: Dataclass of its section of the recipe; see
            :func:`fewshot_core.recipe.declare.setting` for help texts and ranges of its fields.
        about: What it is, in a clause with its source.
        abilities: Further attributes of :class:`Plugin`.

    Raises:
        ValueError: There is no such kind, or the settings cannot hold the name.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of plug-in: {kind!r}; there are {', '.join(KINDS)}")
    choice = KINDS[kind].choice
    if not is_dataclass(settings) or choice not in {f.name for f in fields(settings)}:
        raise ValueError(f"the settings of {kind} {name!r} are no dataclass with a field {choice}")

    def decorate(made: Decorated) -> Decorated:
        entry = Plugin(kind, name, settings, about, made, **abilities)
        setattr(made, ENTRY, (*vars(made).get(ENTRY, ()), entry))
        return made

    return decorate


@cache
def plugins(kind: str) -> Mapping[str, Plugin]:
    """Every plug-in of a kind by name: ours, and those of installed packages.

    Raises:
        RecipeError: An installed package has one that cannot be imported, or the name of another.
    """
    found = {entry.name: entry for home in KINDS[kind].homes for entry in _entries_in(kind, home)}
    for point in entry_points(group=f"fewshot_nas.{kind}"):
        for entry in _entries_of(kind, point.value):
            if entry.name in found:
                raise RecipeError(
                    f"two plug-ins have the name {kind}={entry.name}",
                    found=point.value,
                    fix="uninstall the package of one of them",
                )
            found[entry.name] = entry
    return dict(sorted(found.items()))


def find_plugin(kind: str, name: str) -> Plugin | None:
    """The plug-in of that name or dotted path; None where no plug-in has the name.

    Raises:
        RecipeError: A dotted path leads nowhere, or not to a plug-in of the kind.
    """
    return _plugin_at(kind, name) if ":" in name else plugins(kind).get(name)


def plugin(kind: str, name: str) -> Plugin:
    """The plug-in of that name or dotted path.

    Raises:
        RecipeError: There is none.
    """
    found = find_plugin(kind, name)
    if found is None:
        raise RecipeError(
            f"unknown {kind} {name!r}",
            allowed=", ".join([*plugins(kind), "package.module:NAME for one of your own"]),
            fix=nearest(name, plugins(kind)) or None,
        )
    return found


def plugin_of(kind: str, settings: Any) -> Plugin:
    """The plug-in that a section of a recipe chooses."""
    return plugin(kind, getattr(settings, KINDS[kind].choice))


def make_default(kind: str, name: str) -> Callable[[], Any]:
    """A function that makes the default settings of a plug-in, for fields of a recipe."""
    return lambda: plugin(kind, name).default()


def names_with(kind: str, ability: str) -> tuple[str, ...]:
    """The names of those that have an ability, for messages."""
    return tuple(name for name, entry in plugins(kind).items() if getattr(entry, ability))


@cache
def _plugin_at(kind: str, path: str) -> Plugin:
    """The plug-in at a dotted path; the recipe says the path, so that it can be loaded again."""
    return replace(_entries_of(kind, path)[0], name=path)


def _entries_in(kind: str, home: str) -> Iterator[Plugin]:
    package = importlib.import_module(home)
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            yield from _entries(kind, importlib.import_module(f"{home}.{module.name}"))


def _entries(kind: str, module: ModuleType) -> Iterator[Plugin]:
    for value in list(vars(module).values()):
        # What a module imports from elsewhere is found there.
        if getattr(value, "__module__", None) == module.__name__:
            yield from (entry for entry in _entries_on(value) if entry.kind == kind)


def _entries_on(value: Any) -> tuple[Plugin, ...]:
    found: tuple[Plugin, ...] = getattr(value, "__dict__", {}).get(ENTRY, ())
    return found


def _entries_of(kind: str, path: str) -> list[Plugin]:
    """The entries of a kind at a dotted path ``package.module:NAME``."""
    module_name, _, attribute = path.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(
            f"the {kind} {path} cannot be imported",
            found=str(error),
            allowed="package.module:NAME, in a module that Python can import",
        ) from error
    entries = [entry for entry in _entries_on(value) if entry.kind == kind]
    if not entries:
        raise RecipeError(
            f"{path} is no {kind}",
            fix=f'decorate it with @register("{kind}", ...) of fewshot_core.plugins',
        )
    return entries
