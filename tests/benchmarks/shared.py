"""What tests of studies share."""

from __future__ import annotations

import argparse

from benchmarks.studies.study import Study, make_parser


def options(study: type[Study], *words: str) -> argparse.Namespace:
    """The options of a study's command line, with ``DATA`` for the folder of data sets."""
    return make_parser(study, None).parse_args(["--data", "DATA", *words])
