"""A webhook that answers as it is told: well, badly, elsewhere, or never."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request that came in whole; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    document: Any


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "WebhookServer"

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        document = json.loads(raw) if raw else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.note(Received(self.command, self.path, headers, document))
        with suppress(OSError):
            answer(self)

    do_GET = do_POST  # noqa: N815 - as above

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Answer = Callable[[Handler], None]


def status(code: int, **headers: str) -> Answer:
    """Answer with a status and no body."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def hang(handler: Handler) -> None:
    """Never answer."""
    handler.server.closing.wait(60)


def drip(handler: Handler) -> None:
    """Send an endless header, drop by drop: every wait for the next byte is short."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while not handler.server.closing.wait(0.02):
        handler.wfile.write(b"x")


def endless_body(handler: Handler) -> None:
    """A success with a body that never ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not handler.server.closing.wait(0.02):
        handler.wfile.write(b"1\r\nx\r\n")


def hang_up(handler: Handler) -> None:
    """Close without an answer."""
    handler.close_connection = True


@dataclass
class WebhookServer(ThreadingHTTPServer):
    """Takes `answers` one after the other; the last one stays."""

    answers: list[Answer] = field(default_factory=lambda: [status(204)])
    scheme: str = "http"

    daemon_threads = True
    block_on_close = False

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[Received] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()

    __hash__ = object.__hash__

    @property
    def url(self) -> str:
        """Its address, with a path that is a secret."""
        return f"{self.scheme}://localhost:{self.server_address[1]}/services/T0AB12CD34EF/xoxb-9876543210abcdef"

    def note(self, request: Received) -> Answer:
        """Remember `request`, and say what to answer."""
        with self._lock:
            self.received.append(request)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def handle_error(self, *_: object) -> None:
        """A client that leaves is no news."""


@contextmanager
def webhook(*answers: Answer, certificate: Path | None = None) -> Iterator[WebhookServer]:
    """A server on a free port; `certificate` is a folder with cert.pem and key.pem."""
    server = WebhookServer(answers=list(answers) or [status(204)])
    if certificate is not None:
        server.scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
