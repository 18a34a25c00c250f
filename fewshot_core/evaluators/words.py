"""What evaluators say of their scores in reports and cards.

Whoever writes an evaluator says what its scores mean; a report knows no evaluator by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from fewshot_core.plugins import Plugin


class Told(Protocol):
    """What a report knows of a run, for the words of its evaluator."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Number of images by part (``train``, ``validation``), as far as it is known."""

    @property
    def predictor(self) -> Mapping[str, Any] | None:
        """What an accuracy predictor has learnt, if there is one."""

    @property
    def few_shot(self) -> bool:
        """Whether several supernets share the space among them."""

    @property
    def supernets(self) -> str:
        """How many give scores: ``one supernet``, ``5 sub-supernets``."""

    def measured(self) -> str:
        """What ``evaluator.score`` is: ``accuracy in % on 56 of the 287 validation images``."""

    def measured_label(self, how: str) -> str:
        """The same as the label of an axis: ``validation accuracy, HOW (%)``."""


class Words(ABC):
    """The words of an evaluator.

    Attributes:
        training: What it needs the training images for, such as ``to train supernets``; empty: for
            nothing.
        audited: Whether an audit could tell something that the scores do not.
    """

    training: ClassVar[str] = ""
    audited: ClassVar[bool] = True

    @abstractmethod
    def label(self, settings: Any, told: Told) -> str:
        """A score as the label of an axis.

        Args:
            settings: The evaluator's.
            told: The run.
        """

    @abstractmethod
    def meaning(self, settings: Any, told: Told) -> str:
        """What a score was measured on and with which weights; a clause."""

    @abstractmethod
    def method(self, told: Told) -> str:
        """The kind of search; a noun phrase without an article."""


class PlainWords(Words):
    """What can be said of an evaluator that says no more than what it is about.

    Args:
        name: Its name in recipes.
        about: What it is, as it was registered.
    """

    def __init__(self, name: str, about: str) -> None:
        self._name, self._about = name, about

    def label(self, settings: Any, told: Told) -> str:
        return f"score, {self._name}"

    def meaning(self, settings: Any, told: Told) -> str:
        return f"what evaluator={self._name} gives ({self._about})"

    def method(self, told: Told) -> str:
        return f"neural architecture search by evaluator={self._name}"


def find_words(evaluator: Plugin) -> Words:
    """The words of an evaluator; of one that was registered without, :class:`PlainWords`."""
    return evaluator.words or PlainWords(evaluator.name, evaluator.about)
