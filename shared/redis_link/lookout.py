"""Between attempts: waits for the next one, and looks whether the cause of the last failure has gone."""

import random
import time
from collections.abc import Callable
from typing import Final

from shared.core.backoff import spread_s
from shared.core.classify import Failure, failure_of
from shared.core.codes import Code, Wake
from shared.core.connection import Memory
from shared.redis_link.dialer import LOOK_S, Dialer
from shared.redis_link.session import Session
from shared.redis_link.sockets import Opened, StoppedError
from shared.redis_link.waker import Waker

# Between two whole attempts against something that accepts and closes; a longer interval of looks counts here, too.
RETRY_INTERVAL_S: Final = 1.0
SHORT_LOOK_S: Final = 0.25
# Waits are cut into pieces, so that a supervisor that waits for the next attempt is seen to be alive.
PIECE_S: Final = 1.0
# A silent server is not sent another connection by a scheduled attempt while the last one is younger than this.
SILENT_FOR_S: Final = 10.0
SILENT_FOR_LONG_S: Final = 60.0
OUTAGE_LONG_S: Final = 600.0


class Lookout:
    """Waits and looks, on the supervisor's thread. Holds the connection that a failed attempt or a loss left open."""

    def __init__(self, dialer: Dialer, waker: Waker, *, interval_s: float, pulse: Callable[[], None]) -> None:
        self._dialer = dialer
        self._waker = waker
        self._interval_s = interval_s
        self._pulse = pulse
        self._held: Session | None = None
        # The held connection stirred: whatever it had to tell leads to the attempt that follows.
        self._answered = False

    def wait(self, memory: Memory) -> tuple[bool, Opened | None]:
        """Wait until an attempt is due; whether it is a scheduled one, and the connection a look has opened for it."""
        wake = self._wake(memory)
        due_s = memory.next_attempt_at_s or 0.0
        # Whoever sets a longer interval has many processes, which a proxy without a server would meet each second, too.
        retry_at_s = time.monotonic() + self._spread(max(RETRY_INTERVAL_S, self._interval_s))
        while True:
            look_at_s = time.monotonic() + self._spread(self._interval_s)
            if wake is Wake.RETRY:
                look_at_s = retry_at_s
            awaiting = wake in {Wake.AWAIT, Wake.CONNECT}
            self._answered = self.pause(due_s if wake is Wake.NONE else min(due_s, look_at_s), awaiting=awaiting)
            if time.monotonic() >= due_s:
                return True, None
            # On one that is kept beside looks an answer is awaited as on one that is silent.
            awaited = wake is Wake.CONNECT or _was_silent(memory)
            if wake is Wake.RETRY or (self._answered and awaited):
                return False, None
            if self._answered:
                # Nothing had been asked: it was closed after its error reply, or says more than it should. An attempt
                # each time that this is so would follow the last one at once.
                wake = Wake.RETRY
                continue
            if wake is Wake.CONNECT and (opened := self._look()) is not None:
                return False, opened
            if wake is Wake.AWAIT and (self._left_behind() or self._ready(memory, retry_at_s)):
                return False, None

    def _wake(self, memory: Memory) -> Wake:
        first = memory.failed_attempts == 0
        if first or memory.failure is None or self._interval_s == 0:
            return Wake.NONE
        if memory.failure.wake is Wake.AWAIT and self._held is None:
            return Wake.RETRY
        return memory.failure.wake

    def _left_behind(self) -> bool:
        """Whether the name leads to another server by now than the one whose answer is awaited."""
        return self._held is not None and self._dialer.leads_away(self._held.address)

    def _ready(self, memory: Memory, retry_at_s: float) -> bool:
        """Repeat on the held connection what was last refused there; whether it is not refused any more."""
        code = memory.failure.code if memory.failure else None
        if _was_silent(memory) or self._held is None:
            return False
        if code is Code.READONLY and time.monotonic() >= retry_at_s:
            return True  # the same name or address may lead to another server by now
        self._dialer.patience.set(RETRY_INTERVAL_S)
        try:
            if code is Code.READONLY:
                self._held.write(self._dialer.beat_key)
            else:
                self._held.ping()
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - another answer than before is worth an attempt, which classifies it
            return failure_of(error).code is not code
        return True

    def _look(self) -> Opened | None:
        # Beside a connection whose answer is awaited meanwhile, a look must be short.
        return self._dialer.look(LOOK_S if self._held is None else SHORT_LOOK_S)

    def failed(self, failure: Failure, session: Session | None) -> None:
        """An attempt failed and left `session` open or none; the one held before goes, unless it is all there is.

        Many processes fill the backlog of a server that hangs, and then nobody is accepted: those that have a
        connection from before hear on it that the server goes on.
        """
        if session is None and failure.code is Code.CONNECT_TIMEOUT and self._held is not None and not self._answered:
            self._held.opened_at_s = time.monotonic()
            return
        self.hold(session)

    def still_silent(self, memory: Memory) -> bool:
        """Whether the connection held is the one a scheduled attempt would only make again."""
        if self._held is None or not _was_silent(memory):
            return False
        now_s = time.monotonic()
        long = now_s - memory.began_at_s > OUTAGE_LONG_S
        return now_s - self._held.opened_at_s < (SILENT_FOR_LONG_S if long else SILENT_FOR_S)

    def hold(self, session: Session | None) -> None:
        """Keep `session` to await or repeat an answer on, in place of the one held before."""
        if self._held is not None and self._held is not session:
            self._held.close()
        self._held = session

    def pause(self, until_s: float, *, awaiting: bool = False) -> bool:
        """Wait until `until_s`; True early when the held connection that is awaited stirs."""
        descriptor = self._held.fileno() if awaiting and self._held is not None else None
        while (now_s := time.monotonic()) < until_s:
            self._pulse()
            ready = self._waker.wait(min(until_s, now_s + PIECE_S), descriptor)
            self.check_stopped()
            if ready.socket:
                return True
        self.check_stopped()
        return False

    def check_stopped(self) -> None:
        """Raise StoppedError when the link is being closed."""
        if self._dialer.patience.stopped:
            raise StoppedError

    def _spread(self, interval_s: float) -> float:
        return spread_s(interval_s, random.random())  # noqa: S311 - spreads looks, guards nothing


def _was_silent(memory: Memory) -> bool:
    return memory.failure is not None and memory.failure.code is Code.TIMEOUT
