"""A TCP proxy on loopback: accepts for a dead server as load balancers do, and misbehaves on demand as networks do."""

import contextlib
import socket
import struct
import threading
from enum import Enum, auto
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536
LINGER_NOT = struct.pack("ii", 1, 0)
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
TRICKLE_S = 1.0


class Manner(Enum):
    """What the proxy does to bytes. `DROP` neither reads nor writes; what it holds goes on when that is over."""

    PASS = auto()
    DROP = auto()
    DROP_ANSWERS = auto()
    RESET_ANSWERS = auto()
    TRICKLE = auto()
    DELAY = auto()
    HTTP = auto()


class TcpProxy:
    """Passes bytes on to `port`. While nothing listens there it still accepts, and closes at once.

    `accepted` counts all connections.
    """

    def __init__(self, port: int) -> None:
        self.target_port = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self.accepted = 0
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._changed = threading.Condition()
        self._manner = Manner.PASS
        self._delay_s = 0.0
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._do = {
            Manner.PASS: self._send,
            Manner.DROP: self._hold,
            Manner.DROP_ANSWERS: self._hold_answers,
            Manner.RESET_ANSWERS: self._reset_answers,
            Manner.TRICKLE: self._trickle,
            Manner.DELAY: self._delay,
            Manner.HTTP: self._speak_http,
        }

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.behave(Manner.PASS)
        self.reset()
        self._thread.join(5)

    def behave(self, manner: Manner, *, delay_s: float = 0.0) -> None:
        """Do this from now on, to connections that are open as to new ones. `delay_s` is for `DELAY`, each way."""
        with self._changed:
            self._manner, self._delay_s = manner, delay_s
            self._changed.notify_all()

    def reset(self) -> None:
        """Reset every connection that is open."""
        with self._changed:
            pairs = tuple(self._pairs)
        for pair in pairs:
            self._reset(pair)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._wait_other_than(Manner.DROP)
            try:
                far = socket.create_connection(("127.0.0.1", self.target_port), 1)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._changed:
                self._pairs.add((near, far))
            for to_client in (True, False):
                threading.Thread(target=self._pump, args=((near, far), to_client), daemon=True).start()

    def _pump(self, pair: tuple[socket.socket, socket.socket], to_client: bool) -> None:  # noqa: FBT001 - a thread's argument
        near, far = pair
        source = far if to_client else near
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                self._do[self._manner](pair, chunk, to_client=to_client)
        with self._changed:
            orderly = pair in self._pairs
            self._pairs.discard(pair)
        for end in pair:
            if orderly:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            # The other pump may still be at it; whoever comes second closes what is closed already.
            end.close()

    def _reset(self, pair: tuple[socket.socket, socket.socket]) -> None:
        near, far = pair
        with contextlib.suppress(OSError):
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        with self._changed:
            # From here on nobody says goodbye to the client.
            self._pairs.discard(pair)
        with contextlib.suppress(OSError):
            # The pump that reads it holds the socket: without this the reset would wait for what never comes.
            near.shutdown(socket.SHUT_RD)
        near.close()
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)

    def _send(self, pair: tuple[socket.socket, socket.socket], chunk: bytes, *, to_client: bool) -> None:
        pair[0 if to_client else 1].sendall(chunk)

    def _hold(self, pair: tuple[socket.socket, socket.socket], chunk: bytes, *, to_client: bool) -> None:
        self._wait_other_than(Manner.DROP)
        self._send(pair, chunk, to_client=to_client)

    def _hold_answers(self, pair: tuple[socket.socket, socket.socket], chunk: bytes, *, to_client: bool) -> None:
        if to_client:
            self._wait_other_than(Manner.DROP_ANSWERS)
        self._send(pair, chunk, to_client=to_client)

    def _reset_answers(self, pair: tuple[socket.socket, socket.socket], chunk: bytes, *, to_client: bool) -> None:
        if to_client:
            self._reset(pair)
        else:
            self._send(pair, chunk, to_client=to_client)

    def _trickle(self, pair: tuple[socket.socket, socket.socket], chunk: bytes, *, to_client: bool) -> None:
        sent = 0
        while to_client and sent < len(chunk) and self._wait_other_than(Manner.TRICKLE, TRICKLE_S):
            self._send(pair, chunk[sent : sent + 1], to_client=True)
            sent += 1
        self._send(pair, chunk[sent:], to_client=to_client)

    def _delay(self, pair: tuple[socket.socket, socket.socket], chunk: bytes, *, to_client: bool) -> None:
        self._wait_other_than(Manner.DELAY, self._delay_s)
        self._send(pair, chunk, to_client=to_client)

    def _speak_http(self, pair: tuple[socket.socket, socket.socket], chunk: bytes, *, to_client: bool) -> None:
        if not to_client:
            pair[0].sendall(HTTP)
            raise ConnectionAbortedError

    def _wait_other_than(self, manner: Manner, timeout_s: float | None = None) -> bool:
        """Wait until the proxy behaves otherwise; True when it still does not after `timeout_s`."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._manner is not manner, timeout_s)
