"""Level by level with a recurrent controller and a beam (Gong et al., ICCV 2019, section 3.2).

The decisions of a space come in levels: the cells of a generator, one after the other. A controller
of its own learns each level, while the levels before are those of a few parents, the beam. When it
has learnt, it draws candidates; the best of them become the parents of the next level, each with
the state that its controller's LSTM ended in, from which the next controller starts.

Two things differ from the authors' search, because supernets are trained before a search here and
hold whole architectures only: levels that are not decided yet are drawn at random instead of
missing, and the weights are not trained on in between. And the policy gradient is the one that the
paper describes, which the authors' program is not: every architecture is weighted by its own
advantage, the entropy is rewarded and not punished, the baseline lasts for a level, and the average
that a reward is compared with does not contain it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from fewshot_core.search.preferences.controller import LstmState, RecurrentPolicy, drawing
from fewshot_core.search.strategies.base import Accepts, Strategy
from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, Option

TRIES = 50
"""Architectures that are drawn until one lies in the region's bands and meets the constraint."""

DECAY = 0.9
"""Of the average of earlier rewards."""


@dataclass(frozen=True)
class Parent:
    """Decided levels, and the state of the LSTM that decided them."""

    choices: tuple[Option, ...] = ()
    state: LstmState | None = None


@dataclass
class Level:
    """A level at work.

    Attributes:
        places: Positions of its decisions in the space.
        policy: Its controller.
        parents: The beam, without repetitions.
        told: Trials since it began.
        candidates: (reward, decided levels, state) of those drawn at its end.
    """

    places: tuple[int, ...]
    policy: RecurrentPolicy
    optimizer: torch.optim.Optimizer
    parents: list[Parent]
    told: int = 0
    baseline: float | None = None
    candidates: list[tuple[float, Parent]] = field(default_factory=list)


class MultilevelStrategy(Strategy):
    """Asks for architectures of the level at work.

    Args:
        region: Where to search; its space says which decisions form a level.
        accepts: The constraint.
        lr: Step size of Adam.
        hidden: Size of the controllers.
        entropy: Weight of the entropy of their choices.
        level_trials: Trials that a controller learns from; the last one learns to the end.
        candidates: Architectures that a controller draws when it has learnt.
        beam: How many of the best of them the next level starts from.
    """

    def __init__(
        self,
        region: Region,
        accepts: Accepts,
        *,
        lr: float,
        hidden: int,
        entropy: float,
        level_trials: int,
        candidates: int,
        beam: int,
    ) -> None:
        self.region, self.accepts = region, accepts
        self.lr, self.hidden, self.entropy = lr, hidden, entropy
        self.level_trials, self.candidates, self.beam = level_trials, candidates, beam
        space = region.space
        self._levels = [tuple(map(space.position, names)) for names in space.levels()]
        flat = [place for places in self._levels for place in places]
        assert flat == list(range(len(space.decisions))), "levels are in the order of decisions"
        self._worst = math.inf
        self.number = 0
        self.level = self._begin([Parent()])

    def ask(self, seed: int) -> Proposal:
        rng = random.Random(derive_seed(seed, "multilevel"))
        generator = torch.Generator().manual_seed(derive_seed(seed, "policy"))
        for _ in range(TRIES):
            architecture = self._draw(rng, generator)
            if self.region.contains(architecture) and self.accepts(architecture):
                break
        return Proposal(architecture)

    def tell(self, trial: Trial) -> None:
        # A collapsed network has no finite score; it is as bad as the worst that has one.
        reward = trial.score if math.isfinite(trial.score) else self._worst
        self._worst = min(self._worst, reward)
        level = self.level
        level.told += 1
        parent = self._parent_of(trial.architecture)
        if parent is not None and math.isfinite(reward):
            if self._learning:
                self._learn(parent, trial.architecture, reward)
            else:
                level.candidates.append((reward, self._walk(parent, trial.architecture)))
        last = self.number == len(self._levels) - 1
        if not last and level.told >= self.level_trials + self.candidates:
            self._grow()

    # -- the level at work -------------------------------------------------------------------

    @property
    def _learning(self) -> bool:
        """The controller of the last level learns to the end."""
        last = self.number == len(self._levels) - 1
        return last or self.level.told <= self.level_trials

    def _begin(self, parents: list[Parent]) -> Level:
        places = self._levels[self.number]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("multilevel", self.number))
            sizes = [len(self.region.allowed[place]) for place in places]
            policy = RecurrentPolicy(sizes, self.hidden, squash=None)
        optimizer = torch.optim.Adam(policy.parameters(), lr=self.lr, betas=(0.0, 0.9))
        return Level(places, policy, optimizer, parents)

    def _grow(self) -> None:
        """The next level, with the best candidates as parents, each once."""
        best: dict[tuple[Option, ...], Parent] = {}
        for _, candidate in sorted(self.level.candidates, key=lambda pair: -pair[0]):
            best.setdefault(candidate.choices, candidate)
        self.number += 1
        # Where nothing had a score, the level before stays undecided, one of it drawn at random.
        self.level = self._begin(list(best.values())[: self.beam] or [self._any()])

    def _any(self) -> Parent:
        rng = random.Random(derive_seed("multilevel, any", self.number))
        decided = [place for places in self._levels[: self.number] for place in places]
        return Parent(tuple(rng.choice(self.region.allowed[place]) for place in decided))

    @torch.no_grad()
    def _draw(self, rng: random.Random, generator: torch.Generator) -> Architecture:
        level = self.level
        parent = rng.choice(level.parents)
        picks = level.policy.walk(drawing(generator), parent.state).picks
        mine = [self.region.allowed[p][i] for p, i in zip(level.places, picks, strict=True)]
        decided = (*parent.choices, *mine)
        # All candidates for the beam are completed alike, so that they compare.
        later = rng if self._learning_next else random.Random(derive_seed("later", self.number))
        rest = [later.choice(options) for options in self.region.allowed[len(decided) :]]
        return Architecture(self.region.space.name, (*decided, *rest))

    @property
    def _learning_next(self) -> bool:
        last = self.number == len(self._levels) - 1
        return last or self.level.told < self.level_trials

    # -- learning ----------------------------------------------------------------------------

    def _parent_of(self, architecture: Architecture) -> Parent | None:
        """The parent it descends from; none where it was drawn for a constraint."""
        for parent in self.level.parents:
            if architecture.choices[: len(parent.choices)] == parent.choices:
                return parent
        return None

    def _learn(self, parent: Parent, architecture: Architecture, reward: float) -> None:
        level = self.level
        if level.baseline is None:
            level.baseline = reward
        advantage = reward - level.baseline
        level.baseline += (1 - DECAY) * advantage
        walk = level.policy.walk(self._known(architecture), parent.state)
        loss = -advantage * walk.likelihood - self.entropy * walk.entropy
        level.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        level.optimizer.step()

    @torch.no_grad()
    def _walk(self, parent: Parent, architecture: Architecture) -> Parent:
        walk = self.level.policy.walk(self._known(architecture), parent.state)
        return Parent(architecture.choices[: self.level.places[-1] + 1], walk.state)

    def _known(self, architecture: Architecture) -> Callable[[int, torch.Tensor], int]:
        places: Sequence[int] = self.level.places

        def pick(number: int, logs: torch.Tensor) -> int:
            place = places[number]
            return self.region.allowed[place].index(architecture.choices[place])

        return pick
