"""How many log lines an outage may cost: 12 in its first minute, 6 in any later one, whatever libraries log.

Lines of runs and requests are never counted. Of the rest, those that operators search for come first: room is kept
for them, and they are cut only while the connection flaps, the one that says it is back last of all. What a person
must act on is written whatever came before. One line at the turn of each minute says how many were left out. All of it
is a function of the tally so far and the moment; `FloodControl` only carries the tally.
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
    RECOVERY = auto()
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
    """What has been written. Instants are monotonic seconds; `began_s` is when the newest outage began, None before it.

    A loss before it is `over`, or soon after the last loss, belongs to it (`flapping`): its minutes and lines count on.
    `prelude` holds when (and whether essential) lines were written just before: at start they belong to the outage
    that shows only after the first failed attempt.
    """

    began_s: float | None = None
    over: bool = True
    flapping: bool = False
    away: bool = False
    lost_s: float = 0.0
    back_s: float = 0.0
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
        return tally, 0
    minute, held_back = int((now_s - tally.began_s) // MINUTE_S), tally.held_back
    reported = 1 if held_back else 0
    if minute != tally.minute:
        return replace(tally, minute=minute, written=reported, essential=0, held_back=0), held_back
    if tally.over and tally.written < limits.allowed(minute):
        return replace(tally, written=tally.written + reported, held_back=0), held_back
    return tally, 0


def decide(tally: Tally, kind: Kind, away: Away, limits: Limits) -> tuple[bool, Tally]:
    """Whether a line of this kind may be written in an outage, and the tally after it."""
    essential = kind is not Kind.ORDINARY
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
    if event == events.REDIS_CONNECTED:
        return Kind.RECOVERY
    return Kind.ESSENTIAL if event in events.ESSENTIAL else Kind.ORDINARY


def _note_state(tally: Tally, now_s: float, away: Away, limits: Limits) -> Tally:
    if any(away):
        return tally if tally.away else _lose(tally, now_s, limits)
    if tally.away:
        return replace(tally, away=False, back_s=now_s)
    calm_s = limits.flapping_calm_s if tally.flapping else limits.calm_s
    return replace(tally, over=tally.over or now_s - tally.back_s >= calm_s)


def _lose(tally: Tally, now_s: float, limits: Limits) -> Tally:
    soon = tally.began_s is not None and now_s - tally.lost_s < limits.flapping_calm_s
    if soon or not tally.over:
        return replace(tally, away=True, lost_s=now_s, over=False, flapping=True)
    return _begin(tally, now_s, limits)


def _begin(tally: Tally, now_s: float, limits: Limits) -> Tally:
    recent = [essential for at, essential in tally.prelude if now_s - at < limits.prelude_s]
    began = Tally(began_s=now_s, over=False, away=True, lost_s=now_s, held_back=tally.held_back)
    return replace(began, written=len(recent), essential=sum(recent))


def _fits(tally: Tally, kind: Kind, away: Away, limits: Limits) -> bool:
    if kind is Kind.PRESSING:
        return True
    room = limits.allowed(tally.minute)
    if tally.flapping:
        # The last place is for the line that says the connection is unstable, the one before for that it is back.
        room -= 1 if kind is Kind.RECOVERY else 2
    elif kind is not Kind.ORDINARY:
        return True
    kept = max(0, limits.kept(tally.minute) - tally.essential) if away.redis and kind is Kind.ORDINARY else 0
    return tally.written + kept < room


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
            if tally.over:
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
