"""Specialise a pretrained supernet to a small folder: what is it worth, and against what?

A supernet in the space of once-for-all is trained on six classes of CIFAR-10 and saved in the
authors' own format. From then on everything is done as by a user with that file: a folder of 500
images of the four other classes, a limit on FLOPs, a search with `supernet.weights`, and networks
that are fine-tuned. Beside the one found stand the same one from scratch, a random one of equal
FLOPs and the largest within the limit from the same weights, and MobileNetV3's own choices, which
were trained on the six classes alone, on as many images as the supernet. The one found is also
started from that MobileNetV3, where blocks agree.

    python -m benchmarks.studies.pretrained             resumes; an hour on two cores
    python -m benchmarks.studies.pretrained --quick     a few steps; writes nothing
    python -m benchmarks.studies.pretrained --show      the table of what is there

`--data` holds `cifar10/train.tar` and `cifar10/test.tar`. A seed draws other 500 images and
changes search and trainings. Test images are those of the four classes; each network is tested on
them once.
"""

from __future__ import annotations

from benchmarks.studies.pretrained.measure import Pretrained
from benchmarks.studies.study import main

if __name__ == "__main__":
    raise SystemExit(main(Pretrained, __doc__))
