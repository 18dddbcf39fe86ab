"""Keeping house: old runs are forgotten step by step, and dead hints are removed from Redis."""

from collections.abc import Callable
from typing import Final, Protocol

import redis
from loguru import logger

from shared.bootstrap.dispatching import marker_key, read_marker
from shared.core.errors import RedisUnavailableError
from shared.ledger.database import Database
from shared.ledger.meta import ledger_id
from shared.ledger.retention import Forgotten
from shared.messaging.dead import remove_dead
from shared.observability import events
from shared.observability.metrics import DEAD_HINTS, FORGOTTEN_RUNS, UNEXPECTED_ERRORS
from shared.redis_link import RedisLink

RETENTION_INTERVAL_S: Final = 3600.0
DEAD_INTERVAL_S: Final = 60.0


class Retention:
    """One thread calls `turn` about every second: a step each while there are old runs, else a look every hour.

    `forget(after)` makes one step and raises DatabaseUnavailableError; the next turn repeats it.
    """

    def __init__(self, forget: Callable[[int], Forgotten], *, clock: Callable[[], float]) -> None:
        self._forget = forget
        self._clock = clock
        self._next_s = clock()
        self._after = 0
        self._so_far = Forgotten()

    def turn(self) -> None:
        """Make a step, if one is due."""
        if self._clock() < self._next_s:
            return
        step = self._forget(self._after)
        FORGOTTEN_RUNS.inc(step.runs)
        self._so_far = self._so_far.plus(step)
        if step.after is not None:
            self._after = step.after
            return
        self._tell()
        self._after, self._so_far = 0, Forgotten()
        self._next_s = self._clock() + RETENTION_INTERVAL_S

    def _tell(self) -> None:
        found = self._so_far
        if found.runs:
            bound = logger.bind(event=events.LEDGER_FORGOTTEN, scope=events.SCOPE_RUN, runs=found.runs)
            bound.bind(attempts=found.attempts, fires=found.fires, alerts=found.alerts).info(
                "Ledger: Runs that ended long ago were forgotten; their costs stay"
            )


class Redis(Protocol):
    """What is asked of Redis. Each raises redis.RedisError."""

    def is_ours(self) -> bool:
        """Whether Redis is connected and carries this ledger's mark."""
        ...

    def remove_dead(self) -> int:
        """Empty the dead-letter queue; returns how many messages were in it."""
        ...


class DeadHints:
    """One thread calls `turn` about every second; it looks once a minute."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._clock = clock
        self._next_s = clock()
        self._told: str | None = None

    def turn(self) -> None:
        """Look, if that is due. An outage is the link's to tell, and what is there is removed afterwards."""
        if self._clock() < self._next_s:
            return
        try:
            if not self._redis.is_ours():
                return
            removed = self._redis.remove_dead()
        except RedisUnavailableError:
            UNEXPECTED_ERRORS.labels(where="dead_hints_redis_lost").inc()
            return
        except redis.RedisError as error:
            self._next_s = self._clock() + DEAD_INTERVAL_S
            self._refused(f"{type(error).__name__}: {error}")
            return
        self._next_s = self._clock() + DEAD_INTERVAL_S
        self._told = None
        if removed:
            DEAD_HINTS.inc(removed)
            bound = logger.bind(event=events.DEAD_HINTS_REMOVED, scope=events.SCOPE_RUN, hints=removed)
            bound.warning("Hints that no worker could read were removed from Redis; their runs are in the ledger")

    def _refused(self, problem: str) -> None:
        UNEXPECTED_ERRORS.labels(where="dead_hints_redis").inc()
        if problem != self._told:
            self._told = problem
            bound = logger.bind(event=events.DEAD_HINTS_KEPT, problem=problem)
            bound.warning("Dead hints could not be removed from Redis; tried again every minute")


class OurRedis:
    """The Redis of this installation, as far as its marker says that it is."""

    def __init__(self, db: Database, link: RedisLink, *, namespace: str) -> None:
        self._db = db
        self._link = link
        self._namespace = namespace

    def is_ours(self) -> bool:
        """Whether Redis is connected, takes writes and carries this ledger's mark.

        Raises redis.RedisError, DatabaseUnavailableError.
        """
        if not self._link.is_available() or self._link.health().details.degraded is not None:
            return False
        return read_marker(self._link.client, marker_key(self._namespace)) == str(ledger_id(self._db))

    def remove_dead(self) -> int:
        """Empty the dead-letter queue; returns how many messages were in it."""
        return remove_dead(self._link, namespace=self._namespace)
