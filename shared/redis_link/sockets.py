"""Sockets of the supervisor: every wait has one deadline for the whole, and ends when the link is closed."""

import errno
import os
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import redis
from redis._defaults import get_default_socket_keepalive_options

from shared.redis_link.resolver import Address
from shared.redis_link.waker import READABLE, WRITABLE, Waker

# While an address is left to try, one that stays silent gets its share of the time, but not less than this.
SHARE_MIN_S: Final = 0.25
# The answers to one step of the supervisor's (an attempt, a beat) take a few kilobytes. A port that sends without end
# would otherwise keep it reading for good, past every deadline, and fill the memory.
ANSWER_MAX_BYTES: Final = 1_048_576
CONNECTING: Final = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})
WANTS_READ: Final = (BlockingIOError, ssl.SSLWantReadError)
WANTS_WRITE: Final = (ssl.SSLWantWriteError,)
KEEPALIVE: Final = tuple(get_default_socket_keepalive_options().items())


class StoppedError(Exception):
    """The link is being closed: leave whatever is under way."""


class Patience:
    """How much the supervisor bears right now: a deadline and a number of bytes, set by `set`, and the wish to stop."""

    def __init__(self, waker: Waker) -> None:
        self._waker = waker
        self.until_s = 0.0
        self.stopped = False
        self._left_bytes = ANSWER_MAX_BYTES

    def set(self, span_s: float) -> None:
        """All waits from now on end within `span_s`, together, and all answers have `ANSWER_MAX_BYTES` at most."""
        self.until_s = time.monotonic() + span_s
        self._left_bytes = ANSWER_MAX_BYTES

    def take(self, count: int) -> None:
        """Note that `count` bytes came. Raises InvalidResponse when they are more than any answer of a Redis has."""
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise redis.InvalidResponse(f"the answer has more than {ANSWER_MAX_BYTES} bytes")

    def pause(self) -> None:
        """Return when the waker is called; raise TimeoutError at the deadline, StoppedError on close."""
        ready = self._waker.wait(self.until_s)
        if self.stopped:
            raise StoppedError
        if not ready.woken and time.monotonic() >= self.until_s:
            raise TimeoutError("timed out")

    def wait(self, descriptor: int, events: int) -> None:
        """Return when `descriptor` is ready; raise TimeoutError at the deadline, StoppedError on close."""
        while True:
            ready = self._waker.wait(self.until_s, descriptor, events)
            if self.stopped:
                raise StoppedError
            if ready.socket:
                return
            if time.monotonic() >= self.until_s:
                raise TimeoutError("timed out")


class PatientSocket:
    """What redis-py needs of a socket, on top of a non-blocking one: reads and writes wait as `patience` allows."""

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        sock.setblocking(False)
        self.raw = sock
        self._patience = patience
        self._blocking = True

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self.raw.fileno()

    def settimeout(self, timeout_s: float | None) -> None:
        """redis-py sets 0 to look without waiting; any other value leaves the deadline to `patience`."""
        self._blocking = timeout_s != 0

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes, b"" at the end of the stream."""
        while True:
            try:
                data = self.raw.recv(size)
            except WANTS_READ:
                self._wait(READABLE)
            except WANTS_WRITE:
                self._wait(WRITABLE)
            else:
                self._patience.take(len(data))
                return data

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """As `recv`, for hiredis."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Send all of `data`."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.raw.send(view) :]
            except WANTS_WRITE:
                self._wait(WRITABLE)
            except ssl.SSLWantReadError:
                self._wait(READABLE)
            except BlockingIOError:
                self._wait(WRITABLE)

    def shutdown(self, how: int) -> None:
        """As a socket's."""
        self.raw.shutdown(how)

    def close(self) -> None:
        """As a socket's."""
        self.raw.close()

    def _wait(self, events: int) -> None:
        if not self._blocking:
            raise BlockingIOError(errno.EWOULDBLOCK, "nothing to read")
        self._patience.wait(self.raw.fileno(), events)


@dataclass(frozen=True, slots=True)
class Opened:
    """A connected, non-blocking socket, and where it went."""

    sock: socket.socket
    address: Address


def open_any(addresses: Sequence[Address], patience: Patience) -> Opened:
    """Connect to the first of `addresses` that accepts, all within the patience there is. Raises OSError."""
    failure: OSError = OSError(errno.EADDRNOTAVAIL, "the name resolves to no address")
    whole_until_s = patience.until_s
    for position, address in enumerate(addresses):
        left_s = whole_until_s - time.monotonic()
        share_s = left_s / (len(addresses) - position)
        patience.set(min(left_s, max(share_s, SHARE_MIN_S)))
        try:
            return Opened(_open(address, patience), address)
        except OSError as error:
            failure = error
        finally:
            patience.until_s = whole_until_s
    raise failure


def open_blocking(address: Address, timeout_s: float | None) -> socket.socket:
    """Connect to one address, for a thread of a caller's."""
    sock = _socket(address)
    try:
        sock.settimeout(timeout_s)
        sock.connect(address[1])
        _check_other_end(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def shut_down(sock: socket.socket) -> None:
    """Free every thread that waits on `sock`; it stays open for its owner to close."""
    try:
        # Not SSLSocket's own: that forgets the encryption first, and an owner about to write would write in clear.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError as error:
        if error.errno not in {errno.ENOTCONN, errno.EBADF, errno.EINVAL}:
            raise


def close_half_made(error: BaseException) -> None:
    """Close what wrapping a socket for TLS left open when it failed with `error`.

    The library forgets its new socket, to which the descriptor belongs by then, when the stream is reset in the moment
    before the handshake; only the error's own frames still know it.
    """
    trace = error.__traceback__
    while trace is not None:
        made = trace.tb_frame.f_locals.get("self")
        if isinstance(made, ssl.SSLSocket):
            made.close()
        trace = trace.tb_next


def _open(address: Address, patience: Patience) -> socket.socket:
    sock = _socket(address)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(address[1])
        if code == errno.EAGAIN and address[0] == socket.AF_UNIX:
            raise TimeoutError("the server does not accept")  # noqa: TRY301 - closed below
        if code in CONNECTING:
            patience.wait(sock.fileno(), WRITABLE)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - closed below
        _check_other_end(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_other_end(sock: socket.socket) -> None:
    # Connecting to a port of this host's ephemeral range where nothing listens may, by chance, be given that very port
    # to connect from, and then connects to itself: a "server" that echoes, and keeps the real one from its port.
    if sock.family != socket.AF_UNIX and sock.getsockname() == sock.getpeername():
        raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def _socket(address: Address) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    if address[0] != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock
