"""Holding a run: the claim, its beat, and how a watcher tells that nobody holds it any more."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.core.runs import Run


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to collect `run`, as long as the ledger still has this attempt running.

    `fetch_seq` orders this fetch among all others: data fetched later is never overwritten by data fetched earlier.
    """

    run: Run
    holder: str
    fetch_seq: int


@dataclass(frozen=True, slots=True)
class RunBeat:
    """A running run and how often its holder has renewed it."""

    run_id: int
    attempt: int
    beat: int


class LeaseWatch:
    """Finds runs whose beat stood still for `lease_s` of the watcher's own monotonic clock.

    Needs no clock of another host. Time in which the watcher itself saw nothing (it was frozen, or the database was
    away) counts for nobody: holders could not renew then either, so every lease begins anew.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._blind_s = lease_s / 2
        self._looked_s: float | None = None
        self._since_s: dict[RunBeat, float] = {}

    def observe(self, now_s: float, beats: Iterable[RunBeat]) -> list[RunBeat]:
        """Take in all running runs as of `now_s`; returns those to be taken back, as often as they are seen so."""
        blind = self._looked_s is None or now_s - self._looked_s > self._blind_s
        known = {} if blind else self._since_s
        self._looked_s = now_s
        self._since_s = {beat: known.get(beat, now_s) for beat in beats}
        return [beat for beat, since_s in self._since_s.items() if now_s - since_s >= self._lease_s]
