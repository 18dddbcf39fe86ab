"""How many log lines an outage may cost: 12 in its first minute, 6 in any later one, whatever libraries log.

Lines of runs and requests are never counted. Of the rest, those that operators search for come first: room is kept
for them, and they are cut only while the connection flaps. One line at the turn of each minute says how many were left
out. All of it is a function of the tally so far and the moment; `FloodControl` only carries the tally.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from shared.observability import events

MINUTE_S: Final = 60.0
# These tell what a person must do, or that nobody will do anything any more.
PRESSING: Final = frozenset(
    {
        events.REDIS_UNSTABLE,
        events.REDIS_REFUSED,
        events.PROCESS_DRAINING,
        events.PROCESS_STOPPED,
        events.PROCESS_STOPPED_AT_ONCE,
        events.PROCESS_FAILED,
        events.PROBE_PORT_TAKEN,
        events.ACCOUNTS_INVALID,
        events.DATABASE_TOO_NEW,
        events.DISPATCH_FOREIGN_MARKER,
    }
)


class Kind(Enum):
    """How much a line matters in an outage."""

    EXEMPT = auto()
    PRESSING = auto()
    ESSENTIAL = auto()
    ORDINARY = auto()


class Away(NamedTuple):
    """What is away at this moment."""

    redis: bool = False
    database: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Lines allowed, and how many of them are kept for essential ones while Redis is away.

    With the default delays the first minute of a start without Redis has 11 essential lines, any later one 4.
    """

    first_minute: int = 12
    later_minute: int = 6
    kept_first: int = 11
    kept_later: int = 4
    calm_s: float = 5.0
    flapping_calm_s: float = 60.0
    prelude_s: float = 10.0

    def allowed(self, minute: int) -> int:
        """Lines that minute number `minute` (0 is the first) may have."""
        return self.later_minute if minute else self.first_minute

    def kept(self, minute: int) -> int:
        """How many of them are for essential lines."""
        return self.kept_later if minute else self.kept_first


@dataclass(frozen=True, slots=True)
class Tally:
    """What has been written. Instants are monotonic seconds; `began_s` is None while there is no outage.

    `prelude` holds when (and whether essential) lines were written just before: at start they belong to the outage
    that shows only after the first failed attempt.
    """

    began_s: float | None = None
    away: bool = False
    back_s: float = 0.0
    losses_s: tuple[float, ...] = ()
    minute: int = 0
    written: int = 0
    essential: int = 0
    held_back: int = 0
    prelude: tuple[tuple[float, bool], ...] = ()


class Decision(NamedTuple):
    """Whether to write the line, whether in short, and how many held back lines to report before it."""

    write: bool
    short: bool = False
    report: int = 0


def advance(tally: Tally, now_s: float, away: Away, limits: Limits) -> tuple[Tally, int]:
    """Bring the tally to this moment. Also the number of held back lines to report now, 0 when none."""
    tally = _note_state(tally, now_s, away, limits)
    if tally.began_s is None:
        return replace(tally, held_back=0), tally.held_back
    minute = int((now_s - tally.began_s) // MINUTE_S)
    if minute == tally.minute:
        return tally, 0
    reported = 1 if tally.held_back else 0
    return replace(tally, minute=minute, written=reported, essential=0, held_back=0), tally.held_back


def decide(tally: Tally, kind: Kind, away: Away, limits: Limits) -> tuple[bool, Tally]:
    """Whether a line of this kind may be written in an outage, and the tally after it."""
    essential = kind in {Kind.PRESSING, Kind.ESSENTIAL}
    if not _fits(tally, kind, away, limits):
        return False, replace(tally, held_back=tally.held_back + 1)
    return True, replace(tally, written=tally.written + 1, essential=tally.essential + essential)


def kind_of(extra: Mapping[str, Any]) -> Kind:
    """The kind of a line, from the facts bound to it."""
    event = extra.get("event")
    if extra.get("scope") in {events.SCOPE_RUN, events.SCOPE_REQUEST}:
        return Kind.EXEMPT
    if event in PRESSING:
        return Kind.PRESSING
    return Kind.ESSENTIAL if event in events.ESSENTIAL else Kind.ORDINARY


def _note_state(tally: Tally, now_s: float, away: Away, limits: Limits) -> Tally:
    if any(away):
        if tally.away:
            return tally
        losses_s = (*(at for at in tally.losses_s if now_s - at < limits.flapping_calm_s), now_s)
        tally = replace(tally, away=True, losses_s=losses_s[-limits.first_minute :])
        return tally if tally.began_s is not None else _begin(tally, now_s, limits)
    if tally.away:
        return replace(tally, away=False, back_s=now_s)
    calm_s = limits.flapping_calm_s if _flapping(tally) else limits.calm_s
    if tally.began_s is not None and now_s - tally.back_s >= calm_s:
        return replace(tally, began_s=None, minute=0, written=0, essential=0, losses_s=())
    return tally


def _begin(tally: Tally, now_s: float, limits: Limits) -> Tally:
    recent = [essential for at, essential in tally.prelude if now_s - at < limits.prelude_s]
    return replace(tally, began_s=now_s, minute=0, written=len(recent), essential=sum(recent), prelude=())


def _fits(tally: Tally, kind: Kind, away: Away, limits: Limits) -> bool:
    allowed = limits.allowed(tally.minute)
    if kind is Kind.PRESSING:
        return True
    if kind is Kind.ESSENTIAL:
        # The last place is for the line that says the connection is unstable.
        return not _flapping(tally) or tally.written < allowed - 1
    kept = max(0, limits.kept(tally.minute) - tally.essential) if away.redis else 0
    return tally.written + kept < allowed


def _flapping(tally: Tally) -> bool:
    return len(tally.losses_s) > 1


class FloodControl:
    """Asks `away` (which must cost nothing and never log) about the outage at every line. Thread-safe."""

    def __init__(
        self,
        away: Callable[[], Away] = Away,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._away = away
        self._limits = limits or Limits()
        self._clock = clock
        self._tally = Tally()
        self._lock = threading.Lock()

    def tell_by(self, away: Callable[[], Away]) -> None:
        """Ask `away` from now on."""
        self._away = away

    def admit(self, kind: Kind) -> Decision:
        """What to do with a line of this kind."""
        with self._lock:
            now_s, away = self._clock(), self._away()
            tally, report = advance(self._tally, now_s, away, self._limits)
            if kind is Kind.EXEMPT:
                self._tally = tally
                return Decision(write=True, report=report)
            if tally.began_s is None:
                self._tally = self._remember(tally, now_s, kind)
                return Decision(write=True, report=report)
            write, self._tally = decide(tally, kind, away, self._limits)
            return Decision(write=write, short=True, report=report)

    def turn(self) -> int:
        """The number of held back lines to report now: for whoever looks once a second, also when nothing is logged."""
        with self._lock:
            self._tally, report = advance(self._tally, self._clock(), self._away(), self._limits)
            return report

    def _remember(self, tally: Tally, now_s: float, kind: Kind) -> Tally:
        mine = (now_s, kind is not Kind.ORDINARY)
        return replace(tally, prelude=(*tally.prelude, mine)[-self._limits.first_minute :])
