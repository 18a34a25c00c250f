"""The mobile study: do supernets order networks of equal FLOPs, and does splitting help?

Networks inside two narrow bands of FLOPs are trained from scratch. Against their validation
accuracy are held, in each band: the scores of one supernet, of two and of four regions by the
kernels of first blocks, all of which see as many training images; and parameters. Beside what each
would deploy at that cost stand MobileNetV3-small with its widths scaled to it, and the mean of the
random networks.

    python -m benchmarks.studies.mobile             resumes; hours on two cores
    python -m benchmarks.studies.mobile --quick     a few steps on digits; writes nothing
    python -m benchmarks.studies.mobile --show      the table of what is there

`--data` holds `cifar10/train.tar` and `cifar10/test.tar`. Test images are not read. A seed changes
the supernets' held-out images, weights, paths and batches; networks and references are those of
seed 0.
"""

from __future__ import annotations

from benchmarks.studies.mobile.measure import Mobile
from benchmarks.studies.study import main

if __name__ == "__main__":
    raise SystemExit(main(Mobile, __doc__))
