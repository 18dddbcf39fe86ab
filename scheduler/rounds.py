"""A part of the scheduler that works in rounds on a thread of its own, and shows that it lives."""

from collections.abc import Callable
from contextlib import nullcontext

from shared.bootstrap.periodic import JOIN_S, Periodic
from shared.observability.pulse import Pulse


class Rounds:
    """Calls `work` every `interval_s` (well below the time after which a probe calls it stuck), and when hurried.

    `work` may raise: the next round does better. With `outside` it asks Redis and the database, and a round that waits
    for them, however long, is no sign of a stuck thread.
    """

    def __init__(self, work: Callable[[], object], *, name: str, interval_s: float, outside: bool = True) -> None:
        self.name = name
        self.pulse = Pulse()
        self._work = work
        self._outside = outside
        self._periodic = Periodic(self._round, name=name, interval_s=interval_s)

    def start(self) -> None:
        """Begin with a round now."""
        self._periodic.start()

    def hurry(self) -> None:
        """Begin the next round now. Never blocks."""
        self._periodic.hurry()

    def end(self) -> None:
        """Begin no further round, without waiting for one under way."""
        self._periodic.end()

    def stop(self, timeout_s: float = JOIN_S) -> None:
        """The same, and wait shortly for a round under way. Safe to call twice, and before `start`."""
        self._periodic.stop(timeout_s)

    def _round(self) -> None:
        self.pulse.beat()
        with self.pulse.outside() if self._outside else nullcontext():
            self._work()
