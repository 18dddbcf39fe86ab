"""Keeps what the link remembers, opens and closes the gate, and tells everyone of every change."""

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import redis
from loguru import logger

from shared.core import connection
from shared.core.classify import Failure
from shared.core.codes import Code
from shared.core.connection import Instant, LinkState, Memory, Policy, Step
from shared.core.connection_lines import Line, Said
from shared.observability import events, metrics
from shared.redis_link.gate import Gate
from shared.redis_link.notify import Notifier
from shared.redis_link.session import ServerFacts, Session

EVENTS: Final[Mapping[Said, str]] = MappingProxyType(
    {
        Said.INITIALIZING: events.REDIS_INITIALIZING,
        Said.INITIATED: events.REDIS_INITIATED,
        Said.ATTEMPT_FAILED: events.REDIS_ATTEMPT_FAILED,
        Said.BUDGET_SPENT: events.REDIS_BUDGET_SPENT,
        Said.READY: events.REDIS_READY,
        Said.CONNECTED: events.REDIS_CONNECTED,
        Said.LOST: events.REDIS_LOST,
        Said.RECONNECTING: events.REDIS_RECONNECTING,
        Said.REFUSED: events.REDIS_REFUSED,
        Said.CAUSE: events.REDIS_CAUSE_CHANGED,
        Said.UNSTABLE: events.REDIS_UNSTABLE,
        Said.STABLE: events.REDIS_STABLE,
        Said.DEGRADED: events.REDIS_DEGRADED,
        Said.RESTORED: events.REDIS_RESTORED,
        Said.CLOSED: events.REDIS_CLOSED,
    }
)


def instant() -> Instant:
    """Now."""
    return Instant(time.monotonic(), datetime.now(UTC))


class Registrar:
    """All state of one link. Readers take attributes, each a frozen value, without a lock; writers are few.

    A writer names the `term` it was started for: what a supervisor of a closed link still finds out is ignored.
    """

    def __init__(self, policy: Policy, *, url_shown: str, notifier: Notifier) -> None:
        self.policy = policy
        self.memory = Memory()
        self.facts = ServerFacts()
        self.response_ms: float | None = None
        self.term = 0
        self._url_shown = url_shown
        self._notifier = notifier
        self._changed = threading.Condition()
        self._gate: Gate | None = None
        self._client: redis.Redis | None = None

    def attach(self, gate: Gate, client: redis.Redis) -> None:
        """The gate to open and close, and the client to hand out while it is open."""
        self._gate, self._client = gate, client

    @property
    def open_client(self) -> redis.Redis | None:
        """The client while connected: read off the state, so that the two can never be seen to differ."""
        return self._client if self.memory.state is LinkState.CONNECTED else None

    def begin(self) -> int:
        """A link is started; returns its term."""
        now = instant()
        with self._changed:
            self.term += 1
            step = self._take(connection.start(self.memory, now))
        self._tell(step)
        return self.term

    def end(self) -> None:
        """The link is closed."""
        with self._changed:
            self.term += 1
            step = self._take(connection.close(self.memory, instant()))
            self._shut()
        self._tell(step)

    def connected(self, term: int, session: Session) -> bool:
        """An attempt succeeded: open the gate. False when nobody wants the link any more."""
        metrics.REDIS_ATTEMPTS.labels(outcome="succeeded").inc()
        with self._changed:
            if term != self.term:
                return False
            # Open before it is told: whoever hears of the connection may use it.
            self.facts = session.facts
            self.response_ms = session.response_ms
            if self._gate is not None:
                self._gate.open(session.address)
            step = self._take(connection.attempt_succeeded(self.policy, self.memory, instant()))
        self._tell(step)
        return True

    def attempt_failed(self, term: int, failure: Failure, *, scheduled: bool, chance: float) -> None:
        """An attempt failed."""
        metrics.REDIS_ATTEMPTS.labels(outcome="failed").inc()
        now = instant()
        if scheduled:
            step = connection.attempt_failed(self.policy, self.memory, now, failure=failure, chance=chance)
        else:
            step = connection.extra_attempt_failed(self.policy, self.memory, now, failure=failure)
        self._commit(term, step)

    def lost(self, term: int, failure: Failure) -> None:
        """The connection is gone: bar callers and free those that wait, before anything is told."""
        with self._changed:
            if term != self.term:
                return
            # The cause first: it is what those who are freed get to hear.
            step = self._take(connection.lost(self.policy, self.memory, instant(), failure=failure))
            self._shut()
        self._tell(step)

    def beaten(self, term: int, *, amiss: Failure | None, response_ms: float | None) -> None:
        """A beat was answered."""
        self.response_ms = response_ms
        self._commit(term, connection.beaten(self.policy, self.memory, instant(), amiss=amiss))

    def wait(self, timeout_s: float) -> bool:
        """Whether the link got connected within `timeout_s`; returns early when it is closed."""
        with self._changed:
            self._changed.wait_for(self._settled, timeout=max(0.0, timeout_s))
            return self.memory.state is LinkState.CONNECTED

    def refusal(self) -> tuple[Failure, float | None]:
        """Why there is no connection right now, and the seconds to the next scheduled attempt."""
        memory = self.memory
        return memory.failure or Failure(_idle_code(memory)), self.retry_in_s()

    def retry_in_s(self) -> float | None:
        """Seconds to the next scheduled attempt, 0 while it is under way, None when none is scheduled."""
        due_s = self.memory.next_attempt_at_s
        return None if due_s is None else max(0.0, due_s - time.monotonic())

    def renew(self) -> None:
        """In a forked child: nothing is connected, nothing is running."""
        self._changed = threading.Condition()
        self.memory = Memory()
        self.facts = ServerFacts()
        self.response_ms = None
        self.term += 1

    def _settled(self) -> bool:
        memory = self.memory
        closed = memory.state is LinkState.DISCONNECTED and bool(memory.transitions)
        return closed or memory.state is LinkState.CONNECTED

    def _shut(self) -> None:
        self.response_ms = None
        if self._gate is not None:
            self._gate.close()

    def _commit(self, term: int, step: Step) -> None:
        with self._changed:
            if term != self.term:
                return
            self._take(step)
        self._tell(step)

    def _take(self, step: Step) -> Step:
        self.memory = step.memory
        if step.change is not None:
            self._changed.notify_all()
            self._notifier.tell(step.change)
        return step

    def _tell(self, step: Step) -> None:
        if (change := step.change) is not None:
            metrics.record_redis_state(self.memory.state)
            metrics.REDIS_TRANSITIONS.labels(
                previous=change.previous, current=change.current, reason=change.reason_code
            ).inc()
        for line in step.lines:
            self._log(line)

    def _log(self, line: Line) -> None:
        bound = logger.bind(event=EVENTS[line.said], url=self._url_shown, **line.facts)
        bound.log(line.level.upper(), line.text)


def _idle_code(memory: Memory) -> Code:
    if memory.state is LinkState.DISCONNECTED:
        return Code.CLOSED if memory.transitions else Code.NOT_STARTED
    return Code.STARTING
