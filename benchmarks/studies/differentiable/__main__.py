"""Differentiable strategies on CIFAR-10: the true accuracy of what they derive, one- and few-shot.

    python -m benchmarks.studies.differentiable              the study; resumes
    python -m benchmarks.studies.differentiable --quick      a minute; writes nothing
    python -m benchmarks.studies.differentiable --show       what the rows say

`--data` holds `cifar10/train.tar` and `nasbench201/accuracies.csv`. DARTS, PC-DARTS, ENAS and SETN
search a cell of NAS-Bench-201 with the same number of training images, those of the weights and
those of the preferences counted together, in one supernet or in five. What regions derive is
compared on validation images held out of the training images; the test images are not read. The
truth of what was found is looked up when all is over. Random search in a supernet of paths, a
random cell, the largest and one of skips alone stand beside. The stage `second`, DARTS of the
second order, costs more than twice as much per image. Jobs are shared among worker processes, and
each adds a row to the results when it is done: stop it at any time, and start it again.
"""

from __future__ import annotations

from benchmarks.studies.differentiable.measure import Differentiable
from benchmarks.studies.study import main

if __name__ == "__main__":
    raise SystemExit(main(Differentiable, __doc__))
