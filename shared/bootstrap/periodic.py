"""A function called again and again on a thread of its own, whatever it raises."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from loguru import logger

from shared.core.errors import DatabaseUnavailableError
from shared.observability import events
from shared.observability.metrics import UNEXPECTED_ERRORS

JOIN_S: Final = 0.5
# An error that stays is told again after this long, not at every turn.
REPEAT_S: Final = 600.0


class Stoppable(Protocol):
    """What `stop_all` ends."""

    def end(self) -> None:
        """Begin nothing more. Never blocks."""
        ...

    def stop(self, timeout_s: float) -> None:
        """The same, and wait so long for what is under way."""
        ...


def stop_all(parts: Iterable[Stoppable], timeout_s: float = JOIN_S) -> None:
    """Stop all within `timeout_s` together: in a hang all of them are stuck, and waiting for each would add up."""
    until_s = time.monotonic() + timeout_s
    stopped = list(parts)
    for part in stopped:
        part.end()
    for part in stopped:
        part.stop(max(0.0, until_s - time.monotonic()))


class Periodic:
    """Calls `work` every `interval_s`. A database that is away is no news here: its check tells of it."""

    def __init__(
        self,
        work: Callable[[], object],
        *,
        name: str,
        interval_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._name = name
        self._interval_s = interval_s
        self._clock = clock
        self._told: tuple[str, float] | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Call for the first time now. Nothing when started or stopped before."""
        if self._thread or self._stop.is_set():
            return
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        thread.start()
        # Not before: `stop`, which may come from another thread meanwhile, could not wait for it.
        self._thread = thread

    def hurry(self) -> None:
        """Call again now instead of at the end of the interval."""
        self._wake.set()

    def end(self) -> None:
        """Call no more, without waiting for a call under way."""
        self._stop.set()
        self._wake.set()

    def stop(self, timeout_s: float = JOIN_S) -> None:
        """End; a call under way is waited for shortly, then left to end with the process."""
        self.end()
        if self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._work()
            except DatabaseUnavailableError:
                UNEXPECTED_ERRORS.labels(where=f"{self._name}_database_away").inc()
            except Exception as error:  # noqa: BLE001 - the next turn may do better; this one is counted and told
                self._tell(error)
            if not self._stop.is_set():
                self._wake.wait(self._interval_s)

    def _tell(self, error: Exception) -> None:
        UNEXPECTED_ERRORS.labels(where=self._name).inc()
        what, now_s = repr(error), self._clock()
        if self._told and self._told[0] == what and now_s - self._told[1] < REPEAT_S:
            return
        self._told = (what, now_s)
        bound = logger.bind(event=events.UNEXPECTED_ERROR, where=self._name)
        bound.opt(exception=error).error("An error was caught, the process goes on")
