"""Clients that keep a server waiting, in a process of their own: `python -m tests.support.siege PORT`.

Half-open connections, heads and bodies that trickle, and requests sent ahead whose answers nobody reads; whoever is
shut out comes again. Prints one JSON object when the time is over.
"""

import argparse
import contextlib
import itertools
import json
import resource
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tests.support.aside import Aside, aside

HEAD = b"POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
ASK = b"GET /openapi.yaml HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
# How each kind begins, and what it goes on with, one byte at a time.
KINDS = {
    "half-open": (b"", b""),
    "head": (HEAD, b"X-Slow: and slow, and slow, and slow, and slow, and slow, and slow\r\n"),
    "body": (HEAD + b"Content-Length: 60000\r\n\r\n", b" " * 60_000),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 1000),
    "unread": (ASK * 150, b""),
}
TURN_S = 0.5


@dataclass
class Besieged:
    """What a siege has come to."""

    opened: int = 0
    shut_out: int = 0
    most: int = 0


@dataclass
class Besieger:
    """One connection."""

    kind: str
    sock: socket.socket
    said: int = 0

    def go_on(self) -> bool:
        """Say one byte more; False when the server has ended the connection."""
        _, rest = KINDS[self.kind]
        try:
            if rest:
                self.sock.send(rest[self.said % len(rest) :][:1])
                self.said += 1
            elif self.kind == "half-open":
                return self.sock.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def _besieger(port: int, kind: str) -> Besieger | None:
    try:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(0.5)
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.send(KINDS[kind][0] or b"GET / HT")
    except OSError:
        sock.close()
        return None
    return Besieger(kind, sock)


def besiege(port: int, *, connections: int, seconds: float) -> Besieged:
    """Hold as many connections as one may, for so long."""
    found, kinds, besiegers = Besieged(), itertools.cycle(KINDS), list[Besieger]()
    until_s, pace = time.monotonic() + seconds, threading.Event()
    while (now_s := time.monotonic()) < until_s:
        staying = []
        for besieger in besiegers:
            if besieger.go_on():
                staying.append(besieger)
            else:
                besieger.sock.close()
        found.shut_out += len(besiegers) - len(staying)
        besiegers = staying
        found.opened += _recruit(besiegers, port, kinds, connections, now_s + TURN_S)
        found.most = max(found.most, len(besiegers))
        pace.wait(max(0.0, now_s + TURN_S - time.monotonic()))
    for besieger in besiegers:
        besieger.sock.close()
    return found


def _recruit(besiegers: list[Besieger], port: int, kinds: Iterator[str], wanted: int, until_s: float) -> int:
    """Fill up the ranks; stops for now when nobody is let in."""
    before = len(besiegers)
    while len(besiegers) < wanted and time.monotonic() < until_s:
        newcomer = _besieger(port, next(kinds))
        if newcomer is None:
            break
        besiegers.append(newcomer)
    return len(besiegers) - before


@contextlib.contextmanager
def besieging(port: int, *, connections: int, seconds: float) -> Iterator[Aside]:
    """A siege in a process of its own; its result is what `Besieged` holds."""
    with aside("tests.support.siege", port, "--connections", connections, "--seconds", seconds) as found:
        yield found


def main() -> None:
    """Besiege as the arguments say."""
    parser = argparse.ArgumentParser(description="Keep a server waiting.")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    allowed = min(given.connections, most - 100)
    found = besiege(given.port, connections=allowed, seconds=given.seconds)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
