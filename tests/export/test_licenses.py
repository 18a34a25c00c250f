"""Licenses that a card may name."""

from __future__ import annotations

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.export.licenses import check_license, license_fields, license_text


@pytest.mark.parametrize("text", ["", "mit", "cc-by-nc-sa-4.0", "openrail++", "other:our-own-1.0"])
def test_what_is_taken(text: str) -> None:
    check_license(text)
    assert text.removeprefix("other:") in license_text(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apache2", "did you mean 'apache-2.0'"),
        ("MIT", "did you mean 'mit'"),
        ("our-own", "license=other:NAME"),
        ("other", "license=other:NAME"),
        ("other:", "license=other:NAME"),
        ("other:a\nb: c", "license=other:NAME"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        check_license(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_fields_of_a_card() -> None:
    assert license_fields("") == {}
    assert "not stated" in license_text("")
    assert license_fields("mit") == {"license": "mit"}
    assert license_fields("other:mine") == {"license": "other", "license_name": "mine"}
