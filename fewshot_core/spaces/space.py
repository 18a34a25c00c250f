"""What can be chosen: decisions, spaces, and the architectures in them.

These are immutable values that know no weights and import no torch, so that they can be counted,
hashed, written to JSON and tested in microseconds.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fewshot_core.errors import ArchitectureError, nearest

Option = str | int | float
Feature = Callable[["Architecture"], float]

RANDOM_FEATURE = "random:"
"""Prefix of the pseudo-features ``random:SEED``: a number in [0, 1) drawn from the id."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A named choice and its options."""

    name: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise ArchitectureError(
                f"decision {self.name!r} needs distinct options", found=list(self.options)
            )


@dataclass(frozen=True, slots=True)
class Architecture:
    """One assignment of all decisions of a space, in the space's order.

    The values of the options are stored as they are: whoever reads an architecture needs no
    table to decode it.
    """

    space: str
    choices: tuple[Option, ...]

    @property
    def id(self) -> str:
        """A stable identifier: the same on every machine and in every process."""
        text = json.dumps([self.space, list(self.choices)], separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class SearchSpace:
    """The ordered decisions of a task.

    A task subclasses it to give architectures a readable text (their *genotype*), a canonical
    form, and scalar features. The defaults here make a plain product of decisions usable as it is.
    """

    name: str
    decisions: tuple[Decision, ...]

    def __post_init__(self) -> None:
        names = [decision.name for decision in self.decisions]
        if not names or len(set(names)) != len(names):
            raise ArchitectureError(f"space {self.name!r} needs distinct decisions", found=names)

    @cached_property
    def _positions(self) -> Mapping[str, int]:
        return {decision.name: index for index, decision in enumerate(self.decisions)}

    @cached_property
    def _option_sets(self) -> tuple[frozenset[Option], ...]:
        return tuple(frozenset(decision.options) for decision in self.decisions)

    def position(self, decision: str) -> int:
        """Index of a decision by name.

        Raises:
            ArchitectureError: The space has no such decision.
        """
        try:
            return self._positions[decision]
        except KeyError:
            raise ArchitectureError(
                f"space {self.name!r} has no decision {decision!r}",
                allowed=", ".join(self._positions),
                fix=nearest(decision, self._positions) or None,
            ) from None

    def size(self) -> int:
        """Number of architectures."""
        return math.prod(len(decision.options) for decision in self.decisions)

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures, the last decision changing fastest."""
        for choices in itertools.product(*(decision.options for decision in self.decisions)):
            yield Architecture(self.name, choices)

    def sample(self, rng: random.Random) -> Architecture:
        """An architecture, each with the same probability."""
        return Architecture(
            self.name, tuple(rng.choice(decision.options) for decision in self.decisions)
        )

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """Change exactly one decision to another of its options (Real et al. 2019, section 3).

        Raises:
            ArchitectureError: No decision has a second option.
        """
        free = [i for i, decision in enumerate(self.decisions) if len(decision.options) > 1]
        if not free:
            raise ArchitectureError(f"space {self.name!r} has a single architecture")
        place = rng.choice(free)
        options = [o for o in self.decisions[place].options if o != architecture.choices[place]]
        choices = list(architecture.choices)
        choices[place] = rng.choice(options)
        return Architecture(self.name, tuple(choices))

    def crossover(
        self, mother: Architecture, father: Architecture, rng: random.Random
    ) -> Architecture:
        """Take every decision from one of the two with equal probability."""
        pairs = zip(mother.choices, father.choices, strict=True)
        return Architecture(self.name, tuple(rng.choice(pair) for pair in pairs))

    def contains(self, architecture: Architecture) -> bool:
        """Whether the architecture assigns every decision one of its options."""
        return (
            architecture.space == self.name
            and len(architecture.choices) == len(self.decisions)
            and all(
                choice in options
                for choice, options in zip(architecture.choices, self._option_sets, strict=True)
            )
        )

    def architecture(self, choices: Mapping[str, Option]) -> Architecture:
        """The architecture with these choices by decision name.

        Raises:
            ArchitectureError: A decision is missing, unknown, or has another option.
        """
        for name in choices:
            self.position(name)
        values = []
        for decision in self.decisions:
            if decision.name not in choices:
                raise ArchitectureError(f"decision {decision.name!r} is missing")
            choice = choices[decision.name]
            if choice not in decision.options:
                raise ArchitectureError(
                    f"decision {decision.name!r} has no option {choice!r}",
                    allowed=", ".join(map(str, decision.options)),
                )
            # The option itself: an equal 1.0 or true for 1 would give another id and genotype.
            values.append(decision.options[decision.options.index(choice)])
        return Architecture(self.name, tuple(values))

    def choices(self, architecture: Architecture) -> dict[str, Option]:
        """The choices of an architecture by decision name."""
        return {
            decision.name: choice
            for decision, choice in zip(self.decisions, architecture.choices, strict=True)
        }

    # -- numbers ---------------------------------------------------------------------------

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """The place of every choice among the options of its decision, from 0 on."""
        pairs = zip(self.decisions, architecture.choices, strict=True)
        return tuple(decision.options.index(choice) for decision, choice in pairs)

    def derive(self, preferences: Mapping[str, Mapping[Option, float]]) -> Architecture:
        """The architecture that a relaxation of the space prefers.

        By default every decision takes the option that is preferred most. A space overrides it
        whose decisions depend on one another, such as one of two inputs a node.

        Args:
            preferences: By decision the logarithm of each option's probability; options that a
                region does not allow are missing.
        """
        picks = (max(preferences[d.name].items(), key=lambda item: item[1]) for d in self.decisions)
        return Architecture(self.name, tuple(option for option, _ in picks))

    # -- text and JSON ---------------------------------------------------------------------

    def genotype(self, architecture: Architecture) -> str:
        """The readable text of an architecture; :meth:`parse` reads it back."""
        return json.dumps(list(architecture.choices), separators=(",", ":"))

    def parse(self, genotype: str) -> Architecture:
        """Read a genotype.

        Raises:
            ArchitectureError: The text is no genotype of this space.
        """
        try:
            choices = json.loads(genotype)
        except (ValueError, RecursionError):
            choices = None
        if not isinstance(choices, list) or len(choices) != len(self.decisions):
            raise ArchitectureError(
                f"not a genotype of space {self.name!r}",
                found=str(genotype)[:120],
                allowed=f"a JSON list of {len(self.decisions)} choices",
            )
        return self.architecture(dict(zip(self._positions, choices, strict=True)))

    def to_json(self, architecture: Architecture) -> dict[str, Any]:
        """A JSON value that says everything about an architecture."""
        return {
            "space": self.name,
            "id": architecture.id,
            "genotype": self.genotype(architecture),
            "choices": self.choices(architecture),
        }

    def from_json(self, value: Mapping[str, Any]) -> Architecture:
        """Read what :meth:`to_json` wrote; only ``choices`` counts, ``space`` is checked.

        Raises:
            ArchitectureError: The value is of another space or incomplete.
        """
        if not isinstance(value, Mapping) or not isinstance(value.get("choices"), Mapping):
            raise ArchitectureError(f"not an architecture of space {self.name!r}", found=value)
        if value.get("space", self.name) != self.name:
            raise ArchitectureError(
                f"an architecture of space {value['space']!r}, not of {self.name!r}"
            )
        return self.architecture(value["choices"])

    # -- what a task may add -----------------------------------------------------------------

    def canonical(self, architecture: Architecture) -> Architecture:
        """The representative of all architectures that stand for the same network."""
        return architecture

    def connected(self, architecture: Architecture) -> Architecture | None:
        """The architecture without operations that cannot influence the output.

        None when nothing connects input and output.
        """
        return architecture

    def hashes(self) -> Mapping[str, Architecture]:
        """Representatives by the hashes that published tables know them by; none by default."""
        return {}

    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Names of the decisions in groups that a strategy may decide one after the other.

        In the order of the decisions; all in one by default.
        """
        return (tuple(decision.name for decision in self.decisions),)

    def plain(self, architecture: Architecture) -> Architecture:
        """The same network, built part for part alike, without choices that say nothing.

        What a search hands over. Unlike :meth:`canonical` it never names another network that only
        computes the same.
        """
        return architecture

    def parts(self, architecture: Architecture) -> Iterable[tuple[str, Hashable]]:
        """What the network consists of, beside what all networks have: its cost is their sum.

        A part is a pair of a place and of what is there. By default a decision and its choice; a
        space whose choices depend on one another says what is really built.
        """
        return zip(self._positions, architecture.choices, strict=True)

    def features(self) -> Mapping[str, Feature]:
        """Scalar features by name, for bands and for balanced paths."""
        return {}

    def feature(self, name: str, architecture: Architecture) -> float:
        """Value of a feature.

        Raises:
            ArchitectureError: The space has no such feature.
        """
        if name.startswith(RANDOM_FEATURE):
            digest = hashlib.blake2b(f"{name}/{architecture.id}".encode(), digest_size=6).digest()
            return int.from_bytes(digest, "big") / 2.0**48
        known = self.features()
        if name not in known:
            raise ArchitectureError(
                f"space {self.name!r} has no feature {name!r}",
                allowed=", ".join([*known, f"{RANDOM_FEATURE}SEED"]),
                fix=nearest(name, known) or None,
            )
        return known[name](architecture)


def append_idle(space: SearchSpace, text: str, architecture: Architecture) -> str:
    """The text of a network and, behind ``#``, the choices of an architecture that say nothing.

    Those are the ones in which it differs from its representative, whose text is ``text``.
    """
    pairs = zip(
        space.decisions, architecture.choices, space.canonical(architecture).choices, strict=True
    )
    others = [f"{decision.name}={choice}" for decision, choice, usual in pairs if choice != usual]
    return f"{text} # {' '.join(others)}" if others else text


def read_idle(space: SearchSpace, canonical: Architecture, others: str) -> Architecture:
    """What :func:`append_idle` wrote of an architecture whose representative is known.

    Args:
        space: The space.
        canonical: The representative.
        others: What stands behind ``#``.

    Raises:
        ArchitectureError: A choice does not exist, or changes the network.
    """
    if not others.strip():
        return canonical
    choices = dict(space.choices(canonical))
    for pair in others.split():
        name, _, value = pair.partition("=")
        options = space.decisions[space.position(name)].options
        chosen = next((option for option in options if str(option) == value), None)
        if chosen is None:
            raise ArchitectureError(
                f"decision {name!r} has no option {value!r}",
                allowed=", ".join(map(str, options)),
            )
        choices[name] = chosen
    architecture = space.architecture(choices)
    if space.canonical(architecture) != canonical:
        raise ArchitectureError("what follows # changes the network", found=others.strip()[:120])
    return architecture


class PartEncoding:
    """Architectures as vectors of zeros and ones, a place for each part that some of them have.

    Unlike :meth:`SearchSpace.encode` it has no place for choices that say nothing. A part that none
    of the first architectures had has no place.

    Args:
        space: Names the parts, see :meth:`SearchSpace.parts`.
        architectures: Those whose parts have places, in the order in which they occur.
    """

    def __init__(self, space: SearchSpace, architectures: Iterable[Architecture]) -> None:
        self._space = space
        self._places: dict[tuple[str, Hashable], int] = {}
        for architecture in architectures:
            for part in space.parts(architecture):
                self._places.setdefault(part, len(self._places))

    def encode(self, architecture: Architecture) -> list[float]:
        """The vector of an architecture."""
        vector = [0.0] * len(self._places)
        for part in self._space.parts(architecture):
            if part in self._places:
                vector[self._places[part]] = 1.0
        return vector


def read_architectures(space: SearchSpace, genotypes: Sequence[str]) -> list[Architecture]:
    """Parse many genotypes, naming the first that is not of the space."""
    architectures = []
    for line, genotype in enumerate(genotypes, start=1):
        try:
            architectures.append(space.parse(genotype))
        except ArchitectureError as error:
            raise ArchitectureError(f"row {line}: {error}") from None
    return architectures
