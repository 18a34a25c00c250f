"""Every space with a table of true values: what is a ranking worth there, at equal images?

On networks of each table, drawn once, are ranked: one supernet, regions of one decision with their
parent, an untrained score, and costs. Beside them as many training images go into short trainings
from scratch of a few of these networks. Of each stands what it would deploy: the true value of its
best, among all of the networks and among those in the lower half by cost.

    python -m benchmarks.studies.spaces             resumes; hours on two cores
    python -m benchmarks.studies.spaces --quick     a few steps; writes nothing
    python -m benchmarks.studies.spaces --show      the table of what is there

`--data` holds `cifar10/train.tar`, `cifar10/test.tar` and the tables. Test images are not read. A
seed changes held-out images, weights, paths, batches, and which networks are trained from scratch.
"""

from __future__ import annotations

from benchmarks.studies.spaces.measure import Spaces
from benchmarks.studies.study import main

if __name__ == "__main__":
    raise SystemExit(main(Spaces, __doc__))
