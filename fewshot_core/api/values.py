"""What a run has come to, as values. No torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fewshot_core.metrics import Metric
from fewshot_core.spaces.space import Architecture


@dataclass(frozen=True)
class TrialRow:
    """One scored architecture.

    Attributes:
        number: Place in the order of completion, from 0.
        genotype: The architecture as text.
        id: A short name of the architecture, the same in every run.
        region: The region whose supernet has scored it.
        budget: The share of a whole evaluation that it was scored with; scores with different
            budgets do not compare.
        score: What its evaluator said; higher is better. nan where it is no number.
        metrics: What was measured on validation images, by name: ``accuracy`` in percent, ``loss``
            in nats, or those of the task. Empty where scores are no measurements.
        params: Trainable parameters, all operations counted.
        flops: Multiply-adds of convolutions and linear layers for one image, likewise.
        connected_params: Parameters of what lies between input and output: of the network that
            is trained, exported and held against limits.
        connected_flops: Its multiply-adds.
    """

    number: int
    genotype: str
    id: str
    region: str
    budget: float
    score: float
    metrics: Mapping[str, float]
    params: int
    flops: int
    connected_params: int
    connected_flops: int

    def to_dict(self) -> dict[str, Any]:
        """The attributes, with each metric in the place of ``metrics``."""
        row = vars(self) | {}
        place = list(row).index("metrics")
        before, after = list(row.items())[:place], list(row.items())[place + 1 :]
        return dict(before) | dict(self.metrics) | dict(after)


@dataclass(frozen=True)
class Network:
    """An architecture that a search has come to.

    Attributes:
        architecture: The architecture, a value of the run's search space.
        genotype: The same as text; ``run.retrain(architecture=...)`` takes either.
        id: A short name of it, the same in every run.
        score: What its evaluator said; higher is better. None where no trial has met it.
        metrics: What was measured on validation images, by name.
        costs: ``params`` and ``flops`` (multiply-adds for one image) of all operations;
            ``connected_params`` and ``connected_flops`` of the network that is trained, exported
            and held against limits; ``latency`` in milliseconds where it is limited.
        trial: The number of the trial that met it; None: none has.
    """

    architecture: Architecture
    genotype: str
    id: str
    score: float | None
    metrics: Mapping[str, float]
    costs: Mapping[str, float]
    trial: int | None

    def to_dict(self) -> dict[str, Any]:
        """The attributes but for the architecture itself, with metrics and costs among them."""
        named = {"genotype": self.genotype, "id": self.id, "trial": self.trial, "score": self.score}
        return named | dict(self.metrics) | dict(self.costs)


@dataclass(frozen=True)
class Training:
    """A network that was trained from scratch and measured on the test images.

    Attributes:
        label: ``found``, ``random``, ``largest``, ``most-flops``, ``one-shot``, or ``given`` by
            hand.
        seed: Which of the trainings of its label, from 0.
        genotype: Its architecture as text.
        id: A short name of the architecture.
        test: What was measured on the test images, by the name of the metric.
        params: Trainable parameters of the network.
        flops: Its multiply-adds for one image.
        training_seconds: What the training took.
        images_seen: Training images that it has seen, with repetitions.
    """

    label: str
    seed: int
    genotype: str
    id: str
    test: Mapping[str, float]
    params: int
    flops: int
    training_seconds: float
    images_seen: int

    def to_dict(self) -> dict[str, Any]:
        """The attributes, with each metric in the place of ``test``, as ``test_NAME``."""
        row = {name: value for name, value in vars(self).items() if name != "test"}
        return row | {f"test_{name}": value for name, value in self.test.items()}


@dataclass(frozen=True)
class Summary:
    """The trainings of one label.

    Attributes:
        label: Which.
        values: The test metric of each seed, in the order of the seeds.
    """

    label: str
    values: Sequence[float]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return statistics.mean(self.values)

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds (n - 1); nan of a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan


@dataclass(frozen=True)
class Results:
    """What a retraining came to: of what was found, and of what it is compared with.

    To iterate goes through the trainings.

    Attributes:
        metric: What networks are compared by: ``metric.name``, ``metric.unit``, and
            ``metric.better``, which is ``higher`` or ``lower``.
        trainings: Every training, label by label.
    """

    metric: Metric
    trainings: Sequence[Training] = field(repr=False)

    def __iter__(self) -> Iterator[Training]:
        return iter(self.trainings)

    def __len__(self) -> int:
        return len(self.trainings)

    @property
    def labels(self) -> list[str]:
        """The labels, that of the network which this is about first."""
        return list(dict.fromkeys(training.label for training in self.trainings))

    def about(self, kind: str, genotype: str) -> Results:
        """The same with the trainings of one architecture first.

        Args:
            kind: How their labels begin: ``given``.
            genotype: The architecture.
        """

        def is_other(training: Training) -> bool:
            return not (training.label.startswith(kind) and training.genotype == genotype)

        return Results(self.metric, sorted(self.trainings, key=is_other))

    def summary(self, label: str) -> Summary:
        """The trainings of one label.

        Raises:
            KeyError: There are none.
        """
        values = [t.test[self.metric.name] for t in self.trainings if t.label == label]
        if not values:
            raise KeyError(f"no trainings {label!r}; there are {', '.join(self.labels)}")
        return Summary(label, values)

    @property
    def values(self) -> Sequence[float]:
        """The test metric of each seed of what was found, or was given by hand."""
        return self.summary(self.labels[0]).values

    @property
    def mean(self) -> float:
        """Its mean over the seeds."""
        return self.summary(self.labels[0]).mean

    @property
    def spread(self) -> float:
        """Its standard deviation over the seeds (n - 1); nan of a single one."""
        return self.summary(self.labels[0]).spread

    @property
    def comparisons(self) -> dict[str, Summary]:
        """What it is compared with, by label: a random architecture, the largest, ..."""
        return {label: self.summary(label) for label in self.labels[1:]}

    def __str__(self) -> str:
        return "\n".join(
            f"{label}: test {self.metric.name} {_spread(self.summary(label))}"
            for label in self.labels
        )


def _spread(summary: Summary) -> str:
    several = f" ± {summary.spread:.2f}" if len(summary.values) > 1 else ""
    return f"{summary.mean:.2f}{several} ({len(summary.values)} seeds)"
