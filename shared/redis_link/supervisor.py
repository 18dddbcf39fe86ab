"""The one thread that connects, beats and changes the link's state. It waits only where it can be woken."""

import random
import threading
import time
from typing import Final

from loguru import logger

from shared.core.classify import Failure, failure_of
from shared.core.codes import Code, Wake
from shared.core.errors import RedisUnavailableError
from shared.observability import events, metrics
from shared.redis_link.config import LinkConfig
from shared.redis_link.dialer import Dialer, DialError
from shared.redis_link.gate import Gate
from shared.redis_link.lookout import PIECE_S, RETRY_INTERVAL_S, Lookout
from shared.redis_link.registrar import Registrar
from shared.redis_link.session import Session
from shared.redis_link.sockets import StoppedError
from shared.redis_link.waker import Waker

# Every how many beats the small write takes the place of PING: a refusal is told within 3 s of beats each 0.5 s.
WRITE_EVERY: Final = 5
# A caller's trouble is looked into at once, but a thousand callers' trouble not a thousand times.
URGENT_GAP_S: Final = 0.05
# A full pool, or a server without room for more clients, counts as amiss for this long after it was last met.
LIMIT_HOLDS_S: Final = 1.0


class Supervisor:
    """Supervises one term of the link, from `start` to `stop`."""

    def __init__(self, registrar: Registrar, gate: Gate, *, dialer: Dialer, waker: Waker, config: LinkConfig) -> None:
        self.pulse_s = time.monotonic()
        self._registrar = registrar
        self._gate = gate
        self._dialer = dialer
        self._waker = waker
        self._config = config
        self._term = 0
        self._session: Session | None = None
        self._lookout = Lookout(dialer, waker, interval_s=config.wake_interval_s, pulse=self._pulse)
        self._limit: Failure | None = None
        self._suspected = False
        self._denied: Failure | None = None
        self._thread = threading.Thread(target=self._run, name="redis-link", daemon=True)

    def start(self, term: int) -> None:
        """Begin."""
        self._term = term
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Leave whatever is under way. Returns when the thread has ended, or after `timeout_s`."""
        self._dialer.patience.stopped = True
        self._waker.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    def suspect(self) -> None:
        """Beat now. Called on callers' threads."""
        if not self._suspected:
            self._suspected = True
            self._waker.wake()

    def deny(self, failure: Failure) -> None:
        """A caller's new connection was refused: find out with one of our own. Called on callers' threads."""
        self._denied = failure
        self._waker.wake()

    def abandon(self) -> None:
        """In a forked child, where the thread does not exist: let go of the parent's sockets, which stay open there."""
        self._let_go()

    def _run(self) -> None:
        try:
            while True:
                self._round()
        except StoppedError:
            pass
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._lookout.hold(None)
        if self._session is not None:
            self._session.close()
        self._waker.close()

    def _round(self) -> None:
        try:
            if self._session is None:
                self._seek()
            else:
                self._keep(self._session)
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - the thread must outlive a mistake of ours: counted and told
            metrics.UNEXPECTED_ERRORS.labels(where="redis_link").inc()
            logger.bind(event=events.UNEXPECTED_ERROR, where="redis_link").opt(exception=error).error(
                "Redis: The supervisor met an error of its own and goes on"
            )
            if self._session is not None:
                self._lose(self._session, failure_of(error))
            self._lookout.pause(time.monotonic() + RETRY_INTERVAL_S)

    # Connected: beats.

    def _keep(self, session: Session) -> None:
        """Beat until the session is lost."""
        beats, beat_at_s, beaten_at_s = 0, time.monotonic() + self._config.beat_interval_s, 0.0
        try:
            while True:
                self._pulse()
                now_s = time.monotonic()
                if self._suspected:
                    beat_at_s = min(beat_at_s, max(now_s, beaten_at_s + URGENT_GAP_S))
                if now_s < beat_at_s:
                    self._idle(session, beat_at_s)
                    continue
                beats += 1
                urgent, self._suspected = self._suspected, False
                self._beat(session, write=urgent or beats % WRITE_EVERY == 0 or self._limit is not None)
                beaten_at_s = time.monotonic()
                beat_at_s = max(now_s + self._config.beat_interval_s, beaten_at_s)
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - classified: whatever ends a beat ends the session
            self._lose(session, failure_of(error))

    def _idle(self, session: Session, until_s: float) -> None:
        ready = self._waker.wait(min(until_s, time.monotonic() + PIECE_S), session.fileno())
        self._lookout.check_stopped()
        if (denied := self._denied) is not None:
            raise RedisUnavailableError(summary=denied.summary, code=str(denied.code))
        if ready.socket:
            session.look()

    def _beat(self, session: Session, *, write: bool) -> None:
        self._dialer.patience.set(self._config.beat_timeout_s)
        limit = session.write(self._dialer.beat_key) if write else session.ping()
        if write or limit is not None:
            self._limit = limit
        if not self._suspected:
            self._gate.trust()
        self._registrar.beaten(self._term, amiss=self._limit or self._gate_limit(), response_ms=session.response_ms)

    def _gate_limit(self) -> Failure | None:
        limit = self._gate.limit
        return limit.failure if limit and time.monotonic() - limit.at_s < LIMIT_HOLDS_S else None

    def _lose(self, session: Session, failure: Failure) -> None:
        self._session, self._denied, self._suspected = None, None, False
        self._registrar.lost(self._term, failure)
        if failure.wake is Wake.AWAIT:
            # Old enough for the attempt that follows to open a connection of its own.
            session.opened_at_s = float("-inf")
            self._lookout.hold(session)
        else:
            session.close()

    # Not connected: attempts, and looks in between.

    def _seek(self) -> None:
        """Wait for the next attempt, or for a reason to make one sooner, and make it."""
        scheduled, opened = self._lookout.wait(self._registrar.memory)
        self._pulse()
        if scheduled and self._lookout.still_silent(self._registrar.memory):
            self._failed(Failure(Code.TIMEOUT), scheduled=True)
            return
        known = self._registrar.memory.causes
        try:
            session, limit = self._dialer.dial(opened)
        except DialError as error:
            self._lookout.failed(error.failure, error.session)
            # A connection that is closed costs nothing to try again, and the loss before it closed one as well: that it
            # is known says nothing of what speaks there now.
            told = error.failure.code in known and error.failure.code is not Code.CONNECTION_CLOSED
            doubtful = scheduled and not told
            self._failed(self._dialer.second_opinion(error.failure) if doubtful else error.failure, scheduled=scheduled)
        else:
            self._lookout.hold(None)
            self._limit = limit
            self._connect(session)

    def _connect(self, session: Session) -> None:
        # Before callers are let in: what they meet from then on must not be forgotten.
        self._gate.limit = None
        if not self._registrar.connected(self._term, session):
            session.close()
            raise StoppedError
        self._session = session
        if self._limit is not None:
            self._suspected = True

    def _failed(self, failure: Failure, *, scheduled: bool) -> None:
        chance = random.random()  # noqa: S311 - spreads attempts, guards nothing
        self._registrar.attempt_failed(self._term, failure, scheduled=scheduled, chance=chance)

    def _pulse(self) -> None:
        self.pulse_s = time.monotonic()
