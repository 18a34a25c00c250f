"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from fewshot_core.pareto import pareto_front
from fewshot_core.report.facts import RegionFacts, last_loss, top_trials
from fewshot_core.report.markup import CSS, Cell, facts_table, figure, from_rich, table
from fewshot_core.report.page import Page
from fewshot_core.report.ranking_table import ranking_table
from fewshot_core.report.words import (
    LEVEL,
    PROXIES,
    images,
    score_meaning,
    summary,
    uses_validation,
    verdict,
    with_unit,
)


def render(page: Page) -> str:
    """The whole page."""
    title = f"Architecture search: {page.recipe.recipe}"
    sections = [
        _summary(page),
        _results(page),
        _drawing(page),
        _pictures(page),
        _ranking(page),
        _regions(page),
        _preferences(page),
        _top_trials(page),
        _front(page),
        _data(page),
        _environment(page),
        _settings(page),
        _next_steps(page),
    ]
    description = page.recipe.description
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>"
        + (f'<p class="soft">{escape(description)}</p>' if description else "")
        + f"</header>\n<main>{''.join(sections)}</main></body></html>\n"
    )


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>\n"


def _hint(text: str, command: str = "") -> str:
    shown = f" <code>{escape(command)}</code>" if command else ""
    return f'<p class="hint">{escape(text)}{shown}</p>'


# -- what came out -------------------------------------------------------------------------------


def _summary(page: Page) -> str:
    text = " ".join(summary(page.recipe, page.facts, page.metric))
    parts = [f'<p class="summary">{escape(text)}</p>']
    if page.facts.audit is not None:
        result = verdict(page.facts.audit, page.facts)
        kind = "verdict good" if result.trusted else "verdict"
        parts.append(
            f'<div class="{kind}"><strong>{escape(result.headline)}</strong> '
            f"{escape(result.text)}</div>"
        )
    elif page.facts.trials and page.recipe.evaluator.name in ("inherited", *PROXIES):
        parts.append(
            _hint(
                "Whether the scores may be trusted was not checked. An audit trains some networks "
                "from scratch: start a new run with audit.networks=12."
            )
        )
    return "".join(parts)


def _results(page: Page) -> str:
    if not page.facts.retrained:
        return _section(
            "Result",
            _hint("Nothing was retrained yet:", page.command("retrain")),
        )
    count = page.facts.data.get("test")
    resolution = (
        f" One test image more or less is {100 / count:.2f} points."
        if isinstance(count, int) and count and page.metric == "accuracy"
        else ""
    )
    several = len(page.facts.retrained) > 1
    test = (
        f" A difference is called clear where Welch's t-test over the seeds gives p < {LEVEL}."
        if several
        else ""
    )
    return _section(
        "Result",
        table(
            [
                "architecture",
                with_unit(f"test {page.metric_text or page.metric}", page.metric),
                "seeds",
                "parameters",
                "FLOPs",
                "genotype",
            ],
            [
                (row.name, row.spread, len(row.values), row.params, row.flops, row.genotype)
                for row in page.facts.retrained
            ],
            code=[5],
            caption="Trained from scratch and measured once on the "
            f"{images(page.facts, 'test')} test images; mean ± standard deviation over the seeds. "
            "FLOPs are multiply-adds of convolutions and linear layers for one image."
            f"{resolution}{test}",
        ),
        _others(page),
    )


def _others(page: Page) -> str:
    rows = page.facts.retrained
    names = list(rows[0].others)
    if not names:
        return ""
    cells = [(row.name, *(row.others[name] for name in names)) for row in rows]
    return table(["architecture", *(f"test {name}" for name in names)], cells)


def _drawing(page: Page) -> str:
    if page.drawing is None:
        return ""
    drawn = figure(page.drawing.svg, page.drawing.name, page.drawing.caption)
    return _section("The architecture", drawn)


def _pictures(page: Page) -> str:
    if not page.pictures:
        return ""
    drawn = "".join(figure(p.svg, p.name, p.caption) for p in page.pictures)
    return _section("Pictures", f'<div class="figures">{drawn}</div>')


def _ranking(page: Page) -> str:
    ranking = page.facts.ranking
    if ranking is None:
        return ""
    return _section(
        "Ranking",
        f"<p>Scores against column <code>{escape(ranking.column)}</code> of "
        f"<code>{escape(ranking.truth)}</code>, beside costs and random scores.</p>",
        from_rich(ranking_table(ranking.figures)),
    )


# -- how it came about -----------------------------------------------------------------------------


def _regions(page: Page) -> str:
    if not page.facts.trained_regions():
        return ""
    header = [
        "region", "architectures", "images seen", "seconds", "tensors inherited", "training loss",
    ]  # fmt: skip
    return _section(
        "Regions",
        table(
            header,
            [_region(region) for region in page.facts.regions],
            code=[0],
            caption="One supernet per region; tensors: those copied from the parent. The loss is "
            "the mean over the last eighth of the training, on training images.",
        ),
        _hint(f"Splitting: {page.facts.splitting}.") if page.facts.splitting else "",
        *(
            _hint(f"Diverged, and left out of the search: {region.id} ({region.state.diverged}).")
            for region in page.facts.regions
            if region.state is not None and region.state.diverged
        ),
    )


def _region(region: RegionFacts) -> list[Cell]:
    name = "\u00a0\u00a0" * region.depth + region.id
    state = region.state
    if state is None:
        return [name, region.size, None, None, None, None]
    inherited = state.notes.get("inherited")
    tensors = None
    if inherited:
        every = inherited["copied"] + len(inherited["sliced"]) + len(inherited["fresh"])
        tensors = f"{inherited['copied']} of {every}"
    return [
        name,
        "many" if region.size is None else region.size,
        state.images,
        f"{state.seconds:.1f}",
        tensors,
        "diverged" if state.diverged else f"{last_loss(state):.3f}",
    ]


def _preferences(page: Page) -> str:
    """What the regions of a differentiable strategy have come to prefer."""
    derived = page.facts.derived
    if not derived:
        return ""
    decisions = list(derived[0].preferences)
    return _section(
        "Preferences",
        table(
            ["region", *decisions],
            [[row.region, *(_likeliest(row.preferences[d]) for d in decisions)] for row in derived],
            code=[0],
            caption="The likeliest option of every decision and its probability. The others, and "
            "the architectures that each region named, are in derived.json.",
        ),
    )


def _likeliest(options: Mapping[str, float]) -> str:
    option = max(options, key=options.__getitem__)
    return f"{option} {options[option]:.2f}"


def _top_trials(page: Page) -> str:
    if not page.facts.trials:
        return _section("Search", _hint("The search has not ended:", page.search_command()))
    top = top_trials(page.facts.trials, page.canonical)
    found = page.facts.found["id"] if page.facts.found else None
    marked = next((i for i, trial in enumerate(top) if trial.id == found), None)
    return _section(
        f"Best {len(top)} networks of the search",
        table(
            ["trial", "score", "parameters", "FLOPs", "region", "architecture"],
            [(t.number, f"{t.score:.4g}", t.params, t.flops, t.region, t.genotype) for t in top],
            code=[4, 5],
            marked=marked,
            caption=f"Score: {score_meaning(page.recipe, page.facts)}. Architectures that are the "
            "same network are listed once; the found one is bold.",
        ),
    )


def _front(page: Page) -> str:
    """For a search that was about it; the picture of costs has it for every search."""
    trials = page.facts.trials
    if page.recipe.strategy.name != "nsga2" or not trials:
        return ""
    places = pareto_front([trial.flops for trial in trials], [trial.score for trial in trials])
    front = [trials[place] for place in places]
    found = page.facts.found["id"] if page.facts.found else None
    return _section(
        "Score against FLOPs",
        table(
            ["FLOPs", "score", "parameters", "trial", "architecture"],
            [(t.flops, f"{t.score:.4g}", t.params, t.number, t.genotype) for t in front],
            code=[4],
            marked=next((i for i, trial in enumerate(front) if trial.id == found), None),
            caption="The Pareto front: no network of the search that costs as much or less has a "
            "better score. The found one, with the best score of all, is bold. As JSON: "
            "pareto.json.",
        ),
    )


def _data(page: Page) -> str:
    data = page.facts.data
    if not data:
        return ""
    size = data.get("image_size")
    again = ", then with the training images to retrain"
    use = {
        "train": "to train supernets and networks",
        "validation": (
            "to score architectures" if uses_validation(page.recipe) else "to audit the scores"
        )
        + (again if page.recipe.retrain.use_validation else ""),
        "test": "for the retrained networks, once",
    }
    names = {"train": "training images"}
    parts = [
        (names.get(part, f"{part} images"), f"{images(page.facts, part)}, {use[part]}")
        for part in use
    ]
    return _section(
        "Data",
        facts_table(
            [
                ("source", data.get("source")),
                *parts,
                ("image", f"{size} × {size} pixels, channels: {data.get('channels')}"),
                ("classes", data.get("classes")),
            ]
        ),
    )


def _environment(page: Page) -> str:
    environment = page.facts.environment
    if not environment:
        return ""
    packages: Mapping[str, str | None] = environment.get("packages", {})
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    machine = ("platform", "processor", "cores", "accelerator", "precision")
    names = ("date", "command", "python", *machine, "commit")
    pairs = [(name, environment.get(name)) for name in names]
    return _section("Environment", facts_table([*pairs, ("packages", versions)]))


def _settings(page: Page) -> str:
    return _section(
        "Settings",
        "<details><summary>The resolved recipe</summary>"
        f"<pre>{escape(page.recipe_text)}</pre></details>",
    )


def _next_steps(page: Page) -> str:
    steps = [
        ("search again, or continue", page.search_command()),
        ("train the found network and its rivals from scratch", page.command("retrain")),
        ("export the retrained network", page.command("export")),
        ("write this page anew", page.command("report")),
    ]
    if page.recipe.evaluator.name == "inherited":
        command = page.command("rank", "truth=TABLE.csv", "column=COLUMN")
        steps.insert(3, ("rank all scores against a table of true values", command))
    lines = "\n".join(f"{command}  # {what}" for what, command in steps)
    there = '<p class="soft">The network is already exported to <code>export/</code>.</p>'
    note = there if page.facts.exported else ""
    return _section("How to go on", f"<pre>{escape(lines)}</pre>{note}")
