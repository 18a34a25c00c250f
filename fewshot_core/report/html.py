"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from fewshot_core.plugins import plugin_of
from fewshot_core.report.account import (
    account_of,
    count_of,
    with_unit,
)
from fewshot_core.report.assets import read_asset
from fewshot_core.report.by_class import by_class_section
from fewshot_core.report.data import data_section
from fewshot_core.report.explore import explore, explored
from fewshot_core.report.facts import front_of, top_trials
from fewshot_core.report.headline import Tile, tiles
from fewshot_core.report.markup import (
    Cell,
    facts_table,
    figure,
    from_terminal,
    hint,
    section,
    table,
)
from fewshot_core.report.moments import slides_section
from fewshot_core.report.page import Page, Picture
from fewshot_core.report.ranking_table import ranking_table
from fewshot_core.report.tree import regions_section
from fewshot_core.report.words import (
    LEVEL,
    describe_recipe,
    heading,
    summary,
    verdict,
    warn_unaudited,
)
from fewshot_core.runs.retrained import how_trained

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'"
)
"""What a browser lets the page do: load nothing, and ask its own server whether it is new."""


DRAWN_BY_PAGE = ("search", "cost")
"""Pictures in place of which the page has charts of its own."""


def render(page: Page) -> str:
    """The whole page."""
    title = f"Architecture search: {page.recipe.recipe}"
    lead, others = _choose_lead(page)
    results = [_results(page), by_class_section(page), slides_section(page.slides)]
    results.append(_drawing(page))
    search = _search(page)
    sections = [
        _tiles(page),
        _lead(page, lead),
        # Before networks are trained the trials are the picture that shows most.
        *([search, *results] if lead is None else [*results, search]),
        _trust(page, others),
        _pictures(others),
        _ranking(page),
        _ladder(page),
        regions_section(page),
        _preferences(page),
        _top_trials(page),
        _front(page),
        data_section(page),
        _environment(page),
        _settings(page),
        _next_steps(page),
    ]
    description = describe_recipe(page.recipe, page.facts)
    running = "" if page.doing is None else ' data-state="running"'
    return (
        f'<!DOCTYPE html>\n<html lang="en"{running}><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{read_asset('page.css')}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><p>{escape(heading(page.recipe, page.facts))}</p>"
        + (f'<p class="soft">{escape(description)}</p>' if description else "")
        + f"{_status(page)}</header>\n<main>{''.join(sections)}</main>\n"
        f"{explored(page)}<script>{read_asset('page.js')}</script></body></html>\n"
    )


# -- what came out -------------------------------------------------------------------------------


def _status(page: Page) -> str:
    """What the run is at, where it goes on."""
    doing = page.doing
    if doing is None:
        return ""
    text = f"{doing.title}: {doing.done:,} of {doing.total:,}"
    command = escape(page.command("report", "serve=true"))
    return (
        f'<div class="status"><p><strong>{escape(text)}</strong> '
        f'<progress max="{doing.total}" value="{doing.done}" aria-label="{escape(doing.title)}">'
        f"</progress></p><p>Written while the run went on, {escape(doing.at)}. Served by "
        f"<code>{command}</code> the page follows the run by itself.</p></div>"
    )


def _tiles(page: Page) -> str:
    """The four numbers."""
    return f'<ul class="tiles">{"".join(map(_tile, tiles(page)))}</ul>\n'


def _tile(tile: Tile) -> str:
    lines = "".join(f'<p class="line">{escape(line)}</p>' for line in tile.lines)
    command = f'<p class="line"><code>{escape(tile.command)}</code></p>' if tile.command else ""
    unknown = "" if tile.known else " unknown"
    return (
        f'<li class="{tile.state}"><p class="label">{escape(tile.label)}</p>'
        f'<p class="value{unknown}">{escape(tile.value)}</p>{lines}{command}</li>'
    )


def _choose_lead(page: Page) -> tuple[Picture | None, list[Picture]]:
    """The picture that shows what came out, if it is none of the trials; the others.

    The charts of the trials are drawn by this page itself, so that they can be pointed at.
    """
    known = {picture.name: picture for picture in page.pictures}
    first = known.get("results")
    if first is None and not page.facts.trials:
        first = known.get("training")
    drawn = {*DRAWN_BY_PAGE} | ({first.name} if first else set())
    drawn |= {page.slides.instead_of} if page.slides else set()
    return first, [picture for picture in page.pictures if picture.name not in drawn]


def _lead(page: Page, lead: Picture | None) -> str:
    """The result as a picture, and in words."""
    text = " ".join(summary(page.recipe, page.facts, page.metric))
    words = f'<div><p class="summary">{escape(text)}</p></div>' if text else ""
    if lead is None:
        return words
    drawn = figure(lead.svg, lead.name, lead.caption)
    return f'<div class="lead">{drawn}{words}</div>'


def _search(page: Page) -> str:
    explored_trials = explore(page)
    return section("The search", explored_trials) if explored_trials else ""


def _trust(page: Page, pictures: list[Picture]) -> str:
    """The audit: its verdict, and the plot that it rests on."""
    parts = []
    if page.facts.audit is not None:
        on = account_of(page.recipe, page.facts).on
        result = verdict(page.facts.audit, page.facts, on)
        kind = "verdict good" if result.trusted else "verdict"
        parts.append(
            f'<div class="{kind}"><strong>{escape(result.headline)}</strong> '
            f"{escape(result.text)}</div>"
        )
        parts += [figure(p.svg, p.name, p.caption) for p in pictures if p.name == "audit"]
    elif page.facts.trials and page.doing is None:
        told = warn_unaudited(page.recipe, page.facts)
        parts += [hint(told)] if told else []
    return section("May the scores be trusted?", *parts) if parts else ""


def _results(page: Page) -> str:
    if not page.facts.retrained:
        if page.doing is not None:
            return ""
        return section(
            "Result",
            hint("Nothing was retrained yet:", page.command("retrain")),
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
    others = list(page.facts.retrained[0].others)  # such as the IS beside the FID
    return section(
        "Result",
        table(
            [
                "architecture",
                with_unit(f"test {page.metric_text or page.metric.name}", page.metric),
                *(f"test {name}" for name in others),
                "seeds",
                "parameters",
                "FLOPs",
                "genotype",
            ],
            [
                (
                    row.name,
                    row.spread,
                    *(row.others[name] for name in others),
                    len(row.values),
                    row.params,
                    row.flops,
                    row.genotype,
                )
                for row in page.facts.retrained
            ],
            code=[5 + len(others)],
            caption=f"{trained.capitalize()}, then measured {on} the "
            f"{count_of(page.facts.data, 'test')}test images{spread}. "
            "FLOPs are multiply-adds of convolutions and linear layers for one image."
            f"{resolution}{test}",
        ),
    )


def _drawing(page: Page) -> str:
    if page.drawing is None:
        return ""
    drawn = figure(page.drawing.svg, page.drawing.name, page.drawing.caption)
    return section("The architecture", drawn)


def _pictures(pictures: list[Picture]) -> str:
    shown = [picture for picture in pictures if picture.name != "audit"]
    if not shown:
        return ""
    drawn = "".join(figure(p.svg, p.name, p.caption) for p in shown)
    return section("Pictures", f'<div class="figures">{drawn}</div>')


def _ranking(page: Page) -> str:
    ranking = page.facts.ranking
    if ranking is None:
        return ""
    return section(
        "Ranking",
        f"<p>Scores against column <code>{escape(ranking.column)}</code> of "
        f"<code>{escape(ranking.truth)}</code>, beside costs and random scores.</p>",
        from_terminal(ranking_table(ranking.figures, ranking.equality)),
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
    return section(
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


def _preferences(page: Page) -> str:
    """What the regions of a differentiable strategy have come to prefer."""
    derived = page.facts.derived
    if not derived:
        return ""
    decisions = list(derived[0].preferences)
    return section(
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
    if not facts.trials and page.doing is not None:
        return ""
    if not facts.trials:
        if facts.found is not None:
            return section("Search", hint("No score of the search is a number."))
        return section("Search", hint("The search has not ended:", page.search_command()))
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
    return section(
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
    return section(
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


def _environment(page: Page) -> str:
    environment = page.facts.environment
    if not environment:
        return ""
    packages: Mapping[str, str | None] = environment.get("packages", {})
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    machine = ("platform", "processor", "cores", "accelerator", "precision")
    names = ("date", "command", "python", *machine, "commit")
    pairs = [(name, environment.get(name)) for name in names]
    return section("Environment", facts_table([*pairs, ("packages", versions)]))


def _settings(page: Page) -> str:
    return section(
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
    return section("How to go on", f"<pre>{escape(lines)}</pre>{note}")
