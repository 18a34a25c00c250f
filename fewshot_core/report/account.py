"""What a run did, in words, for its report and for the cards of its networks.

Recipes differ in what they train, score with and measure on, and runs in how far they came. What is
said here holds for the recipe and the state it is asked about; what is not known is not said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fewshot_core.costs.table import Limits
from fewshot_core.evaluators.words import find_words
from fewshot_core.metrics import Metric
from fewshot_core.plugins import Plugin, plugin_of
from fewshot_core.recipe.schema import BUNDLED, DataSettings, MeasuringSettings, Recipe
from fewshot_core.report.facts import RegionFacts, RunFacts, read_history
from fewshot_core.runs.retrained import (
    EARLIER,
    GIVEN,
    TRIAL,
    base_label,
    kind_of_label,
    settings_of_label,
)
from fewshot_core.runs.reuse import Reused
from fewshot_core.tasks import load_description, load_task

GENERIC = ("train", "data", "images", "shards")
"""Names of folders and files that say nothing without the folder they lie in."""


@dataclass(frozen=True)
class Account:
    """What is known of a run, as far as its words depend on it.

    Attributes:
        recipe: Its settings.
        data: What data.json says of its images.
        regions: The regions of its tree, with what was trained for them.
        predictor: What predictor.json says.
        searched: Whether its search has ended.
        audited: Whether there is an audit.
        rungs: Networks on each rung of a ladder; empty: there was none.
        reused: Where its supernets are from, where another run has trained them.
    """

    recipe: Recipe
    data: Mapping[str, Any] = field(default_factory=dict)
    regions: Sequence[RegionFacts] = ()
    predictor: Mapping[str, Any] | None = None
    searched: bool = True
    audited: bool = False
    rungs: Sequence[int] = ()
    reused: Reused | None = None

    # -- how architectures got their scores ----------------------------------------------------

    @property
    def evaluator(self) -> Plugin:
        """What is known of the evaluator."""
        return plugin_of("evaluator", self.recipe.evaluator)

    @property
    def sub_supernets(self) -> int:
        """Number of regions whose own supernet gives scores; 0: none, or one for all."""
        if not self.evaluator.inherits:
            return 0
        parents = {region.parent for region in self.regions}
        leaves = [r for r in self.regions if r.parent is not None and r.id not in parents]
        return sum(r.state is None or not r.state.diverged for r in leaves)

    @property
    def few_shot(self) -> bool:
        """Whether several supernets share the space among them."""
        split = any(region.parent is not None for region in self.regions)
        return split and self.evaluator.inherits

    @property
    def supernets(self) -> str:
        """How many give scores: ``one supernet``, ``5 sub-supernets``."""
        supernets = count_in_words(self.sub_supernets, "sub-supernet") if self.few_shot else ""
        return supernets or "one supernet"

    def method(self) -> str:
        """The kind: ``few-shot neural architecture search (5 sub-supernets)``."""
        return find_words(self.evaluator).method(self)

    def score_label(self) -> str:
        """A score as the label of an axis."""
        return find_words(self.evaluator).label(self.recipe.evaluator, self)

    def score_meaning(self) -> str:
        """What a score was measured on and with which weights."""
        return find_words(self.evaluator).meaning(self.recipe.evaluator, self)

    def measured(self) -> str:
        """What ``evaluator.score`` is: ``accuracy in % on 56 of the 287 validation images``."""
        score = self.score
        kind = self.named(score, "validation")
        if score.unit:
            kind += f" in {score.unit}"
        if score.lower:
            kind += " with its sign turned,"
        return f"{kind} {self.on} {self._scored_on()}validation images"

    def measured_label(self, how: str) -> str:
        """The same as the label of an axis: ``validation accuracy, HOW (%)``."""
        score = self.score
        sign = "negative " if score.lower else ""
        return with_unit(f"{sign}validation {self.named(score, 'validation')}, {how}", score)

    @property
    def _measuring(self) -> MeasuringSettings:
        settings = self.recipe.evaluator
        assert isinstance(settings, MeasuringSettings)
        return settings

    def _scored_on(self) -> str:
        """``56 of the 287 ``, or no more than is known."""
        limit, known = self._measuring.images, self.data.get("validation")
        if load_task(self.recipe.task).generates:
            limit = None  # distances are to all of them
        if not isinstance(known, int):
            return "the " if limit is None else f"at most {limit:,} "
        return f"{known:,} " if limit is None or limit >= known else f"{limit:,} of the {known:,} "

    @property
    def score(self) -> Metric:
        """The metric that scores are of."""
        return load_description(self.recipe.task).find_metric(self._measuring.score)

    def named(self, metric: Metric, part: str) -> str:
        """A metric as tables name it."""
        return load_task(self.recipe.task).name_metric(metric, self.recipe, part)

    @property
    def on(self) -> str:
        """``on`` the images of a part, or ``against`` them."""
        return "against" if load_task(self.recipe.task).generates else "on"

    # -- what a network is ---------------------------------------------------------------------

    def origin(
        self, label: str, also: Sequence[str] = (), trained: str = "trained from scratch"
    ) -> str:
        """Where a retrained network comes from, in sentences.

        Args:
            label: Its label.
            also: Other labels of the same architecture.
            trained: How it was trained.
        """
        recipe = f"recipe `{self.recipe.recipe}`"
        search = f"{self.method()}, {recipe}, strategy `{self.recipe.strategy.name}`"
        found = f"found by {search}"
        settings, label, kind = settings_of_label(label), base_label(label), kind_of_label(label)
        if settings:
            settings = f" Its training differs from the recipe: {settings}."
        if label == "found":
            chosen = f"; chosen by {self.ladder()}" if self.rungs else ""
            return f"{found[:1].upper()}{found[1:]}{chosen}; then {trained}.{settings}"
        limits = self.limits()
        what = {
            "given": "Given by hand, and not found by a search",
            "random": f"Drawn at random{limits}, another for each seed, and not found by a search",
            "largest": f"The largest architecture, by parameters, that could be made{limits}; not "
            "found by a search",
            "most-flops": f"The architecture with the most FLOPs that could be made{limits}; not "
            "found by a search",
            "one-shot": "The choice of the one supernet of the whole space among the architectures "
            "that a search had scored otherwise",
            "trial": f"Met by {search}, as its {label}, and chosen by hand among its trials",
            "earlier": f"Found by {search}, before that search went on and found another",
        }.get(kind, f"Not found by a search ({label})")
        if label == "one-shot" and not self.few_shot:
            what = f"{found[:1].upper()}{found[1:]}"
        text = f"{what}. {trained.capitalize()} in a run of {recipe}"
        if kind not in (GIVEN, TRIAL, EARLIER):
            text += ", as a rival of what the search found"
        same = " The search of that run found the same architecture." if "found" in also else ""
        return f"{text}.{settings}{same}"

    def chosen(self, label: str) -> str:
        """How a network was chosen that was not trained from scratch; a sentence."""
        search = f"{self.method()}, recipe `{self.recipe.recipe}`, strategy "
        search += f"`{self.recipe.strategy.name}`"
        if kind_of_label(label) == TRIAL:
            return f"It is {label} of a search ({search}), chosen by hand among its trials."
        if label == GIVEN:
            return f"It was given by hand, and not found by the search of its run ({search})."
        last = f", and chosen by {self.ladder()}" if self.rungs else ""
        return f"It was found by {search}{last}."

    def found_by_few_shot(self, labels: Sequence[str]) -> bool:
        """Whether a search of a split supernet found a network.

        Args:
            labels: All labels of its architecture.
        """
        split = self.few_shot and self.sub_supernets > 0
        return "found" in labels and self.searched and split

    def ladder(self) -> str:
        """``short trainings from scratch of 48 networks, then longer ones of 12 and 3``."""
        first, *further = self.rungs
        if not further:
            return f"trainings from scratch of {first} networks"
        return (
            f"short trainings from scratch of {first} networks, then longer ones of "
            f"{_enumerate(further)}"
        )

    def scoring(self, labels: Sequence[str] = ("found",)) -> str:
        """How the search got its scores; a sentence, or what is true in its place.

        Args:
            labels: All labels of the architecture that it is said of. Of one that the search did
                not choose the kind of the search is not said: it would read as if it had.
        """
        if not self.searched:
            return "No search was ended in this run."
        last = f" The last choice was made by {self.ladder()}." if self.rungs else ""
        if "found" not in labels and not ("one-shot" in labels and not self.few_shot):
            return (
                "A search of the same run, which did not choose this network, compared "
                f"architectures by a score: {self.score_meaning()}.{last}"
            )
        return (
            f"The search was a {self.method()}. It compared architectures by a score: "
            f"{self.score_meaning()}.{last}{self.reuse()}"
        )

    def reuse(self) -> str:
        """Where the supernets are from, with a space before it; empty: they were trained here."""
        return f" {self.reused.sentence}" if self.reused is not None else ""

    def trained_on(self) -> str:
        """``the 1,151 training and 287 validation images``."""
        train, validation = (count_of(self.data, part) for part in ("train", "validation"))
        if self.recipe.retrain.use_validation:
            return f"the {train}training and {validation}validation images"
        return f"the {train}training images"

    def limits(self) -> str:
        """``, with params <= 40,000``, or nothing."""
        constraint = self.recipe.constraint
        text = str(Limits(constraint.flops, constraint.params, constraint.latency))
        return f" with {text}" if text else ""

    # -- the images ----------------------------------------------------------------------------

    def uses(self) -> dict[str, str]:
        """What each part of the images is for in this run."""
        use = find_words(self.evaluator).training
        train = [*([use] if use else []), "to retrain networks"]
        validation = ["to score architectures"] if self.evaluator.measures else []
        if self.rungs:
            train.insert(-1, "to train the networks of the ladder")
            validation.append("to choose among those")
        if self.audited:
            train.insert(-1, "to train the networks of the audit")
            validation.append("to audit the scores")
        if self.recipe.retrain.use_validation:
            validation.append("with the training images to retrain")
        own = self.recipe.data.source in BUNDLED
        held = "held out of the source, " if own else ""
        return {
            "train": ", ".join(train),
            "validation": ", then ".join(validation) or "for nothing",
            "test": f"{held}for retrained networks alone",
        }


def account_of(recipe: Recipe, facts: RunFacts) -> Account:
    """What the run of these facts did."""
    return Account(
        recipe,
        facts.data,
        facts.regions,
        facts.predictor,
        searched=facts.found is not None,
        audited=facts.audit is not None,
        rungs=[] if facts.ladder is None else [r["networks"] for r in facts.ladder["rungs"]],
        reused=facts.reused,
    )


def read_account(run: Path, recipe: Recipe, data: Mapping[str, Any]) -> Account:
    """What the run in this folder did, as far as a card of its networks tells it.

    Raises:
        RunFolderError: A file is damaged.
    """
    return account_of(recipe, replace(read_history(run), data=data))


def data_name(data: DataSettings) -> str:
    """The images as a user knows them: ``digits``, ``images in flowers``, ``torch/cifar10``."""
    if data.root is None or data.source in BUNDLED or data.source.startswith("torch/"):
        return data.source
    if data.source == "hfds" and not Path(data.root).expanduser().exists():
        return f"{data.root} of the Hugging Face Hub"
    parts = [part for part in Path(data.root).parts if part not in ("/", ".", "..", "~")]
    plain = parts[-1].split(".")[0].split("-")[0].split("{")[0] if parts else ""
    last = parts[-2:] if plain.lower() in (*GENERIC, "") else parts[-1:]
    kind = {"wds": "WebDataset shards", "hfds": "Hugging Face data set"}.get(data.source)
    return f"{kind or data.source} in {'/'.join(last) or data.root}"


def channels_text(channels: object) -> str:
    """``grayscale (1 channel)``."""
    return {1: "grayscale (1 channel)", 3: "RGB (3 channels)"}.get(
        channels if isinstance(channels, int) else 0, f"channels: {channels}"
    )


def classes_text(data: DataSettings, classes: object) -> str:
    """Their number, or that there are none."""
    return str(classes) if data.labelled else "none: the images are taken without labels"


def with_unit(text: str, metric: Metric) -> str:
    """A label with the unit of its metric, where it has one."""
    return f"{text} ({metric.unit})" if metric.unit else text


def epochs_text(epochs: float) -> str:
    """``1 epoch``, ``0.417 epochs``."""
    return f"{epochs:.3g} epoch{'' if epochs == 1 else 's'}"


def _enumerate(numbers: Sequence[int]) -> str:
    """``12``, ``12 and 3``, ``24, 12 and 6``."""
    *before, last = map(str, numbers)
    return f"{', '.join(before)} and {last}" if before else last


def count_in_words(number: int, noun: str) -> str:
    """``1 region``, ``1,200 regions``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def count_of(data: Mapping[str, Any], part: str) -> str:
    """``287 ``, or nothing where data.json does not say."""
    count = data.get(part)
    return f"{count:,} " if isinstance(count, int) else ""
