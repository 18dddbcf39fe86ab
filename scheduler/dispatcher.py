"""The dispatch rounds: hand out what is due as soon as Redis is there, and rest after a refusal."""

from collections.abc import Callable
from typing import Final, Protocol

import redis
from loguru import logger

from shared.core.errors import RedisUnavailableError
from shared.ledger.dispatch import Dispatched
from shared.observability import events
from shared.observability.metrics import UNEXPECTED_ERRORS

# A refusal that is not a loss (a command not permitted, a full queue) will not pass within milliseconds.
REST_S: Final = 2.0


class Dispatching(Protocol):
    """What sends."""

    def tick(self) -> Dispatched:
        """Send what is due. Raises redis.RedisError and DatabaseUnavailableError."""
        ...


class Dispatcher:
    """One thread calls `turn`, about every half second and whenever something may have become due."""

    def __init__(self, dispatching: Dispatching, *, clock: Callable[[], float]) -> None:
        self._dispatching = dispatching
        self._clock = clock
        self._rest_until_s = clock()
        self._told: str | None = None

    def connected(self) -> None:
        """Redis is there again: no rest is due any more."""
        self._rest_until_s = self._clock()

    def turn(self) -> None:
        """Send what is due. Raises DatabaseUnavailableError."""
        if self._clock() < self._rest_until_s:
            return
        try:
            dispatched = self._dispatching.tick()
        except RedisUnavailableError:
            # The link tells of it, and calls when it is back.
            UNEXPECTED_ERRORS.labels(where="dispatch_redis_lost").inc()
            return
        except redis.RedisError as error:
            UNEXPECTED_ERRORS.labels(where="dispatch_redis").inc()
            self._refused(f"{type(error).__name__}: {error}")
            return
        if dispatched.sent:
            logger.bind(event=events.DISPATCH_SENT, runs=len(dispatched.sent)).debug("Runs dispatched")
        if dispatched.put_back or dispatched.uncertain:
            self._refused(dispatched.problem or "unknown")
        elif dispatched.sent:
            self._told = None

    def _refused(self, problem: str) -> None:
        self._rest_until_s = self._clock() + REST_S
        if problem != self._told:
            self._told = problem
            bound = logger.bind(event=events.DISPATCH_PUT_BACK, problem=problem)
            bound.warning("Runs could not be handed to Redis, they are kept and tried again")
