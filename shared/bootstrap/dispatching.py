"""Sending hints through the Redis that is ours: dispatch behind the marker key, and again when Redis lost its memory.

The marker (`<namespace>:ledger`) holds the id of the ledger whose hints a Redis carries. Missing, it tells that this
Redis knows nothing of what was sent; holding another id, that the Redis is another installation's.
"""

import threading
from collections.abc import Collection
from concurrent.futures import Future
from typing import Final, Protocol
from uuid import UUID

import redis
from loguru import logger

from shared.core.connection import StateChange
from shared.core.errors import DatabaseUnavailableError
from shared.core.health import RedisHealth
from shared.ledger.database import Database
from shared.ledger.dispatch import Dispatched, Sender, dispatch_due, resend_queued
from shared.ledger.meta import ledger_id, remember_redis_run_id, remembered_redis_run_id
from shared.observability import events, failpoints
from shared.observability.failpoints import Point
from shared.observability.metrics import DISPATCHED, UNEXPECTED_ERRORS

NOT_CONNECTED: Final = Dispatched(problem="Redis is not connected")
REFUSING: Final = Dispatched(problem="Redis refuses writes")
FOREIGN: Final = Dispatched(problem="This Redis belongs to another installation")
LATE: Final = Dispatched(problem="Redis or the database did not answer in time")
BUSY: Final = Dispatched(problem="Too many calls are waiting for Redis or the database")
# Calls with a deadline that may be under way at once: each keeps a thread until Redis or the database answers.
CALLS: Final = 4


class Link(Protocol):
    """What dispatching needs of the Redis link."""

    @property
    def client(self) -> redis.Redis:
        """Valid for life; raises RedisUnavailableError while not connected."""
        ...

    def is_available(self) -> bool:
        """Whether the link is connected, without I/O."""
        ...

    def health(self) -> RedisHealth:
        """Its facts, without I/O."""
        ...


class Dispatch:
    """Sends what is due. Any number of these, in any number of processes, may work on one ledger.

    `tick` does everything and is called again and again, by one thread; `due` sends what somebody waits for.
    """

    def __init__(  # noqa: PLR0917 - what it takes and where it sends it, in that order
        self, db: Database, link: Link, sender: Sender, namespace: str, window: int
    ) -> None:
        self._db = db
        self._link = link
        self._sender = sender
        self._key = marker_key(namespace)
        self._window = window
        self._ledger: UUID | None = None
        self._foreign: str | None = None
        self._server: str | None = None
        self._marked = False
        # Set by the link's callbacks, cleared by the one thread that ticks.
        self._again = threading.Event()
        self._calls = threading.BoundedSemaphore(CALLS)

    @property
    def foreign(self) -> str | None:
        """The other installation's id while this Redis is not ours."""
        return self._foreign

    def changed(self, change: StateChange) -> None:
        """To be called at each change of the link's state: after a loss all queued runs are sent again."""
        if change.previous == "connected":
            self._again.set()

    def tick(self) -> Dispatched:
        """Send what is due, and what was sent before where it may have been lost.

        Raises redis.RedisError from the marker's check, and DatabaseUnavailableError.
        """
        hindrance = self._hindrance()
        if hindrance is not None:
            return hindrance
        causes = self._losses()
        if causes:
            self._send_all_again(causes)
        else:
            self._count_resent(resend_queued(self._db, self._sender, everything=False))
        return self._count(dispatch_due(self._db, self._sender, window=self._window))

    def due(self, only: Collection[int] | None = None, deadline_s: float | None = None) -> Dispatched:
        """Send what is due, of `only` these runs.

        With `deadline_s`, return by then with what is known; trouble with Redis or the database is then a `problem`
        of the answer. Without it, raises as `tick` does.
        """
        if deadline_s is None:
            return self._due(only)
        if not self._link.is_available():
            return NOT_CONNECTED
        if not self._calls.acquire(blocking=False):
            return BUSY
        answer: Future[Dispatched] = Future()
        threading.Thread(target=self._answer, args=(answer, only), name="dispatch-call", daemon=True).start()
        try:
            return answer.result(deadline_s)
        except TimeoutError:
            return LATE

    def _answer(self, answer: "Future[Dispatched]", only: Collection[int] | None) -> None:
        try:
            answer.set_result(self._due(only))
        except (redis.RedisError, DatabaseUnavailableError) as error:
            answer.set_result(Dispatched(problem=str(error)))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits; who has gone finds it counted
            UNEXPECTED_ERRORS.labels(where="dispatch_call").inc()
            answer.set_exception(error)
        finally:
            self._calls.release()

    def _due(self, only: Collection[int] | None) -> Dispatched:
        hindrance = self._hindrance()
        if hindrance is not None:
            return hindrance
        if not self._marked:
            self._send_all_again(["marker"])
        return self._count(dispatch_due(self._db, self._sender, window=self._window, only=only))

    def _hindrance(self) -> Dispatched | None:
        """Why nothing can be sent now, None when it can. Learns whose Redis it is."""
        if not self._link.is_available():
            return NOT_CONNECTED
        if self._link.health().details.degraded is not None:
            return REFUSING
        mine = str(self._ledger or self._learn_ledger())
        found = read_marker(self._link.client, self._key)
        self._marked = found is not None
        self._tell_owner(None if found in {None, mine} else found)
        return None if self._foreign is None else FOREIGN

    def _learn_ledger(self) -> UUID:
        self._ledger = ledger_id(self._db)
        return self._ledger

    def _tell_owner(self, foreign: str | None) -> None:
        if foreign == self._foreign:
            return
        was, self._foreign = self._foreign, foreign
        if foreign is not None:
            # Said once, so it must not be among the lines that are held back in an outage.
            bound = logger.bind(event=events.DISPATCH_FOREIGN_MARKER, scope=events.SCOPE_RUN, key=self._key)
            bound.bind(found=foreign, own=str(self._ledger)).error(
                "This Redis belongs to another installation, nothing is sent through it: give this one a "
                "REDIS_NAMESPACE of its own, or run 'holdfast ledger adopt' if its database was restored or replaced"
            )
        elif was is not None:
            self._again.set()

    def _losses(self) -> list[str]:
        """Why this Redis may not hold what was sent, nothing when there is no reason to think so."""
        causes = [] if self._marked else ["marker"]
        server = self._link.health().details.server_run_id
        if server is not None and server != self._server:
            if remembered_redis_run_id(self._db) == server:
                self._server = server
            else:
                causes.append("run id")
        return [*causes, "reconnection"] if self._again.is_set() else causes

    def _send_all_again(self, causes: list[str]) -> None:
        self._again.clear()
        try:
            sent = resend_queued(self._db, self._sender, everything=True)
            self._settle()
        except Exception:
            self._again.set()
            raise
        if self._link.health().details.degraded is not None:
            # Some may not have gone out. A lost link comes back with a reconnection, one that refuses writes does not.
            self._again.set()
        self._count_resent(sent)
        if sent:
            bound = logger.bind(event=events.DISPATCH_RESENT, scope=events.SCOPE_RUN, runs=sent, causes=causes)
            bound.info("Queued runs were sent again, since Redis may have forgotten them")

    def _settle(self) -> None:
        """Mark and remember this Redis, after the sending: whoever comes after a crash in between makes it good."""
        if not self._marked:
            failpoints.reached(Point.MARKER_BEFORE)
            self._link.client.set(self._key, str(self._ledger), nx=True)
            failpoints.reached(Point.MARKER_AFTER)
        server = self._link.health().details.server_run_id
        if server is not None and server != self._server:
            remember_redis_run_id(self._db, server)
            self._server = server

    def _count_resent(self, sent: int) -> None:
        if sent:
            DISPATCHED.labels(outcome="resent").inc(sent)

    def _count(self, dispatched: Dispatched) -> Dispatched:
        for outcome in ("sent", "put_back", "uncertain"):
            runs = getattr(dispatched, outcome)
            if runs:
                DISPATCHED.labels(outcome=outcome).inc(len(runs))
        return dispatched


def marker_key(namespace: str) -> str:
    """The key that says whose Redis it is."""
    return f"{namespace}:ledger"


def read_marker(client: redis.Redis, key: str) -> str | None:
    """Whose it is; None when nobody has marked it. Raises redis.RedisError."""
    found = client.get(key)
    return None if found is None else _text(found)


def adopt(client: redis.Redis, *, namespace: str, ledger: UUID) -> str | None:
    """Make this Redis `ledger`'s, whoever's it was: the cure after a database was restored. Returns whose it was.

    Schedulers find it changed within a second, and send all queued runs. Raises redis.RedisError.
    """
    key = marker_key(namespace)
    was = read_marker(client, key)
    client.set(key, str(ledger))
    return was


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
