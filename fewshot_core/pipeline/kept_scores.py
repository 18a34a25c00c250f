"""Scores of many architectures, kept one by one so that a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from accelerate.utils import broadcast_object_list

from fewshot_core.evaluators.agreed import AgreedEvaluator
from fewshot_core.pipeline.run import Run
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.scores import ScoreLog

COLUMNS = ("architecture", "score")


def score_and_keep(
    run: Run,
    make_evaluator: Callable[[], AgreedEvaluator],
    architectures: Sequence[Architecture],
    name: str,
    title: str,
) -> dict[Architecture, float]:
    """Scores of architectures, the same on every process.

    Args:
        run: The run.
        make_evaluator: What scores them; those that the file has are not scored again, and where
            it has all nothing is made.
        architectures: Alike on every process.
        name: The file in the run folder, a table of genotypes and scores; its folder is made.
        title: What the progress is called.
    """
    space, path = run.root.space, run.folder.file(name)
    if run.writes:
        path.parent.mkdir(exist_ok=True)
    with ExitStack() as stack:
        log = stack.enter_context(ScoreLog(path, COLUMNS)) if run.writes else None
        kept = {row["architecture"]: float(row["score"]) for row in log.rows} if log else {}
        # Only the main process reads the file, and what one skips all have to skip.
        known: dict[str, float] = broadcast_object_list([kept])[0]
        genotypes = {a: space.genotype(a) for a in architectures}
        missing = [a for a, genotype in genotypes.items() if genotype not in known]
        evaluator = make_evaluator() if missing else None
        if evaluator is not None:
            evaluator.announce(missing)
        tick = stack.enter_context(run.console.progress(title, len(genotypes)))
        scores = {}
        for architecture, genotype in genotypes.items():
            if genotype not in known:
                assert evaluator is not None
                known[genotype] = evaluator.evaluate(architecture)["score"]
                if log is not None:
                    log.append([{"architecture": genotype, "score": known[genotype]}])
            scores[architecture] = known[genotype]
            tick(len(scores))
            run.stop.check()
    return scores
