"""An export on the Hugging Face Hub, or one line that says why it is not there."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from huggingface_hub import constants

from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.export.hub import HubError, check_repository, upload
from fewshot_core.runs.ownership import MARKER
from tests.export.hub import TOKEN, hub_double

CARD = "---\npipeline_tag: image-classification\n---\n# A network\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "cell.cpython-311.pyc").write_bytes(b"compiled")
    (folder / "README.md").write_text(CARD)
    (folder / "model.onnx").write_bytes(bytes(range(256)) * 40)
    (folder / MARKER).write_text("{}")
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the double has got; it is the Hub for as long as a test runs."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with hub_double(tmp_path / "hub") as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        yield tmp_path / "hub"  # type: ignore[misc]


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(folder: Path, name: str) -> str:
    before = content(folder)
    with pytest.raises(HubError) as error:
        upload(folder, name, private=False)
    assert content(folder) == before
    line = str(error.value)
    assert "\n" not in line
    assert f"the export is whole in {folder}" in line
    assert name in line
    return line


@pytest.mark.parametrize("private", [False, True])
def test_what_is_uploaded(folder: Path, hub: Path, private: bool) -> None:
    for _ in range(2):  # a second upload finds the repository
        address = upload(folder, "me/network", private)
    assert address.endswith("/me/network")
    asked = json.loads((hub / "created.json").read_text())
    assert (asked["organization"], asked["name"]) == ("me", "network")
    assert (asked.get("private") or asked.get("visibility") == "private") == private
    expected = {name: content(folder)[name] for name in ("README.md", "model.onnx")}
    assert content(hub / "files" / "me" / "network") == expected


def test_a_token_that_is_refused(folder: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ofAnother")
    line = refused(folder, "me/network")
    assert "401" in line
    assert "to fix: set HF_TOKEN" in line
    assert not (hub / "files").exists()


def test_a_repository_of_somebody_else(folder: Path, hub: Path) -> None:
    line = refused(folder, "you/network")
    assert "403" in line
    assert "You have no rights in you" in line
    assert not (hub / "files").exists()


def test_what_is_private_is_not_uploaded_to_where_everybody_looks(folder: Path, hub: Path) -> None:
    upload(folder, "me/network", private=False)
    (folder / "README.md").write_text(CARD + "secret")
    with pytest.raises(HubError, match="a repository that everybody sees"):
        upload(folder, "me/network", private=True)
    assert (hub / "files" / "me" / "network" / "README.md").read_text() == CARD


def test_a_card_that_the_hub_does_not_take(folder: Path, hub: Path) -> None:
    (folder / "README.md").write_text(CARD.replace("pipeline_tag", "pipeline"))
    assert "no pipeline_tag" in refused(folder, "me/network")
    assert not (hub / "files").exists()


def test_no_connection(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", nobody)
    line = refused(folder, "me/network")
    assert "the Hub was not reached" in line
    assert "run the same command again" in line


@pytest.mark.parametrize("name", ["network", "a/b/c", "me/", "/network", "me/two words", "me/a..b"])
def test_a_name_that_no_repository_can_have(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(RecipeError, match=r"push_to_hub=USER/NAME"):
        check_repository(name)


def test_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(FewshotError, match=r"there is no token .* to fix: set HF_TOKEN"):
        check_repository("me/network")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    check_repository("me/network")
