"""Waiting on a socket in a way that another thread can cut short."""

import contextlib
import select
import socket
import time
from dataclasses import dataclass
from typing import Final

READABLE: Final = select.POLLIN
WRITABLE: Final = select.POLLOUT


@dataclass(frozen=True, slots=True)
class Ready:
    """What ended a wait: the socket (readable, writable, closed or broken), a call of `Waker.wake`, or neither."""

    socket: bool = False
    woken: bool = False


class Waker:
    """Lets any thread end the supervisor's wait at once."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def wake(self) -> None:
        """End the wait under way, or the next one. A full pipe is woken already, a closed one needs no waking."""
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def close(self) -> None:
        """Free the sockets."""
        self._reader.close()
        self._writer.close()

    def wait(self, until_s: float, descriptor: int | None = None, events: int = READABLE) -> Ready:
        """Wait until `until_s` (monotonic), a wake, or `events` (or an error, or end-of-file) on `descriptor`."""
        poller = select.poll()
        poller.register(self._reader, READABLE)
        if descriptor is not None:
            poller.register(descriptor, events)
        left_s = max(0.0, until_s - time.monotonic())
        # Rounded up: a wait that ends a fraction of a millisecond early would spin.
        found = {number for number, _ in poller.poll(left_s * 1000 + 1 if left_s else 0)}
        woken = self._reader.fileno() in found
        if woken:
            self._drain()
        return Ready(socket=descriptor in found, woken=woken)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
