"""One connection of the supervisor's own: made by an attempt, kept alive by beats."""

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from shared.core.classify import Failure, failure_of
from shared.core.codes import ErrorClass
from shared.redis_link.endpoint import Endpoint, Kind
from shared.redis_link.sockets import Opened, Patience, PatientSocket, close_half_made

# The beat's key outlives a few missed beats and nothing else.
BEAT_KEY_TTL_MS: Final = 10_000
# What a server says of itself is shown up to this length.
FACT_MAX: Final = 100
# What redis-py's parser raises for bytes that are no reply: numbers that are none, keys that cannot be one, nesting
# without end, a greeting of another kind than that of HELLO.
UNREADABLE: Final = (ValueError, TypeError, AttributeError, LookupError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server says of itself; None where it does not say or may not be asked."""

    version: str | None = None
    role: str | None = None
    run_id: str | None = None


class PatientConnection(AbstractConnection):
    """redis-py's handshake and parser on a socket that is already open, and that is not closed by an error."""

    def __init__(self, *, raw: socket.socket, patience: Patience, **options: Any) -> None:
        self._raw = raw
        self._patience = patience
        super().__init__(**options)

    def disconnect(self, *args: Any, **options: Any) -> None:
        """Nothing: a server that is silent or loading is asked again on the same socket. See `Session.close`."""

    def _connect(self) -> PatientSocket:
        return PatientSocket(self._secured(self._raw), self._patience)

    def _secured(self, raw: socket.socket) -> socket.socket:
        return raw


class PatientTcpConnection(PatientConnection, Connection):
    """Over TCP."""


class PatientUnixConnection(PatientConnection, UnixDomainSocketConnection):
    """Over a unix socket."""


class PatientTlsConnection(PatientConnection, SSLConnection):
    """Over TLS."""

    def _secured(self, raw: socket.socket) -> socket.socket:
        # The library closes what it is given when the handshake fails. The stream stays open through `raw`, so that
        # an answer of a server that was frozen in the middle of it is still seen.
        handle = raw.dup()
        handle.settimeout(max(0.001, self._patience.until_s - time.monotonic()))
        try:
            wrapped: socket.socket = self._wrap_socket_with_ssl(handle)  # type: ignore[no-untyped-call] # untyped there
        except BaseException as error:
            close_half_made(error)
            handle.close()
            raise
        return wrapped


CONNECTIONS: Final[Mapping[Kind, Any]] = {
    "tcp": PatientTcpConnection,
    "tls": PatientTlsConnection,
    "unix": PatientUnixConnection,
}


class Session:
    """The supervisor's connection. Every method may raise what `classify` understands, or StoppedError."""

    def __init__(self, endpoint: Endpoint, *, opened: Opened, patience: Patience, options: Mapping[str, Any]) -> None:
        self.address = opened.address
        self.opened_at_s = time.monotonic()
        self.facts = ServerFacts()
        # How long the newest sign of life took.
        self.response_ms: float | None = None
        self._raw = opened.sock
        self._patience = patience
        self._connection = CONNECTIONS[endpoint.kind](raw=opened.sock, patience=patience, **options)

    def fileno(self) -> int:
        """What to poll for an answer or the end of the stream."""
        return self._raw.fileno()

    def handshake(self) -> None:
        """Authenticate, name the connection, select the database."""
        with _reading():
            self._connection.connect()

    def ping(self) -> Failure | None:
        """Ask for a sign of life. A server that cannot save to disk gives one, too: it refuses even PING (MISCONF)."""
        return self._try("PING", answer=b"PONG")

    def write(self, key: str) -> Failure | None:
        """Write something small. A server without room says so in the failure returned; other refusals are raised."""
        return self._try("SET", key, "1", "PX", BEAT_KEY_TTL_MS, answer=b"OK")

    def look(self) -> None:
        """The socket is readable though nothing was asked: take in what came, raise when that is the end."""
        self._connection.can_read()

    def learn(self) -> None:
        """Ask what the server is; one that does not tell is as good as any other."""
        said = dict(_pairs(self._connection.handshake_metadata))
        said |= self._info("server")
        if "role" not in said:
            said |= self._info("replication")
        version = said.get("redis_version") or said.get("version")
        self.facts = ServerFacts(_short(version), _short(said.get("role")), _short(said.get("run_id")))

    def close(self) -> None:
        """Close the socket, and with it the stream."""
        wrapped = self._connection._sock  # noqa: SLF001 - closing is left to us alone
        for sock in (wrapped, self._raw):
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.close()

    def _try(self, *command: str | int, answer: bytes) -> Failure | None:
        began_s = time.monotonic()
        try:
            if (said := self._ask(*command)) != answer:
                raise redis.InvalidResponse(f"{said!r:.80} is no answer to {command[0]}")
            self.response_ms = (time.monotonic() - began_s) * 1000
        except redis.ResponseError as error:
            failure = failure_of(error)
            if failure.error_class is not ErrorClass.CAPACITY:
                raise
            return failure
        return None

    def _ask(self, *command: str | int) -> Any:
        self._connection.send_command(*command, check_health=False)
        with _reading():
            return self._connection.read_response(disconnect_on_error=False)

    def _info(self, section: str) -> dict[str, str]:
        try:
            text = self._ask("INFO", section)
        except redis.ResponseError:
            return {}
        lines = text.decode(errors="replace").splitlines() if isinstance(text, bytes) else []
        return dict(line.split(":", 1) for line in lines if ":" in line)


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Say of bytes that redis-py cannot read that they are no Redis's."""
    try:
        yield
    except OSError:
        raise  # a certificate's error is a ValueError as well
    except UNREADABLE as error:
        raise redis.InvalidResponse(f"no reply of Redis: {type(error).__name__}: {error!s:.80}") from error


def _short(said: str | None) -> str | None:
    return said[:FACT_MAX] if said is not None else None


def _pairs(said: object) -> list[tuple[str, str]]:
    pairs = said.items() if isinstance(said, dict) else ()
    return [(_shown(name), _shown(value)) for name, value in pairs if isinstance(value, bytes | str)]


def _shown(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
