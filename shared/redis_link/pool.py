"""redis-py's connections with the gate in front of every socket.

All paths of redis-py (commands, pipelines, scripts, publish and subscribe) end in a connection's connect, send, read
and can_read. These raise RedisUnavailableError for whatever the socket or the protocol throws, and nothing else but
the server's own error replies.
"""

import socket
from collections.abc import Mapping
from typing import Any, Final

import redis
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from shared.core.errors import RedisUnavailableError
from shared.redis_link.endpoint import Kind
from shared.redis_link.gate import Gate, Ticket
from shared.redis_link.sockets import close_half_made, open_blocking

# Answers of the server and mistakes of the caller, which are not the connection's failing.
CALLERS_OWN: Final = (redis.ResponseError, redis.DataError, RedisUnavailableError)


class GatedConnection(AbstractConnection):
    """What the three kinds of connection share. Mixed in before redis-py's own class."""

    def __init__(self, *, gate: Gate, **options: Any) -> None:
        self._gate = gate
        self._handshaking = False
        super().__init__(**options)

    def connect(self) -> None:
        """Connect unless connected. redis-py would wrap this in a retry of none."""
        if self._sock is None:
            self.connect_check_health()

    def connect_check_health(self, *args: Any, **options: Any) -> None:
        """Open the socket, authenticate, select the database; nothing of a caller's has been sent when it fails."""
        if self._sock is not None:
            return
        self._handshaking = True
        try:
            super().connect_check_health(*args, **options)
        except Exception as error:
            self.disconnect()
            raise self._gate.connect_failed(error) from error
        finally:
            self._handshaking = False

    def send_packed_command(self, *args: Any, **options: Any) -> None:
        """Send what is packed already."""
        try:
            super().send_packed_command(*args, **options)  # type: ignore[no-untyped-call] # untyped in redis-py
        except CALLERS_OWN:
            raise
        except Exception as error:
            if self._handshaking:
                raise
            raise self._gate.failed(error) from error

    def read_response(self, *args: Any, **options: Any) -> Any:
        """The next reply."""
        try:
            return super().read_response(*args, **options)
        except redis.ResponseError as error:
            if not self._handshaking:
                self._gate.heard(error)
            raise
        except CALLERS_OWN:
            raise
        except Exception as error:
            if self._handshaking:
                raise
            self.disconnect()
            raise self._gate.failed(error) from error

    def can_read(self, timeout: float = 0) -> bool:
        """Whether something is there to be read, the end of the stream included."""
        try:
            return bool(super().can_read(timeout))
        except CALLERS_OWN:
            raise
        except Exception as error:
            raise self._gate.failed(error) from error

    def disconnect(self, *args: Any, **options: Any) -> None:
        """Close the socket, but never while the gate is shutting it down."""

        def close() -> None:
            super(GatedConnection, self).disconnect(*args, **options)  # type: ignore[no-untyped-call] # as above

        if self._sock is None:
            close()
        else:
            self._gate.release(self._sock, close)

    def _connect(self) -> socket.socket:
        ticket = self._gate.ticket(self.socket_connect_timeout)
        raw = open_blocking(ticket.address, self.socket_connect_timeout)
        self._gate.adopt(raw, ticket)
        return self._prepared(raw, ticket)

    def _prepared(self, raw: socket.socket, ticket: Ticket) -> socket.socket:  # noqa: ARG002 - TLS needs it
        raw.settimeout(self.socket_timeout)
        return raw


class GatedTcpConnection(GatedConnection, Connection):
    """Over TCP."""


class GatedUnixConnection(GatedConnection, UnixDomainSocketConnection):
    """Over a unix socket."""


class GatedTlsConnection(GatedConnection, SSLConnection):
    """Over TLS."""

    def _prepared(self, raw: socket.socket, ticket: Ticket) -> socket.socket:
        # The handshake happens on a socket of the library's making. Until it is done the plain one stands for it, as a
        # second handle of the same stream, so that a loss of the link frees the handshake as well.
        guard = raw.dup()
        self._gate.release(raw, lambda: None)
        self._gate.adopt(guard, ticket)
        try:
            wrapped: socket.socket = self._wrap_socket_with_ssl(raw)  # type: ignore[no-untyped-call] # as above
        except BaseException as error:
            close_half_made(error)
            raw.close()
            raise
        finally:
            self._gate.release(guard, guard.close)
        self._gate.adopt(wrapped, ticket)
        wrapped.settimeout(self.socket_timeout)
        return wrapped


CONNECTIONS: Final[Mapping[Kind, Any]] = {
    "tcp": GatedTcpConnection,
    "tls": GatedTlsConnection,
    "unix": GatedUnixConnection,
}
