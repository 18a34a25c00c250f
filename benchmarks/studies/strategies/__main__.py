"""Search strategies in a table: what they find, guided by scores.

    python -m benchmarks.studies.strategies --run runs/nasbench201
    python -m benchmarks.studies.strategies --run runs/nasbench201 --column cifar100
    python -m benchmarks.studies.strategies --table nasbenchmacro
    python -m benchmarks.studies.strategies --quick     a minute; writes nothing
    python -m benchmarks.studies.strategies --show      what the results say

`--data` holds `nasbench201/accuracies.csv`, or that of another `--table`, whose column is the
truth. A run that `tools/rank.py` has ranked holds `scores/one-shot.csv` and `scores/few-shot.csv`.
Every strategy makes as many evaluations, guided by each of: the run's scores (negative loss), the
truth itself, and the number of connected parameters. After each trial two
figures are taken:

- oracle: the best truth among the cells seen. It is what the literature plots, and takes the truth
  to be picked.
- deployed: the truth of the cell with the best score so far, which a user would get.

A third is the number of trials until one of the best 0.1 % was met.

Guided by the truth, REA, TPE, BOHB and SMAC have to beat random search in the median, or they are
broken: exit code 1. What strategies cost beside their evaluations is another benchmark,
`python -m benchmarks.overhead`.
"""

from __future__ import annotations

from benchmarks.studies.strategies.measure import Strategies
from benchmarks.studies.study import main

if __name__ == "__main__":
    raise SystemExit(main(Strategies, __doc__))
