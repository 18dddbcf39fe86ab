"""The status board: worker processes push their facts to the launcher over a local datagram socket."""

import contextlib
import socket
import threading
import time
from collections.abc import Container
from pathlib import Path
from typing import Final

from loguru import logger

from shared.observability import events
from workers.facts import ChildFacts, Phase, decode, encode
from workers.health import Sighting

# Linux allows this by default, elsewhere datagrams are as long as the buffers asked for.
MAX_DATAGRAM_BYTES: Final = 131_072
LISTEN_S: Final = 0.5


class Board:
    """Keeps the newest facts of each worker process. `close` may be repeated, also before `start`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = _datagram_socket()
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._seen: dict[int, tuple[ChildFacts, float]] = {}
        self._master_pid: int | None = None
        self._thread = threading.Thread(target=self._listen, name="board", daemon=True)

    def start(self) -> None:
        """Listen. Must come before the first worker process starts."""
        self._socket.bind(str(self.path))
        self._socket.settimeout(LISTEN_S)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._socket.sendto(b"", str(self.path))  # wakes the thread
            self._thread.join(2 * LISTEN_S)
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def expect(self, master_pid: int) -> None:
        """Forget everybody and count only the children of this Dramatiq process from now on."""
        with self._changed:
            self._master_pid = master_pid
            self._seen.clear()

    def sightings(self) -> list[Sighting]:
        """The newest facts of each process."""
        now_s = time.monotonic()
        with self._changed:
            return [Sighting(facts, now_s - at_s) for facts, at_s in self._seen.values()]

    def wait_all_in(self, phases: Container[Phase], timeout_s: float) -> bool:
        """Wait until every process that has reported is in one of `phases`."""
        with self._changed:
            return self._changed.wait_for(
                lambda: all(facts.phase in phases for facts, _ in self._seen.values()), timeout_s
            )

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                datagram = self._socket.recv(MAX_DATAGRAM_BYTES)
            except TimeoutError:
                continue
            except OSError:
                if self._closed.is_set():
                    return
                raise
            if not self._closed.is_set():
                self._note(datagram)

    def _note(self, datagram: bytes) -> None:
        try:
            facts = decode(datagram)
        except ValueError:
            logger.bind(event=events.UNEXPECTED_ERROR, size_bytes=len(datagram)).warning(
                "The status board received what no worker process of this release sends"
            )
            return
        with self._changed:
            if facts.master_pid == self._master_pid:
                self._seen[facts.pid] = (facts, time.monotonic())
                self._changed.notify_all()


class BoardClient:
    """A worker process's end. Sending never blocks: a launcher that does not read misses facts, nobody waits."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._socket = _datagram_socket()
        self._socket.setblocking(False)
        self.missed = 0

    def send(self, facts: ChildFacts) -> None:
        """Push `facts`; what cannot be delivered now is counted in `missed`, the next ones follow within a second."""
        try:
            self._socket.sendto(encode(facts), self._path)
        except OSError:
            self.missed += 1

    def close(self) -> None:
        """Close the socket. Safe to call twice."""
        self._socket.close()


def _datagram_socket() -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, option, 2 * MAX_DATAGRAM_BYTES)
    return found
