"""An attempt to connect: resolve, connect, authenticate, PING, and the small write, with a deadline for each half."""

import contextlib
import socket
import ssl
from typing import Any, Final

from shared.core.classify import Failure, failure_of
from shared.core.codes import Code, Wake
from shared.redis_link.client import connection_options
from shared.redis_link.config import LinkConfig
from shared.redis_link.endpoint import Endpoint
from shared.redis_link.resolver import Address, Resolver
from shared.redis_link.session import Session
from shared.redis_link.sockets import Opened, Patience, PatientSocket, StoppedError, open_any
from shared.redis_link.waker import Waker

# How long a look between the attempts may take, and a second opinion on what speaks there.
LOOK_S: Final = 1.0
PLAIN_GREETINGS: Final = (b"+PONG", b"-ERR", b"-NOAUTH", b"-DENIED", b"-NOPERM", b"-LOADING")

# The first byte of what a TLS server answers a greeting with: an alert, or its part of the handshake.
TLS_RECORDS: Final = (b"\x15", b"\x16")


class DialError(Exception):
    """An attempt failed. `session` is the connection it left open, where awaiting an answer on it makes sense."""

    def __init__(self, failure: Failure, session: Session | None = None) -> None:
        super().__init__(failure.code)
        self.failure = failure
        self.session = session


class Dialer:
    """Makes the supervisor's connections."""

    def __init__(self, endpoint: Endpoint, config: LinkConfig, *, name: str, waker: Waker) -> None:
        self._endpoint = endpoint
        self._config = config
        self.patience = Patience(waker)
        self.beat_key = f"{config.namespace}:beat"
        self._resolver = Resolver(endpoint, waker.wake)
        self._good: tuple[Address, ...] = ()
        self._options: dict[str, Any] = connection_options(
            endpoint,
            timeout_s=config.beat_timeout_s,
            connect_timeout_s=config.connect_timeout_s,
            name=f"{name}-beat",
        )

    def dial(self, opened: Opened | None = None) -> tuple[Session, Failure | None]:
        """A session that answers and takes writes, and what limits those. Raises DialError.

        `opened` is a connection that a look has already made.
        """
        try:
            opened = opened or self._open(self._config.connect_timeout_s)
        except OSError as error:
            raise DialError(failure_of(error, accepted=False)) from error
        session = Session(self._endpoint, opened=opened, patience=self.patience, options=self._options)
        self.patience.set(self._config.connect_timeout_s)
        try:
            session.handshake()
            session.ping()
            limit = session.write(self.beat_key)
            session.learn()
        except StoppedError:
            session.close()
            raise
        except Exception as error:
            raise self._failed(session, failure_of(error)) from error
        return session, limit

    def look(self, span_s: float = LOOK_S) -> Opened | None:
        """Whether something accepts again: one connect within `span_s`. What it opened is the caller's."""
        self._resolver.ask()
        try:
            return self._open(span_s, wait_for_name=False)
        except OSError:
            return None

    def leads_away(self, address: Address) -> bool:
        """Whether the name has other addresses than this one by now. Asks at most once a second, waits for nothing."""
        self._resolver.ask()
        answer = self._resolver.latest()
        return isinstance(answer, tuple) and address not in answer

    def second_opinion(self, failure: Failure) -> Failure:
        """What a silent or closing port speaks: the wrong kind of URL looks like an outage otherwise."""
        suspicious = {"tcp": Code.CONNECTION_CLOSED, "tls": Code.TIMEOUT, "unix": None}[self._endpoint.kind]
        if failure.code is not suspicious:
            return failure
        self.patience.set(LOOK_S)
        try:
            with open_any(self._good, self.patience).sock as raw:
                wrong = self._greets_plainly(raw) if self._endpoint.kind == "tls" else self._shakes_hands(raw)
        except OSError:
            return failure
        return Failure(Code.TLS, failure.detail) if wrong else failure

    def _failed(self, session: Session, failure: Failure) -> DialError:
        if failure.wake is Wake.AWAIT:
            return DialError(failure, session)
        session.close()
        return DialError(failure)

    def _open(self, span_s: float, *, wait_for_name: bool = True) -> Opened:
        self.patience.set(span_s)
        addresses = self._addresses(wait_for_name=wait_for_name)
        self.patience.set(span_s)
        opened = open_any(addresses, self.patience)
        self._good = addresses
        return opened

    def _addresses(self, *, wait_for_name: bool) -> tuple[Address, ...]:
        self._resolver.ask()
        while wait_for_name and self._resolver.busy and self._patient():
            pass
        answer = self._resolver.latest()
        if isinstance(answer, OSError):
            raise answer
        if answer is None or (self._resolver.busy and wait_for_name):
            return self._good or self._unresolved()
        return answer

    def _unresolved(self) -> tuple[Address, ...]:
        raise socket.gaierror(socket.EAI_AGAIN, f"{self._endpoint.host} did not resolve in time")

    def _patient(self) -> bool:
        """Wait for the resolver; False at the deadline."""
        try:
            self.patience.pause()
        except TimeoutError:
            return False
        return True

    def _greets_plainly(self, raw: socket.socket) -> bool:
        patient = PatientSocket(raw, self.patience)
        patient.sendall(b"PING\r\n")
        return patient.recv(64).startswith(PLAIN_GREETINGS)

    def _shakes_hands(self, raw: socket.socket) -> bool:
        patient = PatientSocket(raw, self.patience)
        patient.sendall(_client_hello())
        return patient.recv(1) in TLS_RECORDS


def _client_hello() -> bytes:
    """What a TLS client says first, to whomever."""
    said = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return said.read()
