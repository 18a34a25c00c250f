"""Write the report of a run anew from what its folder holds, and print its main table.

With serve=true it is served on this machine, and the page follows a run that goes on.
"""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command

KEYS = {"run": Path | None, "recipe": "", "serve": False, "port": 0}


def perform(words: list[str]) -> Path:
    """Do it; for programs that use what it returns."""
    from fewshot_core.errors import RecipeError
    from fewshot_core.recipe.cli import find_named_run, parse_words

    options = parse_words(words, KEYS)
    if options["port"] and not options["serve"]:
        raise RecipeError(f"port={options['port']} has no effect", allowed="serve=true reads it")
    run = find_named_run(options)  # without a run there is no need to import torch
    if not options["serve"]:
        from fewshot_core.pipeline.report import report

        return report(options)
    return _serve(run, options)


def _serve(run: Path, options: dict[str, object]) -> Path:
    from fewshot_core.pipeline.serve import serve_report
    from fewshot_core.runs.folder import in_use

    page = run / "report.html"
    if not in_use(run):  # a run that goes on writes its page itself
        from fewshot_core.pipeline.report import report

        page = report(options)
    port = options["port"]
    assert isinstance(port, int)
    serve_report(page, port, lambda line: print(line, flush=True))
    return page


def action(words: list[str]) -> None:
    perform(words)


COMMAND = Command("report", __doc__ or "", action, keys=KEYS)
