"""Rankings: few-shot against one-shot at the same number of training images, and what else matters.

    python -m benchmarks.studies.ranking               the whole study, hours; resumes
    python -m benchmarks.studies.ranking --quick       minutes; writes nothing
    python -m benchmarks.studies.ranking --show        tables and plots of what is there

`--data` holds `cifar10/train.tar` and `nasbench201/accuracies.csv`. Supernets are trained on a part
of the training images and scored on the rest of them; the test images are not read. Every arm is
done at three budgets with three seeds and ranked on a fixed random part of the table (stage
`arms`); the best one-shot and the best few-shot arm again at a long budget, ranked on the whole
table (stage `long`). Training-free proxies are ranked on both (stage `proxies`). Jobs are shared
among worker processes, and each adds a row to the results when it is done: stop it at any time, and
start it again.
"""

from __future__ import annotations

from benchmarks.studies.ranking.measure import Ranking
from benchmarks.studies.study import main

if __name__ == "__main__":
    raise SystemExit(main(Ranking, __doc__))
