"""A double of the Hugging Face Hub: what an upload asks of it, on this machine."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "hf_aTokenThatMayWrite"
LARGE = (".safetensors", ".onnx", ".png")
"""Endings of the files that the Hub wants apart from the commit."""


class _Handler(BaseHTTPRequestHandler):
    """Keeps what it gets below ``folder``: files by repository, and ``created.json``."""

    folder: Path
    address: str

    def do_POST(self) -> None:
        path, body = self.path.split("?")[0], self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._validate(json.loads(body)["content"])
        elif "/preupload/" in path:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                one | {"actions": {"upload": {"href": f"{self.address}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif "/commit/" in path:
            self._commit(path.split("/")[3:5], [json.loads(line) for line in body.splitlines()])
        else:
            self._answer(404, {"error": f"the double does not know {path}"})

    def do_GET(self) -> None:
        kept = self.folder / "created.json"
        if not self.path.startswith("/api/models/me/") or not kept.exists():
            self._answer(404, {"error": "Repository not found"})
            return
        asked = json.loads(kept.read_text())
        self._answer(200, {"id": f"me/{asked['name']}", "private": _is_private(asked)})

    def do_PUT(self) -> None:
        (self.folder / "objects").mkdir(exist_ok=True)
        (self.folder / "objects" / self.path.rpartition("/")[2]).write_bytes(self._body())
        self._answer(200, {})

    def _create(self, asked: dict[str, Any]) -> None:
        if asked["organization"] != "me":
            self._answer(403, {"error": f"You have no rights in {asked['organization']}"})
            return
        kept = self.folder / "created.json"
        there = kept.exists()
        if not there:
            kept.write_text(json.dumps(asked))
        self._answer(409 if there else 200, {"url": f"{self.address}/me/{asked['name']}"})

    def _validate(self, card: str) -> None:
        front = card.split("---")[1]
        wrong = [] if "pipeline_tag:" in front else [{"message": "no pipeline_tag"}]
        self._answer(400 if wrong else 200, {"errors": wrong, "warnings": []})

    def _commit(self, name: list[str], lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value, place = line["value"], self.folder.joinpath("files", *name)
            if line["key"] == "header":
                continue
            place = place / value["path"]
            place.parent.mkdir(parents=True, exist_ok=True)
            if line["key"] == "lfsFile":
                place.write_bytes((self.folder / "objects" / value["oid"]).read_bytes())
            else:
                place.write_bytes(base64.b64decode(value["content"]))
        commit = {"commitOid": "0" * 40, "commitUrl": f"{self.address}/{'/'.join(name)}/commit/0"}
        self._answer(200, commit | {"pullRequestUrl": None})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _is_private(asked: dict[str, Any]) -> bool:
    """Older clients and newer ones ask in different words."""
    return bool(asked.get("private") or asked.get("visibility") == "private")


@contextmanager
def hub_double(folder: Path) -> Iterator[str]:
    """Its address, while it runs. ``me`` owns it, and :data:`TOKEN` lets one in."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = type("Handler", (_Handler,), {"folder": folder})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        handler.address = address  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()
