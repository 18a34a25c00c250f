"""What the page of a report shows."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fewshot_core.metrics import Metric
from fewshot_core.recipe.schema import Recipe
from fewshot_core.report.facts import RunFacts
from fewshot_core.report.moments import Slides


@dataclass(frozen=True)
class Picture:
    """A picture of the page: SVG text and a sentence that says what it shows."""

    name: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Doing:
    """What a run was at when its page was written.

    Attributes:
        title: What is going on: ``supernet root``, ``search``.
        done: Units of it that are done.
        total: Units of it in all.
        at: When that was, in words.
    """

    title: str
    done: int
    total: int
    at: str


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        run: The folder, as the commands name it.
        recipe_text: The resolved recipe.
        metric: The metric of retrained networks.
        metric_text: The same in words; empty: its name says it all.
        drawing: The architecture that the page is about, drawn; None where nothing was found.
        canonical: Genotype -> what equal networks have in common.
        draw: Genotype -> SVG text; None: architectures are not drawn.
        doing: What the run is at; None: nothing is going on.
        slides: What a network made along its training; None: nothing was drawn.
    """

    run: Path
    recipe: Recipe
    recipe_text: str
    metric: Metric
    facts: RunFacts
    drawing: Picture | None = None
    pictures: Sequence[Picture] = ()
    metric_text: str = ""
    canonical: Callable[[str], str] = field(default=lambda genotype: genotype)
    draw: Callable[[str], str] | None = None
    doing: Doing | None = None
    slides: Slides | None = None

    def class_names(self, count: int) -> list[str]:
        """The names of so many classes; their numbers where the run knows other names."""
        known = self.facts.data.get("class_names")
        if isinstance(known, list) and len(known) == count:
            return [str(name) for name in known]
        return [str(number) for number in range(count)]

    def command(self, tool: str, *words: str) -> str:
        """A command about this run, for a shell."""
        return shlex.join(["fewshot", tool, f"run={self.run}", *words])

    def search_command(self) -> str:
        """The command that starts this search, or continues it."""
        typed = [word for word in self.facts.overrides if word and not word.startswith("#")]
        # With from= the recipe is that of the other run.
        taken = any(word.startswith("from=") for word in typed)
        named = [] if taken else [f"recipe={self.recipe.recipe}"]
        words = [*named, f"run={self.run}", *typed]
        return shlex.join(["fewshot", "search", *words])
