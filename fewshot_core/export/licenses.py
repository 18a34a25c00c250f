"""Licenses of weights, by the identifiers of the Hugging Face Hub. Needs no torch."""

from __future__ import annotations

import re

from fewshot_core.errors import RecipeError, nearest

# https://huggingface.co/docs/hub/repositories-licenses
IDENTIFIERS = frozenset(
    (
        "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m",
        "bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0",
        "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0",
        "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
        "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
        "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0",
        "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl",
        "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "lppl-1.3c", "ms-pl",
        "mpl-2.0", "odc-by", "odbl", "openrail++", "osl-3.0", "postgresql", "ofl-1.1", "ncsa",
        "unlicense", "zlib", "pddl", "unknown",
    )
)  # fmt: skip
"""Those that a card of the Hub may name; others are ``other``, with a name."""

OTHER = "other:"


def check_license(text: str) -> None:
    """Require a license that a card may name.

    Args:
        text: An identifier of the Hub, ``other:NAME``, or nothing.

    Raises:
        RecipeError: It is neither.
    """
    if not text or text in IDENTIFIERS:
        return
    if re.fullmatch(r"other:[a-z0-9][a-z0-9.\-]*", text):
        return
    raise RecipeError(
        f"unknown license {text!r}",
        found=nearest(text.lower(), IDENTIFIERS) or None,
        allowed="an identifier of the Hugging Face Hub, such as apache-2.0, mit, cc-by-4.0",
        fix="license=other:NAME for another one (NAME of small letters, digits, . and -)",
    )


def license_fields(text: str) -> dict[str, str]:
    """The fields of a card's metadata; none where no license is stated."""
    if text.startswith(OTHER):
        return {"license": "other", "license_name": text.removeprefix(OTHER)}
    return {"license": text} if text else {}


def license_text(text: str) -> str:
    """What a card says of it; a sentence."""
    if not text:
        return (
            "The license of the weights is not stated. Ask whoever published them before you use "
            "them."
        )
    return f"The weights are licensed under {text.removeprefix(OTHER)}."
