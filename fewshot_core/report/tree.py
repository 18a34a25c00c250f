"""The regions of a run as the tree that they are: what each cost, and what it was worth."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fewshot_core.report.facts import RegionFacts, TrialFacts, last_loss
from fewshot_core.report.markup import hint, section
from fewshot_core.report.page import Page


def regions_section(page: Page) -> str:
    """The tree; nothing where no region has a supernet."""
    facts = page.facts
    if not facts.trained_regions():
        return ""
    regions, which = facts.regions, "The one supernet, of the whole space."
    if any(region.parent for region in regions):
        which = "One supernet per region."
    if any(region.state is None for region in regions):
        which += " A region without figures was only cut, and got no supernet."
    inherited = any(r.state and "inherited" in r.state.notes for r in regions)
    if inherited:
        which += " Tensors: those copied from the parent's."
    worth = bool(facts.trials) and any(t.region == r.id for t in facts.trials for r in regions)
    if worth:
        which += " Best score: of the trials in the region, each scored by its supernet."
    note = f"{which} The loss is the mean over the last eighth of the training, on training images."
    return section(
        "Regions",
        f'<div class="wide tree">{_table(regions, facts.trials if worth else (), inherited)}</div>'
        f'<p class="note">{escape(note)}</p>',
        hint(f"Splitting: {facts.splitting}.") if facts.splitting else "",
        *(
            hint(f"Diverged, and left out of the search: {region.id} ({region.state.diverged}).")
            for region in regions
            if region.state is not None and region.state.diverged
        ),
    )


def _table(regions: Sequence[RegionFacts], trials: Sequence[TrialFacts], inherited: bool) -> str:
    header = ["region", "architectures", "images seen", "seconds"]
    header += ["tensors inherited"] if inherited else []
    header += ["training loss"]
    header += ["trials", "best score"] if trials else []
    head = "".join(
        f"<th>{escape(name)}</th>" if place == 0 else f'<th class="number">{escape(name)}</th>'
        for place, name in enumerate(header)
    )
    most = max((region.state.images for region in regions if region.state), default=0)
    rows = "".join(
        f"<tr>{_name(regions, place)}{_cells(region, inherited, most)}"
        f"{_worth(region, regions, trials)}</tr>"
        for place, region in enumerate(regions)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _name(regions: Sequence[RegionFacts], place: int) -> str:
    region = regions[place]
    return (
        f'<td><span class="branch" aria-hidden="true">{_branch(regions, place)}</span>'
        f"<code>{escape(region.id)}</code></td>"
    )


def _branch(regions: Sequence[RegionFacts], place: int) -> str:
    """The lines of the tree before a region: ``│ └ ``."""
    parts = []
    for depth in range(1, regions[place].depth + 1):
        # Another one follows at this depth before the tree goes back to a lower one.
        further = next((r.depth for r in regions[place + 1 :] if r.depth <= depth), 0) == depth
        here = depth == regions[place].depth
        parts.append(("├ " if further else "└ ") if here else ("│ " if further else "  "))
    return "".join(parts)


def _cells(region: RegionFacts, inherited: bool, most: int) -> str:
    state = region.state
    cells = ["many" if region.size is None else f"{region.size:,}"]
    if state is None:
        cells += ["", ""] + ([""] if inherited else []) + [""]
    else:
        share = 100 * state.images / most if most else 0
        bar = f'<span class="bar" style="width:{share:.0f}%" aria-hidden="true"></span>'
        cells += [f"{state.images:,}{bar}", f"{state.seconds:.1f}"]
        cells += [_tensors(region)] if inherited else []
        cells += ["diverged" if state.diverged else f"{last_loss(state):.3f}"]
    return "".join(f'<td class="number">{cell}</td>' for cell in cells)


def _worth(
    region: RegionFacts, regions: Sequence[RegionFacts], trials: Sequence[TrialFacts]
) -> str:
    """Trials and the best score; none of a region that was cut, whose parts are scored."""
    if not trials:
        return ""
    own = [trial.score for trial in trials if trial.region == region.id]
    cut = any(other.parent == region.id for other in regions)
    count = "" if cut and not own else f"{len(own):,}"
    best = f"{max(own):.4g}" if own else ""
    return f'<td class="number">{count}</td><td class="number">{best}</td>'


def _tensors(region: RegionFacts) -> str:
    found = region.state.notes.get("inherited") if region.state else None
    if not found:
        return ""
    every = found["copied"] + len(found["sliced"]) + len(found["fresh"])
    return f"{found['copied']:,} of {every:,}"
