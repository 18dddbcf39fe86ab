"""Connections to PostgreSQL that cannot hang: every wait for the server has a limit."""

import math
import os
import select
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakSet

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event, text

CONNECT_TIMEOUT_S: Final = 5
# The server gives up a statement first, so that a slow one is told apart from a server that is gone.
STATEMENT_TIMEOUT_S: Final = 30
ANSWER_LIMIT_S: Final = 35.0
# A frozen process must not hold an account's lock for ever.
IDLE_IN_TRANSACTION_S: Final = 60
POLL_S: Final = 0.1
CANCEL_S: Final = 0.3
# SQLite's transactions are so by themselves.
ONE_STATE: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
KNOWN_AWAY: Final = "the database is known to be away"

CONNECT_ARGUMENTS: Final[dict[str, Any]] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    # A peer that vanished without a word is noticed within 10 s while sending, 45 s while idle.
    "tcp_user_timeout": 10_000,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

# Whether one of these backends has been waiting for so long for a lock that another program holds, or for ten seconds
# for one of ours: those wait for one another as a matter of course, and for longer where the processor is busy.
LOCK_WAITS: Final = text(
    "SELECT count(*) FROM pg_stat_activity AS waits WHERE waits.pid = ANY(:pids) AND waits.wait_event_type = 'Lock'"
    " AND clock_timestamp() - waits.query_start > make_interval(secs => :for_s)"
    " AND (clock_timestamp() - waits.query_start > interval '10 s' OR EXISTS ("
    "SELECT 1 FROM pg_stat_activity AS holds WHERE holds.pid = ANY(pg_blocking_pids(waits.pid))"
    " AND holds.application_name <> waits.application_name))"
)

# A number of a socket that was closed is soon another's: none is looked up while one is being closed.
_closing = threading.RLock()

# Until when, by this host's monotonic clock, the work under way may wait for the server.
_deadline_s: ContextVar[float | None] = ContextVar("deadline_s", default=None)
# Whether the work under way asks if the server is back.
_asking: ContextVar[bool] = ContextVar("asking", default=False)


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    """The block waits for the server for at most `limit_s` in all; a block around this one has the say.

    Without it every single answer is waited for, up to ANSWER_LIMIT_S.
    """
    if _deadline_s.get() is not None:
        yield
        return
    token = _deadline_s.set(time.monotonic() + limit_s)
    try:
        yield
    finally:
        _deadline_s.reset(token)


@contextmanager
def asking() -> Iterator[None]:
    """The block may connect also while the server is known to be away."""
    token = _asking.set(True)
    try:
        yield
    finally:
        _asking.reset(token)


def _limit_s() -> float:
    deadline_s = _deadline_s.get()
    return ANSWER_LIMIT_S if deadline_s is None else max(deadline_s - time.monotonic(), 0)


class BoundedConnection(psycopg.Connection[Any]):
    """Gives up, and closes itself, when the server does not answer in time.

    A stopped server's kernel acknowledges every packet, so nothing in TCP would ever end the wait.
    """

    def wait(self, gen: PQGen[RV], interval: float = POLL_S, timeout: float | None = None) -> RV:
        """As psycopg's, with a limit. Raises psycopg.OperationalError at the limit."""
        limit_s = _limit_s() if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit_s)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            # The answer may still come, to a question nobody asks any more: the connection is of no use.
            self.close()
            raise psycopg.OperationalError(f"no answer from the database within {limit_s:.1f} s") from error

    def close(self) -> None:
        """As psycopg's."""
        with _closing:
            super().close()


class Connections:
    """Those that an engine has open."""

    def __init__(self) -> None:
        # While the server is known to be away nobody connects but who asks whether it is back.
        self.barred = False
        self._known: WeakSet[BoundedConnection] = WeakSet()
        self._lock = threading.Lock()

    def add(self, connection: BoundedConnection) -> None:
        """Know one that was just opened."""
        with self._lock:
            self._known.add(connection)

    def cut(self, but: Collection[Any]) -> None:
        """Shut down the sockets of all `but` these: whoever waits on one is freed, and closes it."""
        with self._lock:
            known = list(self._known)
        for connection in known:
            if connection not in but:
                _shut_down(connection)

    def backend_pids(self) -> list[int]:
        """The processes that serve them."""
        with self._lock:
            return [one.pgconn.backend_pid for one in self._known if not one.closed]


def _shut_down(connection: BoundedConnection) -> None:
    with (
        _closing,
        suppress(psycopg.Error, OSError),  # closed already
        socket.socket(fileno=os.dup(connection.fileno())) as twin,
    ):
        twin.shutdown(socket.SHUT_RDWR)


def closed_by_server(connection: BoundedConnection, within_s: float) -> bool:
    """Whether anything comes on a connection that asks for nothing: its end, then. Waits up to `within_s` for it."""
    readable, _, _ = select.select([connection], [], [], within_s)
    return bool(readable)


def prepare(engine: Engine) -> Connections:
    """Have `engine` open bounded connections with the ledger's session settings."""
    connections = Connections()

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> BoundedConnection:
        if connections.barred and not _asking.get():
            raise psycopg.OperationalError(KNOWN_AWAY)
        limit_s = _limit_s()
        if limit_s <= 0:
            raise psycopg.OperationalError("no time left to connect to the database")
        timeout_s = min(int(options["connect_timeout"]), math.ceil(limit_s))
        connection = BoundedConnection.connect(*arguments, **{**options, "connect_timeout": timeout_s})
        connections.add(connection)
        return connection

    @event.listens_for(engine, "connect")
    def set_session(connection: BoundedConnection, _record: Any) -> None:
        # Not as start-up options: connection poolers refuse those they do not know.
        connection.autocommit = True
        connection.execute(
            "SELECT set_config('TimeZone', 'UTC', false), set_config('statement_timeout', %s, false),"
            " set_config('idle_in_transaction_session_timeout', %s, false)",
            (f"{STATEMENT_TIMEOUT_S}s", f"{IDLE_IN_TRANSACTION_S}s"),
        )
        connection.autocommit = False

    return connections


def interrupt(connection: psycopg.Connection[Any]) -> None:
    """Have the statement that another thread runs on `connection` fail, if there is one and the server answers."""
    with suppress(psycopg.Error):  # closed meanwhile, or the server is away
        connection.cancel_safe(timeout=CANCEL_S)
