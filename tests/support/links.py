"""Links under test, the lines they log, and ports that behave badly on purpose."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from loguru import logger

from shared.redis_link import LinkConfig, RedisLink
from tests.support.waiting import wait_for

# Two attempts soon, and then none for a minute: what connects sooner is a look in between, on however slow a machine.
FAR = {"first_delay_s": 0.2, "multiplier": 300, "max_delay_s": 60}


@contextlib.contextmanager
def linked(url: str, **options: Any) -> Iterator[RedisLink]:
    """A started link to `url`, closed in the end."""
    link = RedisLink(LinkConfig(url=url, **options), name="test")
    link.start()
    try:
        yield link
    finally:
        link.close()


@contextlib.contextmanager
def connected(url: str, **options: Any) -> Iterator[RedisLink]:
    """A link that is connected to begin with."""
    with linked(url, **options) as link:
        assert link.wait_connected(20), link.health()
        yield link


@dataclass
class Lines:
    """What was logged: level, text, bound facts."""

    records: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """The texts about Redis, in order."""
        return [text for _, text, _ in self.records if text.startswith("Redis:")]

    def saying(self, part: str) -> list[str]:
        """Those that hold `part`."""
        return [text for text in self.texts if part in text]


@contextlib.contextmanager
def captured() -> Iterator[Lines]:
    """Collect what is logged meanwhile."""
    lines = Lines()

    def sink(message: Any) -> None:
        record = message.record
        lines.records.append((record["level"].name, record["message"], dict(record["extra"])))

    number = logger.add(sink, level="DEBUG", format="{message}")
    try:
        yield lines
    finally:
        logger.remove(number)


class Port:
    """Listens on a free port and does `manner` to every connection; counts them."""

    def __init__(self, manner: Callable[[socket.socket], None], port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self.accepted_at_s: list[float] = []
        self._manner = manner
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def accepted(self) -> int:
        """How many connections were accepted so far."""
        return len(self.accepted_at_s)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for sock in self._kept:
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted_at_s.append(time.monotonic())
            self._kept.append(sock)
            with contextlib.suppress(OSError):
                self._manner(sock)


def closes(sock: socket.socket) -> None:
    """Accept, then close in an orderly way: a proxy without a server behind it."""
    sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def resets(sock: socket.socket) -> None:
    """Accept, then reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def keeps_silent(_: socket.socket) -> None:
    """Accept, and never say a word."""


def speaks_http(sock: socket.socket) -> None:
    """Answer like a web server."""
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def error_code(link: RedisLink) -> str | None:
    """The code of the last error that health shows."""
    error = link.health().details.error
    return error.code if error else None


def limit_code(link: RedisLink) -> str | None:
    """The code of what limits a connected link."""
    limit = link.health().details.degraded
    return limit.code if limit else None


@contextlib.contextmanager
def found_by_a_look(link: RedisLink) -> Iterator[None]:
    """The block makes Redis usable again for a link with `FAR`: it must be connected long before its next attempt."""
    due_in_s = wait_for(lambda: _far_s(link), what="the next attempt to be far away")
    due_s = time.monotonic() + due_in_s
    yield
    wait_for(link.is_available, due_s - 10 - time.monotonic(), "connected by a look, not by the next attempt")


def _far_s(link: RedisLink) -> float:
    due_in_s = link.retry_in_s() or 0.0
    return due_in_s if due_in_s > FAR["max_delay_s"] / 2 else 0.0
