"""SMAC: the forest and the acquisition function of the package ``smac``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewshot_core.errors import RecipeError
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, Accepts, Strategy, StrategyContext
from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

INITIAL = 20
"""Architectures that are drawn at random before there is a model."""

RETRAIN = 8
"""Trials between two models, as in SMAC's ``ConfigSelector``."""

RANDOM_SHARE = 0.2
"""Architectures drawn at random between the model's, as in its ``ProbabilityRandomDesign``."""

POOL, BEAM, ROUNDS = 1000, 10, 20
"""Random architectures that the search for the best expected improvement begins with; those of the
best whose neighbours are looked at in a round; and rounds at most."""

TREES, PERCENTILE = 10, 5
"""Of SMAC's facade for hyperparameters, as is what else is said to the forest."""

Improvement = Callable[[list[Architecture]], list[float]]


@dataclass(frozen=True)
class SmacSettings(StrategySettings):
    """Everything is as SMAC has it."""

    name: str = setting("smac", NAME)


@register(
    "strategy",
    "smac",
    settings=SmacSettings,
    about="random forest and expected improvement (Lindauer et al., JMLR 2022); needs smac",
)
def make_smac(settings: SmacSettings, context: StrategyContext) -> SmacStrategy:
    """A model of a region."""
    return SmacStrategy(context.region, context.accepts)


class SmacStrategy(Strategy):
    """Sequential model-based algorithm configuration (Hutter et al., LION 2011; Lindauer et al.,
    JMLR 2022): a random forest predicts the score, expected improvement decides.

    Forest, logarithmic costs and expected improvement are those of SMAC3's facade for
    hyperparameter optimisation. The candidates are ours: SMAC's maximiser knows no constraint, and
    the order of its starting points hangs on Python's string hashes, which differ between two
    processes, so a search could not be resumed. As there, they are random architectures and what a
    local search finds from the best; one that is known is not asked for again.

    Raises:
        RecipeError: The package ``smac`` is not installed.
    """

    def __init__(self, region: Region, accepts: Accepts) -> None:
        self._region = region
        self._accepts = accepts
        self._tools = _Tools(region)
        self._costs: list[tuple[Architecture, float]] = []
        self._known: set[Architecture] = set()
        self._modelled = 0
        self._ranked: list[Architecture] = []

    def ask(self, seed: int) -> Proposal:
        rng = random.Random(seed)
        self._model()
        if rng.random() >= RANDOM_SHARE:
            for architecture in self._ranked:
                if architecture not in self._known:
                    return Proposal(architecture)
        return Proposal(self._region.sample(rng))

    def tell(self, trial: Trial) -> None:
        self._costs.append((trial.architecture, -trial.score))
        self._known.add(trial.architecture)

    def _model(self) -> None:
        """Make the model of now, which depends on the trials of then: a multiple of RETRAIN."""
        due = INITIAL + (len(self._costs) - INITIAL) // RETRAIN * RETRAIN
        if due < INITIAL or due == self._modelled:
            return
        self._modelled = due
        costs = dict(self._costs[:due])
        rng = random.Random(derive_seed("smac", due))
        improvement = self._tools.improvement(costs, rng.randrange(2**31))
        self._ranked = self._candidates(costs, improvement, rng) if improvement else []

    def _candidates(
        self, costs: dict[Architecture, float], improvement: Improvement, rng: random.Random
    ) -> list[Architecture]:
        """Unknown architectures by falling expected improvement, as many as may be asked for."""
        best = sorted(costs, key=lambda a: costs[a])[:BEAM]
        pool = [self._region.sample(rng) for _ in range(POOL)]
        values: dict[Architecture, float] = {}

        def look_at(architectures: Iterable[Architecture]) -> None:
            new = [a for a in dict.fromkeys(architectures) if a not in values]
            new = [a for a in new if a in costs or self._accepts(a)]
            values.update(zip(new, improvement(new), strict=True) if new else ())

        look_at([*best, *pool])
        frontier, expanded = best, set[Architecture]()
        for _ in range(ROUNDS):
            expanded.update(frontier)
            look_at(n for a in frontier for n in neighbours(self._region, a))
            top = sorted(values, key=lambda a: -values[a])[:BEAM]
            frontier = [a for a in top if a not in expanded]
            if not frontier:
                break
        unknown = [a for a in values if a not in costs]
        rng.shuffle(unknown)  # or equals would come in the order of the options
        return sorted(unknown, key=lambda a: -values[a])[: 2 * RETRAIN]


def neighbours(region: Region, architecture: Architecture) -> list[Architecture]:
    """The architectures of the region that differ in one decision."""
    found = []
    for place, options in enumerate(region.allowed):
        for option in options:
            if option != architecture.choices[place]:
                choices = list(architecture.choices)
                choices[place] = option
                found.append(Architecture(architecture.space, tuple(choices)))
    return [a for a in found if not region.bands or region.contains(a)]


class _Tools:
    """What is used of the package ``smac``, for the decisions that have a choice."""

    def __init__(self, region: Region) -> None:
        try:
            # It takes seconds, and most searches need none of it.
            from ConfigSpace import CategoricalHyperparameter, Configuration, ConfigurationSpace
            from smac.acquisition.function import EI
            from smac.model.random_forest import RandomForest
        except ImportError as error:
            raise RecipeError(
                "strategy=smac needs the package smac, which is not installed",
                found=error,
                fix="pip install 'smac>=2.4', or choose another strategy",
            ) from None
        self._configuration, self._ei, self._forest = Configuration, EI, RandomForest
        self._space = ConfigurationSpace(seed=0)
        for place, options in enumerate(region.allowed):
            if len(options) > 1:
                choices = list(range(len(options)))
                self._space.add(CategoricalHyperparameter(str(place), choices))
        self._region, self._places = region, list(map(int, self._space))  # in an order of its own

    def improvement(self, costs: dict[Architecture, float], seed: int) -> Improvement | None:
        """A function from architectures to their expected improvements; None without a choice."""
        if not self._places:
            return None
        x, y = self._encode(costs), _logarithmic(list(costs.values()))
        # Without a limit of leaves, each tree would reserve memory for a million of them.
        forest = self._forest(
            self._space,
            n_trees=TREES,
            ratio_features=1.0,
            min_samples_split=2,
            min_samples_leaf=1,
            max_leaf_nodes=max(2, len(y)),
            log_y=True,
            n_jobs=1,
            seed=seed,
        )
        forest.train(x, y)
        acquisition = self._ei(log=True)
        acquisition.update(model=forest, eta=forest.predict_marginalized(x)[0].min())

        def of(architectures: list[Architecture]) -> list[float]:
            rows = self._encode(architectures)
            try:
                values = acquisition([self._configuration(self._space, vector=r) for r in rows])
            except ValueError:  # rounding has made one negative, and SMAC refuses all of them
                if len(architectures) == 1:
                    return [0.0]
                return [value for architecture in architectures for value in of([architecture])]
            return [float(value) for value in values.ravel()]

        return of

    def _encode(self, architectures: Iterable[Architecture]) -> NDArray[np.float64]:
        codes = np.array([self._region.encode(a) for a in architectures], dtype=np.float64)
        return codes[:, self._places]


def _logarithmic(costs: list[float]) -> NDArray[np.float64]:
    """Costs in (0, 1] on a logarithmic scale, ``[n, 1]``, as SMAC's log-scaled encoder has them."""
    values = np.array(costs, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.min() == finite.max():
        return np.zeros((values.size, 1))
    # A collapsed network is as bad as the worst that has a score.
    values = np.where(np.isfinite(values), values, finite.max())
    least = values.min()
    below = least - (np.percentile(values, PERCENTILE) - least) - 1e-10 * (values.max() - least)
    scaled = np.log((values - below) / (values.max() - below))
    return np.asarray(scaled)[:, None]
