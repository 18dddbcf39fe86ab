"""The sign of life of a thread that must never stop, for liveness probes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pulse:
    """The thread calls `beat` at every turn; a probe asks `age_s`. No locks: each side touches one value."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beat_at_s = clock()
        self._outside = False

    def beat(self) -> None:
        """Note that the thread takes a turn."""
        self._beat_at_s = self._clock()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Around a call of Redis, the database or a provider: however long it takes, the thread is not to blame."""
        self._outside = True
        try:
            yield
        finally:
            self.beat()
            self._outside = False

    def age_s(self) -> float:
        """Seconds since the last turn, 0 while the thread waits outside."""
        return 0.0 if self._outside else self._clock() - self._beat_at_s
