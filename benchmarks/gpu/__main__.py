"""What a GPU does: speed of training and scoring, and a ranking study, in eight minutes.

    python -m benchmarks.gpu --pack cifar.npz --from ../shared/data/cifar10/train.tar
    python -m benchmarks.gpu --data cifar.npz --truth ../shared/data/nasbench201/accuracies.csv
    python -m benchmarks.gpu --toy

The first writes images into one small file. The second writes `benchmarks/results/gpu.json`, anew
after every row; `--continue-from FILE` leaves out the rows that a file has. The third tries all of
it in a minute, on a CPU too.

Part `speed`: supernets are trained for some seconds each, by the loop of every run. Part `scoring`:
all 6,466 distinct cells, on 1,000 images. Part `study`: one-shot and few-shot supernets trained on
equally many images, as many as the time allows, and ranked by the truth. A row that fails says why,
and the next begins.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gpu.budget import Budget
from benchmarks.gpu.data import PACKED, pack, random_images, unpack
from benchmarks.gpu.probe import ceilings
from benchmarks.gpu.rows import Rows, read_earlier
from benchmarks.gpu.scoring import run_scoring
from benchmarks.gpu.speed import run_speed
from benchmarks.gpu.study import GpuStudy, run_study
from benchmarks.studies.record import RESULTS
from fewshot_core.data import ImageData

PARTS = ("speed", "scoring", "study")
SECONDS = 460.0


def main() -> int:
    options = _options()
    if options.pack:
        print(
            f"{options.pack}: {pack(options.source, options.pack, options.count) / 2**20:.1f} MiB"
        )
        return 0
    with _folder(options) as folder:
        earlier = read_earlier(options.continue_from, options.keep_errors)
        rows = Rows(folder / "gpu.json", Budget(options.seconds), earlier)
        if not _run(options, rows):
            _begin_anew(rows)
        print(f"written: {rows.path}")
        failed = [key for key, row in rows.rows.items() if "error" in row]
    if failed and options.toy:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed) and options.toy)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the whole command")
    parser.add_argument("--data", type=Path, metavar="FILE", help="packed images; none: noise")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="accuracies of NAS-Bench-201")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    parser.add_argument("--continue-from", type=Path, metavar="FILE")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--images", type=int, metavar="N", help="that an arm of the study sees")
    parser.add_argument("--lr", type=float, default=0.4, help="of the study's supernets")
    parser.add_argument("--score-images", type=int, default=1000, metavar="N")
    parser.add_argument("--cells", type=int, metavar="N", help="rows of the truth; none: all")
    parser.add_argument("--toy", action="store_true", help="tiny sizes; writes nothing that stays")
    parser.add_argument("--pack", type=Path, metavar="FILE", help="write packed images, and end")
    parser.add_argument("--from", dest="source", type=Path, metavar="TAR")
    parser.add_argument("--count", type=int, default=PACKED, help="packed images")
    parser.add_argument("--keep-errors", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.pack and not options.source:
        parser.error("--pack needs --from")
    return options


def _run(options: argparse.Namespace, rows: Rows) -> bool:
    """All parts; whether the device still works."""
    if not rows.run("ceilings", 5, lambda: ceilings(options.toy)):
        return False
    data = _images(options)
    if "speed" in options.parts and not run_speed(rows, data, options.toy):
        return False
    images = 32 if options.toy else options.score_images
    if "scoring" in options.parts and not run_scoring(rows, data, options.toy, images):
        return False
    if "study" not in options.parts:
        return True
    study = GpuStudy(data, options.truth, options.lr, images, options.toy, options.cells)
    return run_study(rows, study, options.images or (1000 if options.toy else None))


def _images(options: argparse.Namespace) -> ImageData:
    if options.data:
        return unpack(options.data)
    return random_images(600, 16, 10) if options.toy else random_images(10_000, 32, 10)


@contextmanager
def _folder(options: argparse.Namespace) -> Iterator[Path]:
    """Where the rows are written."""
    if options.out or not options.toy:
        yield options.out or RESULTS
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _begin_anew(rows: Rows) -> None:
    """Go on in a new process: this one's device answers nothing any more."""
    print("the device does not work any more for this process; another goes on", flush=True)
    words = [
        sys.executable,
        "-m",
        "benchmarks.gpu",
        *sys.argv[1:],
        "--continue-from",
        str(rows.path),
        "--keep-errors",
    ]
    words += ["--out", str(rows.path.parent), "--seconds", str(rows.budget.left)]
    os.execv(sys.executable, words)


if __name__ == "__main__":
    raise SystemExit(main())
