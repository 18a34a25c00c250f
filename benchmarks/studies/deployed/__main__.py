"""Whole searches under limits: how good is the network that each hands over, at equal images?

Each way to search is run by `tools/search.py`, with the settings that a user types, under several
limits on cost. What counts is the true value of the network that it hands over, and its regret to
the best network of the whole table within the limit. Beside them stands what the largest network
within the limit is worth, which needs no search.

    python -m benchmarks.studies.deployed             resumes; hours on two cores
    python -m benchmarks.studies.deployed --quick     a few steps; writes nothing
    python -m benchmarks.studies.deployed --show      the table of what is there

`--data` holds `cifar10/train.tar`, `cifar10/test.tar` and the tables. Test images are not read. A
seed changes held-out images, which networks are drawn, weights and batches.
"""

from __future__ import annotations

from benchmarks.studies.deployed.measure import Deployed
from benchmarks.studies.study import main

if __name__ == "__main__":
    raise SystemExit(main(Deployed, __doc__))
