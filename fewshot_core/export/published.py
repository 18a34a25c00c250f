"""What a card says that the run does not know. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """What a user says of an export, and what of it is not in the run's settings.

    Attributes:
        license: Of the weights; empty: not stated.
        digest: Of all images of the run; empty: not known.
        repository: USER/NAME on the Hugging Face Hub; empty: it is not uploaded.
    """

    license: str = ""
    digest: str = ""
    repository: str = ""
