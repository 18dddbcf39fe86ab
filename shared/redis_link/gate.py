"""The gate between callers and the network: open while connected, and the only way in."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from shared.core.classify import Failure, failure_of
from shared.core.codes import Code, ErrorClass
from shared.core.errors import RedisUnavailableError
from shared.redis_link.resolver import Address
from shared.redis_link.sockets import shut_down

# A reply that says more about the server than about the command it answers: worth a beat at once.
TELLING: Final = frozenset({Code.READONLY, Code.OOM, Code.MISCONF, Code.NOREPLICAS})


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to connect: to this address, as long as the gate is not closed in between."""

    address: Address
    epoch: int


@dataclass(frozen=True, slots=True)
class Limit:
    """Callers wanted more connections than there may be."""

    failure: Failure
    at_s: float


class Owner(Protocol):
    """What the gate asks and tells its link. Called on callers' threads: returns at once."""

    def refusal(self) -> tuple[Failure, float | None]:
        """Why the link is not connected, and the seconds to the next scheduled attempt."""

    def suspect(self) -> None:
        """A caller met something odd; the link looks for itself, at once."""

    def denied(self, failure: Failure) -> None:
        """The server refused a caller's new connection for good, so the link has lost its leave as well."""


class Gate:
    """Knows whether the link is connected, and every socket that callers opened through it."""

    def __init__(self, owner: Owner) -> None:
        self.is_open = False
        self.limit: Limit | None = None
        self._owner = owner
        self._address: Address | None = None
        self._epoch = 0
        self._trusted = threading.Event()
        self._sockets: set[socket.socket] = set()
        # Reentrant: garbage collection may close a connection in the middle of anything.
        self._lock = threading.RLock()

    def open(self, address: Address) -> None:
        """Let callers through; their connections go where the supervisor's went."""
        with self._lock:
            self._address = address
            self._epoch += 1
            self.is_open = True
        self._trusted.set()

    def close(self) -> None:
        """Let nobody through, and free every thread that waits on a socket behind the gate."""
        self.is_open = False
        with self._lock:
            self._epoch += 1
        self._trusted.set()
        self.free()

    def trust(self) -> None:
        """A beat was answered after whatever a caller met: callers may open connections again."""
        self._trusted.set()

    def free(self) -> None:
        """End whatever callers' threads wait for: their sockets are shut down, and closed by their owners."""
        with self._lock:
            for sock in tuple(self._sockets):
                shut_down(sock)

    def renew(self) -> None:
        """In a forked child: the parent's lock and sockets are the parent's."""
        self.is_open = False
        self._lock = threading.RLock()
        self._trusted = threading.Event()
        for sock in self._sockets:
            sock.close()  # this process's handle only: the stream goes on being the parent's
        self._sockets = set()

    def ticket(self, patience_s: float | None) -> Ticket:
        """Leave to connect. Raises RedisUnavailableError while the gate is closed.

        After a failure it is the supervisor that asks first whether the server is there: a caller waits for the answer,
        at most `patience_s`, so that a server that dies is not met by a connection of each thread at once.
        """
        if self.is_open and not self._trusted.wait(patience_s):
            raise self._unavailable(Failure(Code.TIMEOUT))
        with self._lock:
            if not self.is_open or self._address is None:
                raise self.refused()
            return Ticket(self._address, self._epoch)

    def adopt(self, sock: socket.socket, ticket: Ticket) -> None:
        """Take note of a caller's new socket. Raises RedisUnavailableError when the gate was closed meanwhile."""
        with self._lock:
            if self._epoch == ticket.epoch:
                self._sockets.add(sock)
                return
        sock.close()
        raise self.refused()

    def release(self, sock: socket.socket, close: Callable[[], None]) -> None:
        """Have `close` close a caller's socket. Never while it is being shut down: its number may be another's then."""
        with self._lock:
            self._sockets.discard(sock)
            close()

    def refused(self, *, sent: bool = False) -> RedisUnavailableError:
        """What a caller gets while the gate is closed."""
        # Threads that try again and again without a pause would keep the interpreter from the supervisor: with 50 of
        # them healing took 7 s, and takes 0.1 s when each lets go of it here.
        time.sleep(0)
        failure, retry_in_s = self._owner.refusal()
        return RedisUnavailableError(summary=failure.summary, code=str(failure.code), retry_in_s=retry_in_s, sent=sent)

    def failed(self, error: Exception) -> RedisUnavailableError:
        """What a caller gets whose connection failed after something was sent."""
        if not self.is_open:
            return self.refused(sent=True)
        self._doubt()
        return self._unavailable(failure_of(error), sent=True)

    def connect_failed(self, error: Exception) -> RedisUnavailableError:
        """What a caller gets for whom no connection could be made; nothing was sent."""
        if isinstance(error, RedisUnavailableError):
            error.sent = False
            return error
        if not self.is_open:
            return self.refused()
        failure = failure_of(error, accepted=False)
        if failure.error_class is ErrorClass.REFUSED:
            self._owner.denied(failure)
        elif failure.error_class is ErrorClass.CAPACITY:
            return self.limited(error, time.monotonic())
        else:
            self._doubt()
        return self._unavailable(failure)

    def limited(self, error: Exception, now_s: float) -> RedisUnavailableError:
        """What a caller gets when there may be no more connections, ours or the server's."""
        failure = failure_of(error)
        self.limit = Limit(failure, now_s)
        self._owner.suspect()
        return self._unavailable(failure)

    def heard(self, error: Exception) -> None:
        """A command's error reply: it stays the caller's, but may tell that the server has changed."""
        if failure_of(error).code in TELLING:
            self._owner.suspect()

    def _doubt(self) -> None:
        self._trusted.clear()
        self._owner.suspect()

    def _unavailable(self, failure: Failure, *, sent: bool = False) -> RedisUnavailableError:
        return RedisUnavailableError(summary=failure.summary, code=str(failure.code), sent=sent)
