"""A client that asks as fast as it is answered, in a process of its own: `python -m tests.support.flood PORT`.

Each of CONNECTIONS keep-alive connections has one request outstanding; a connection that is closed is opened again.
Prints one JSON object: requests answered, those not 200, connections lost, seconds.
"""

import argparse
import contextlib
import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tests.support.aside import Aside, aside

REQUEST = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LOOK_S = 0.2


@dataclass
class Flooded:
    """What a flood has come to."""

    answered: int = 0
    refused: int = 0
    lost: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0


def flood(port: int, path: str, *, connections: int, seconds: float) -> Flooded:
    """Ask until the time is over."""
    found, asked = Flooded(), REQUEST % path.encode()
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            _open(selector, port, asked)
        while time.monotonic() - began < seconds:
            for key, _ in selector.select(LOOK_S):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if _answered(sock, asked, found):
                    continue
                found.lost += 1
                selector.unregister(sock)
                sock.close()
                _open(selector, port, asked)
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
    found.seconds = time.monotonic() - began
    return found


def _open(selector: selectors.BaseSelector, port: int, asked: bytes) -> None:
    with contextlib.suppress(OSError):
        sock = socket.create_connection(("127.0.0.1", port), 5)
        sock.sendall(asked)
        selector.register(sock, selectors.EVENT_READ)


def _answered(sock: socket.socket, asked: bytes, found: Flooded) -> bool:
    """Take an answer and ask again once it is whole; False when the connection has ended."""
    try:
        answer = sock.recv(65_536)
        if not answer:
            return False
        found.refused += answer.startswith(b"HTTP/1.1 ") and not answer.startswith(b"HTTP/1.1 200")
        # Head and body may come apart; every body here is a JSON object.
        if answer.endswith(b"}"):
            found.answered += 1
            sock.sendall(asked)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def flooding(port: int, path: str = "/health/live", *, connections: int, seconds: float) -> Iterator[Aside]:
    """A flood in a process of its own; its result is what `Flooded` holds."""
    options = ("--path", path, "--connections", connections, "--seconds", seconds)
    with aside("tests.support.flood", port, *options) as found:
        yield found


def main() -> None:
    """Flood as the arguments say."""
    parser = argparse.ArgumentParser(description="Ask as fast as it is answered.")
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/health/live")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    found = flood(given.port, given.path, connections=given.connections, seconds=given.seconds)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
