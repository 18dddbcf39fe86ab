"""How the transactions of this process get on: what a ping, which reads a little and waits for nobody, cannot tell."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

# A deadlock or a moment of contention is no trouble: what goes wrong for so long is.
TROUBLE_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Failing:
    """Writes have failed, and none has succeeded since. Monotonic seconds."""

    since_s: float
    summary: str


class Progress:
    """Notes what transactions do. All methods may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[object, float] = {}
        self._failing: Failing | None = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The block may have to wait for others."""
        token = object()
        with self._lock:
            self._waiting[token] = self._clock()
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[token]

    def longest_wait_s(self) -> float:
        """For how long the oldest such block has lasted, 0 when there is none."""
        with self._lock:
            return max((self._clock() - since_s for since_s in self._waiting.values()), default=0.0)

    def write_failed(self, summary: str) -> None:
        """A write found the database unable to take it."""
        with self._lock:
            since_s = self._failing.since_s if self._failing else self._clock()
            self._failing = Failing(since_s, summary)

    def write_succeeded(self) -> None:
        """A write was committed."""
        with self._lock:
            self._failing = None

    def failing(self) -> str | None:
        """Why writes fail; None when the last one succeeded, or failed only just now."""
        found = self._failing
        return found.summary if found and self._clock() - found.since_s >= TROUBLE_AFTER_S else None
