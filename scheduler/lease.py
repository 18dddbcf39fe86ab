"""Taking back runs whose holder is dead: their beat stood still for the whole lease."""

from collections.abc import Callable, Sequence
from typing import Protocol

from loguru import logger

from shared.ledger.lease import LeaseWatch, RunBeat
from shared.observability import events


class Ledger(Protocol):
    """What the watch asks of the ledger. Each raises DatabaseUnavailableError."""

    def running_beats(self) -> Sequence[RunBeat]:
        """Give the beat of every running run."""
        ...

    def take_back(self, seen: RunBeat) -> bool:
        """Return a run to pending unless it has moved since `seen`."""
        ...


class LeaseKeeper:
    """One thread calls `turn`, several times within a lease."""

    def __init__(
        self, ledger: Ledger, watch: LeaseWatch, *, clock: Callable[[], float], taken_back: Callable[[], object]
    ) -> None:
        self._ledger = ledger
        self._watch = watch
        self._clock = clock
        self._taken_back = taken_back

    def turn(self) -> None:
        """Look once. Raises DatabaseUnavailableError."""
        beats = self._ledger.running_beats()
        for seen in self._watch.observe(self._clock(), beats):
            if self._ledger.take_back(seen):
                bound = logger.bind(
                    event=events.RUN_TAKEN_BACK, scope=events.SCOPE_RUN, run_id=seen.run_id, attempt=seen.attempt
                )
                bound.warning("Run taken back: its holder has shown no sign of life for the whole lease")
                self._taken_back()


def look_interval_s(lease_s: float) -> float:
    """Seconds between looks: often enough for the watch never to call itself blind."""
    return min(lease_s / 6, 5.0)
