"""What is handed over for a budget of training images: learning curves, scores and decisions.

Networks of two tables are trained from scratch for four lengths, the better ones for the longer
ones. Scores of supernets and of untrained networks stand beside them. On both are simulated the
ways to spend a budget. Others may use the curves as a small benchmark of their own.

    python -m benchmarks.studies.deploy             resumes; hours on two cores
    python -m benchmarks.studies.deploy --quick     a few steps; writes nothing
    python -m benchmarks.studies.deploy --show      the table of what is there

`--data` holds `cifar10/train.tar`, `cifar10/test.tar` and the tables. Networks are trained on
CIFAR-10's training images in 16 pixels and measured on all that are held out of them; test images
are not read. A seed changes held-out images, weights and batches.
"""

from __future__ import annotations

from benchmarks.studies.deploy.curves import Deploy
from benchmarks.studies.study import main

if __name__ == "__main__":
    raise SystemExit(main(Deploy, __doc__))
