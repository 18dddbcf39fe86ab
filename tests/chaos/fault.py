"""What a fault is: how it is planted and lifted, and what must be true of it. Plain frozen values."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from tests.chaos.rig import Rig

NAMES: Final = ("status_api", "scheduler", "worker")
# The contract's own numbers: docs/resilience.md names them, nothing here may be raised.
CLOSED_S: Final = 0.1
HANG_S: Final = 3.0
HEALED_S: Final = 2.0
HEALED_REFUSED_S: Final = 15.5
FIRST_MINUTE_LINES: Final = 12
LATER_MINUTE_LINES: Final = 6
HEALTH_P99_S: Final = 0.020

Dependencies = Mapping[str, Any]
Sign = Callable[[Dependencies, Dependencies], str | None]
Plant = Callable[["Rig"], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Way:
    """How the processes reach Redis: `server` is the one, `open` starts what lies between and returns REDIS_URL.

    Variables that the processes need for it go into the rig's `environment`.
    """

    name: str
    what: str
    open: "Callable[[Rig], str]"
    server: "Callable[[Rig], RedisServer]" = lambda _rig: RedisServer()


@dataclass(frozen=True, slots=True)
class Expect:
    """What must be true. `sign` finds in an answer of /health/dependencies what a process has to tell of the fault.

    `told_s` is how soon each of `tellers` has to, None when there is no instant to count from: then it is told while
    the fault stands. Where a connection is closed first and its cause found afterwards, `closed_s` is how soon each has
    to tell of the former. Without `sign` nobody is to notice anything: no change of state, no error. `live`, `ready`,
    `strict` and `soft` are the statuses allowed.
    """

    sign: Sign | None
    told_s: float | None
    closed_s: float | None = None
    strict: frozenset[int] = frozenset({200, 503})
    soft: frozenset[int] = frozenset({200})
    live: frozenset[int] = frozenset({200})
    ready: frozenset[int] = frozenset({200})
    heal_s: float = HEALED_S
    health_p99_s: float = HEALTH_P99_S
    tellers: tuple[str, ...] = NAMES


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the matrix.

    `plant` is a generator of the rig: what comes before its `yield` plants the fault, what comes after lifts it.
    Of one that is over as soon as it has happened (`momentary`) healing counts from the planting. One that is there
    `at_start` is planted before the processes are started.
    `lasts_s` of 120 or more has its log lines judged minute by minute. `idle`: no runs and no requests that need Redis
    are made just before, so that only beats can notice. `needs` gives the reasons why a machine cannot do it. `spoils`:
    no other fault may be planted under the same processes afterwards. `on_sqlite`: the database is a file, whatever the
    others have.
    """

    name: str
    what: str
    plant: Plant
    expect: Expect
    way: Way
    lasts_s: float = 5.0
    settings: Mapping[str, str] = field(default_factory=dict)
    needs: Sequence[Callable[[], str | None]] = ()
    idle: bool = False
    at_start: bool = False
    momentary: bool = False
    on_sqlite: bool = False
    spoils: bool = False
    short: bool = False

    def planted(self, rig: "Rig") -> contextlib.AbstractContextManager[None]:
        """Planted at the block's beginning, lifted at its end."""
        return contextlib.contextmanager(self.plant)(rig)

    def missing(self) -> list[str]:
        """Why this machine cannot do it; nothing when it can."""
        return [reason for need in self.needs if (reason := need())]


def closed(*codes: str, closed_s: float = CLOSED_S, **more: Any) -> Expect:
    """The connections end, which is told at once; of what follows, one of `codes` is told as soon as of a hang."""
    return Expect(redis_says(*codes), HANG_S, closed_s, **more)


def redis_says(*codes: str) -> Sign:
    """A process tells of Redis, since the answer `before`: not connected, or limited, for one of these codes."""

    def sign(answer: Dependencies, before: Dependencies) -> str | None:
        redis = answer["redis"]
        error = redis["lastError"]
        if error and error["code"] in codes:
            return f"{redis['connectionState']} {error['code']}"
        # One that has healed between two questions shows in the list of changes alone.
        return next((_told(change) for change in _changes(answer, before) if change["reason"] in codes), None)

    return sign


def database_says(*statuses: str) -> Sign:
    """A process tells of the database that it is in one of these statuses."""

    def sign(answer: Dependencies, _before: Dependencies) -> str | None:
        status = answer.get("database", {}).get("status")
        return f"database {status}" if status in statuses else None

    return sign


def redis_noticed(answer: Dependencies, before: Dependencies) -> str | None:
    """Whether anything of the connection to Redis has changed: what a fault that nobody is to notice must not do."""
    redis = answer["redis"]
    if changes := _changes(answer, before):
        return _told(changes[0])
    return f"{redis['connectionState']} {redis['lastError']['code']}" if redis["lastError"] else None


def _changes(answer: Dependencies, before: Dependencies) -> list[Mapping[str, str]]:
    known = before["redis"]["transitions"] if before else []
    return [change for change in answer["redis"]["transitions"] if change not in known]


def _told(change: Mapping[str, str]) -> str:
    return f"{change['to']} {change['reason']}"
