"""Generators: scores of supernets against generators that were trained from scratch.

    python -m benchmarks.studies.generators             the whole study, hours; resumes
    python -m benchmarks.studies.generators --quick     minutes; writes nothing
    python -m benchmarks.studies.generators --show      the tables of what is there

`--data` holds `cifar10/train.tar` and `cifar10/test.tar`. Generators of the lab space, drawn once,
are trained from scratch (stage `truth`): their FID against the test images, by the classifier
extractor, is what scores are held against. Supernets, one-shot and few-shot at the same number of
steps, score the same generators against validation images (stage `arms`), and each names the best
of a pool that it also scores. What was named is trained from scratch (stage `choices`); the
generators of stage `truth` are random choices. No truth is used to choose.
"""

from __future__ import annotations

from benchmarks.studies.generators.measure import Generators
from benchmarks.studies.study import main

if __name__ == "__main__":
    raise SystemExit(main(Generators, __doc__))
