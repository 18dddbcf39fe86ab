"""Ending a process: what a signal means, how long work in flight still has, and what happens when nothing helps."""

import time
from collections.abc import Callable
from enum import Enum, auto
from threading import Event
from typing import Final

# A terminal, a process manager and a group of processes may each pass on the same request.
SAME_REQUEST_S: Final = 1.0
# Until the settings are read.
DEFAULT_GRACE_S: Final = 25.0
EXIT_STOPPED: Final = 0
# Something went wrong, or a second signal cut the work in flight: the ledger takes it back.
EXIT_FAILED: Final = 1
# A mistake in the settings or the accounts file, or a taken port: the operator has to act.
EXIT_MISTAKE: Final = 2


class Meaning(Enum):
    """What a signal asks for."""

    DRAIN = auto()
    REPEATED = auto()
    AT_ONCE = auto()


def meaning_of_signal(first_at_s: float | None, now_s: float) -> Meaning:
    """What a signal at `now_s` asks for, when the first one came at `first_at_s`. Monotonic seconds."""
    if first_at_s is None:
        return Meaning.DRAIN
    return Meaning.REPEATED if now_s - first_at_s <= SAME_REQUEST_S else Meaning.AT_ONCE


class Drain:
    """Whether the process is to end, and until when its work in flight may go on. Thread-safe."""

    def __init__(self, grace_s: float = DEFAULT_GRACE_S, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.requested = Event()
        self.reason: str | None = None
        self.deadline: float | None = None
        self.grace_s = grace_s
        self._clock = clock

    def request(self, reason: str) -> bool:
        """Ask for the end. True when this was the first to ask."""
        if self.requested.is_set():
            return False
        self.reason = reason
        self.deadline = self._clock() + self.grace_s
        self.requested.set()
        return True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the end is asked for; False on time-out."""
        return self.requested.wait(timeout_s)

    def left_s(self) -> float:
        """Seconds that work in flight still has: all of the grace before the end is asked for, never negative."""
        return self.grace_s if self.deadline is None else max(0.0, self.deadline - self._clock())
