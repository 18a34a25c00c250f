"""The report of a run over HTTP, to this machine alone, so that a page can follow its run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fewshot_core.errors import RecipeError

HOST = "127.0.0.1"
PAGES = ("/", "/report.html")
OWN_NAMES = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
"""How a browser of this machine names the server. A site elsewhere that lets its name point here
comes under that name."""

WAITING = b"""<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh"
content="3"><title>A run</title>
<body style="font:16px system-ui;margin:2rem;color-scheme:light dark">
<p>The run has not written its report yet. This page asks again every three seconds.</p></body>
</html>
"""


class ReportHandler(BaseHTTPRequestHandler):
    """Answers with the report, and with nothing else of the folder.

    Args:
        file: The report; it may come into being later.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, file: Path) -> None:
        self._file = file
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Send the page."""
        self._answer(send=True)

    def do_HEAD(self) -> None:
        """Say how old the page is."""
        self._answer(send=False)

    def log_message(self, *arguments: object) -> None:
        """Say nothing: the page asks every few seconds."""

    def _answer(self, send: bool) -> None:
        if not OWN_NAMES.fullmatch(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        if self.path.partition("?")[0] not in PAGES:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            with self._file.open("rb") as page:  # replaced whole, so this is one version
                text, status = page.read(), self._file.stat()
            tag, written = f'"{status.st_mtime_ns:x}-{len(text):x}"', status.st_mtime
        except FileNotFoundError:
            text, tag, written = WAITING, '"waiting"', 0.0
        known = self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if known else HTTPStatus.OK)
        self.send_header("ETag", tag)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Last-Modified", formatdate(written, usegmt=True))
        if not known:
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if send and not known:
            self.wfile.write(text)


class ReportServer(ThreadingHTTPServer):
    """A server that a browser may leave in the middle of an answer."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that the other side has closed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def open_server(file: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the report, which this machine alone can reach; it is not started.

    Args:
        file: The report.
        port: 0: any that is free.

    Raises:
        RecipeError: The port is in use, or may not be used.
    """
    try:
        return ReportServer((HOST, port), partial(ReportHandler, file=file))
    except (OSError, OverflowError) as error:
        raise RecipeError(
            f"the report cannot be served on port {port}",
            found=getattr(error, "strerror", None) or str(error),
            fix="port=0 takes one that is free",
        ) from None


def serve_report(file: Path, port: int, say: Callable[[str], object]) -> None:
    """Serve the report until Ctrl-C.

    Args:
        file: The report; a run that goes on replaces it.
        port: 0: any that is free.
        say: Is told the address.

    Raises:
        RecipeError: The port is in use, or may not be used.
    """
    with open_server(file, port) as server:
        say(f"report: http://{HOST}:{server.server_address[1]}/ (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("")
