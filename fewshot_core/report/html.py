"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from fewshot_core.plugins import plugin_of
from fewshot_core.report.account import (
    account_of,
    channels_text,
    classes_text,
    count_of,
    data_name,
    with_unit,
)
from fewshot_core.report.facts import RegionFacts, front_of, last_loss, top_trials
from fewshot_core.report.markup import CSS, Cell, facts_table, figure, from_rich, table
from fewshot_core.report.page import Page
from fewshot_core.report.ranking_table import ranking_table
from fewshot_core.report.words import (
    LEVEL,
    describe_recipe,
    heading,
    summary,
    verdict,
    warn_unaudited,
)
from fewshot_core.runs.retrained import how_trained


def render(page: Page) -> str:
    """The whole page."""
    title = f"Architecture search: {page.recipe.recipe}"
    sections = [
        _summary(page),
        _results(page),
        _drawing(page),
        _pictures(page),
        _ranking(page),
        _ladder(page),
        _regions(page),
        _preferences(page),
        _top_trials(page),
        _front(page),
        _data(page),
        _environment(page),
        _settings(page),
        _next_steps(page),
    ]
    description = describe_recipe(page.recipe, page.facts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><p>{escape(heading(page.recipe, page.facts))}</p>"
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
        on = account_of(page.recipe, page.facts).on
        result = verdict(page.facts.audit, page.facts, on)
        kind = "verdict good" if result.trusted else "verdict"
        parts.append(
            f'<div class="{kind}"><strong>{escape(result.headline)}</strong> '
            f"{escape(result.text)}</div>"
        )
    elif page.facts.trials:
        told = warn_unaudited(page.recipe, page.facts)
        parts.append(_hint(told) if told else "")
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
        if isinstance(count, int) and count and page.metric.unit == "%"
        else ""
    )
    seeds = [len(row.values) for row in page.facts.retrained]
    test = (
        f" A difference is called clear where Welch's t-test over the seeds gives p < {LEVEL}."
        if sum(count > 1 for count in seeds) > 1
        else ""
    )
    spread = "; mean ± standard deviation over the seeds" if max(seeds) > 1 else ""
    on = account_of(page.recipe, page.facts).on
    trained = how_trained(row.start for row in page.facts.retrained)
    return _section(
        "Result",
        table(
            [
                "architecture",
                with_unit(f"test {page.metric_text or page.metric.name}", page.metric),
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
            caption=f"{trained.capitalize()}, then measured {on} the "
            f"{count_of(page.facts.data, 'test')}test images{spread}. "
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
        from_rich(ranking_table(ranking.figures, ranking.equality)),
    )


# -- how it came about -----------------------------------------------------------------------------


def _ladder(page: Page) -> str:
    """The rungs of trainings from scratch that chose."""
    ladder = page.facts.ladder
    if ladder is None:
        return ""
    rows: list[list[Cell]] = []
    for number, rung in enumerate(ladder["rungs"], start=1):
        proposed = rung["origins"].get("model", 0)
        order = rung["tau_before"]
        rows.append(
            [
                number,
                rung["networks"],
                f"{rung['epochs']:.3g}",
                f"{rung['mean']:.4g}",
                f"{rung['best']:.4g}",
                "" if order is None else f"{order:.2f}",
                proposed or "",
                "" if rung["model_tau"] is None else f"{rung['model_tau']:.2f}",
            ]
        )
    header = ["rung", "networks", "epochs each", f"mean {ladder['metric']}", "best"]
    header += ["τ with what was known", "proposed by a model", "its τ on results held out"]
    return _section(
        "Ladder",
        table(
            header,
            rows,
            caption="Networks trained from scratch, measured on all validation images; the best of "
            "a rung climb to the next. What was known: the scores of the search, then the results "
            f"one rung below. In all {ladder['images']:,} training images. Every training: "
            "ladder.csv.",
        ),
    )


def _regions(page: Page) -> str:
    if not page.facts.trained_regions():
        return ""
    regions = page.facts.regions
    header = ["region", "architectures", "images seen", "seconds", "training loss"]
    rows, which = [_region(region) for region in regions], "The one supernet, of the whole space."
    if any(region.parent for region in regions):
        which = "One supernet per region."
    if any(region.state is None for region in regions):
        which += " A region without figures was only cut, and got no supernet."
    if any(region.state and "inherited" in region.state.notes for region in regions):
        header.insert(-1, "tensors inherited")
        for row, region in zip(rows, regions, strict=True):
            row.insert(-1, _tensors(region))
        which += " Tensors: those copied from the parent's."
    return _section(
        "Regions",
        table(
            header,
            rows,
            code=[0],
            caption=f"{which} The loss is the mean over the last eighth of the training, on "
            "training images.",
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
    size = "many" if region.size is None else region.size
    if state is None:
        return [name, size, None, None, None]
    loss = "diverged" if state.diverged else f"{last_loss(state):.3f}"
    return [name, size, state.images, f"{state.seconds:.1f}", loss]


def _tensors(region: RegionFacts) -> str | None:
    inherited = region.state.notes.get("inherited") if region.state else None
    if not inherited:
        return None
    every = inherited["copied"] + len(inherited["sliced"]) + len(inherited["fresh"])
    return f"{inherited['copied']:,} of {every:,}"


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
    facts = page.facts
    if not facts.trials:
        if facts.found is not None:
            return _section("Search", _hint("No score of the search is a number."))
        return _section("Search", _hint("The search has not ended:", page.search_command()))
    account, found = account_of(page.recipe, facts), facts.found_trial()
    top = top_trials(facts.trials, page.canonical, found=found)
    header = ["trial", "score", "parameters", "FLOPs", "architecture"]
    rows: list[list[Cell]] = [
        [t.number, f"{t.score:.4g}", t.params, t.flops, t.genotype] for t in top
    ]
    if account.few_shot:  # whose supernet gave the score
        header.insert(-1, "region")
        for row, trial in zip(rows, top, strict=True):
            row.insert(-1, trial.region)
    marked = top.index(found) if found in top else None
    return _section(
        "The best network of the search"
        if len(top) == 1
        else f"Best {len(top)} networks of the search",
        table(
            header,
            rows,
            code=[i for i, name in enumerate(header) if name in ("region", "architecture")],
            marked=marked,
            caption=f"Score: {account.score_meaning()}. Architectures that are the same network "
            f"are listed once{_bold(marked)}.",
        ),
    )


def _bold(marked: int | None) -> str:
    return "" if marked is None else "; the found one is bold"


def _front(page: Page) -> str:
    """For a search that was about it; the picture of costs has it for every search."""
    trials = page.facts.trials
    if not plugin_of("strategy", page.recipe.strategy).fronts or not trials:
        return ""
    front = [trials[place] for place in front_of(trials)]
    found = page.facts.found_trial()
    marked = front.index(found) if found in front else None
    return _section(
        "Score against FLOPs",
        table(
            ["FLOPs", "score", "parameters", "trial", "architecture"],
            [(t.flops, f"{t.score:.4g}", t.params, t.number, t.genotype) for t in front],
            code=[4],
            marked=marked,
            caption="The Pareto front: no network of the search that costs as much or less has a "
            f"better score{_bold(marked)}. As JSON: pareto.json.",
        ),
    )


def _data(page: Page) -> str:
    data, settings = page.facts.data, page.recipe.data
    if not data:
        return ""
    size, searched = data.get("image_size"), settings.search_size
    uses = account_of(page.recipe, page.facts).uses()
    names = {"train": "training images"}
    parts = [
        (names.get(part, f"{part} images"), f"{count_of(data, part).strip() or 'some'}, {use}")
        for part, use in uses.items()
    ]
    smaller = page.facts.trained_regions() and searched not in (None, size)
    limit = settings.limit
    return _section(
        "Data",
        facts_table(
            [
                ("source", data_name(settings)),
                *parts,
                (
                    "limit",
                    None
                    if limit is None
                    else f"at most {limit:,} images to train and validate with",
                ),
                ("image", f"{size} × {size} pixels, {channels_text(data.get('channels'))}"),
                ("for supernets", f"{searched} × {searched} pixels" if smaller else None),
                ("classes", classes_text(settings, data.get("classes"))),
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
    rivals = " and its rivals" if page.recipe.retrain.compare else ""
    steps = [
        ("search again, or continue", page.search_command()),
        (f"train the found network{rivals}", page.command("retrain")),
        ("export the retrained network", page.command("export")),
        ("write this page anew", page.command("report")),
    ]
    if plugin_of("evaluator", page.recipe.evaluator).direct:
        command = page.command("rank", "truth=TABLE.csv", "column=COLUMN")
        steps.insert(3, ("rank all scores against a table of true values", command))
    lines = "\n".join(f"{command}  # {what}" for what, command in steps)
    there = '<p class="soft">The network is already exported to <code>export/</code>.</p>'
    note = there if page.facts.exported else ""
    return _section("How to go on", f"<pre>{escape(lines)}</pre>{note}")
