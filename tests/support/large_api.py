"""The API with routes for a test of its end: `python -m tests.support.large_api`.

/test/large answers with LARGE bytes in one piece, /test/pieces with the same in many, /test/held with a few once the
file `release` is there.
"""

import hashlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import falcon

MEGABYTE = 1024 * 1024
MEGABYTES = 64
LARGE = MEGABYTES * MEGABYTE
POLL_S = 0.02


def piece(number: int) -> bytes:
    """A megabyte that differs from every other."""
    return number.to_bytes(4, "big") * (MEGABYTE // 4)


def pieces() -> Iterator[bytes]:
    """The large answer."""
    return map(piece, range(MEGABYTES))


def digest() -> str:
    """What the large answer's SHA-256 must be."""
    found = hashlib.sha256()
    for part in pieces():
        found.update(part)
    return found.hexdigest()


class Large:
    """In one piece, or in many."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = "application/octet-stream"
        if self._whole:
            resp.data = b"".join(pieces())
        else:
            resp.stream, resp.content_length = pieces(), LARGE


class Held:
    """A small answer that a test lets go."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        while not Path("release").exists():
            threading.Event().wait(POLL_S)
        resp.media = {"held": True}


if __name__ == "__main__":
    from shared.bootstrap.lifecycle import run_process
    from status_api import service
    from status_api.app import WsgiApp, create_app
    from status_api.collaborators import Collaborators

    def create(given: Collaborators) -> WsgiApp:
        app = create_app(given)
        app.add_route("/test/large", Large(whole=True))
        app.add_route("/test/pieces", Large(whole=False))
        app.add_route("/test/held", Held())
        return app

    vars(service)["create_app"] = create
    sys.exit(run_process("status_api", service.serve))
