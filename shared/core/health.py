"""What probes answer, decided from facts in memory: check results, the whole's verdict, the facts about Redis."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class CheckStatus(StrEnum):
    """One dependency, as a check last saw it."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNUSED = "unused"


class Verdict(StrEnum):
    """The whole process: `degraded` still serves, since the core works without what is missing."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found. `vital` checks that are down make the whole unhealthy; others only degrade it."""

    status: CheckStatus
    response_ms: float | None = None
    message: str | None = None
    vital: bool = False


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """The last error of a dependency: a code to search for, one line, what to do, when it was first seen."""

    code: str
    summary: str
    hint: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of the connection's state."""

    at: datetime
    previous: str
    current: str
    reason: str


@dataclass(frozen=True, slots=True)
class RedisDetails:
    """Facts behind `RedisHealth`. `retry_count` counts failed attempts since the last connection.

    `attempt` is the number the log gives the attempt under way or next; `uptime` is seconds connected, None when not;
    `next_attempt_at` is None while none is scheduled; `degraded` is set while connected but refusing writes (OOM,
    MISCONF) or out of pooled connections; `transitions` are the newest, oldest first.
    """

    retry_count: int = 0
    attempt: int = 0
    last_error: str | None = None
    uptime: float | None = None
    url: str = ""
    error: ErrorFacts | None = None
    degraded: ErrorFacts | None = None
    response_ms: float | None = None
    next_attempt_at: datetime | None = None
    next_attempt_in_s: float | None = None
    server_version: str | None = None
    server_role: str | None = None
    server_run_id: str | None = None
    transitions: tuple[Transition, ...] = ()


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """The link's state (`disconnected`, `connecting`, `connected`, `failed`), read without I/O and without a lock."""

    status: str
    is_open: bool
    details: RedisDetails = field(default_factory=RedisDetails)


def overall(checks: Iterable[CheckResult]) -> Verdict:
    """Unhealthy when something vital is down, degraded when anything else is amiss."""
    found = list(checks)
    if any(check.vital and check.status is CheckStatus.DOWN for check in found):
        return Verdict.UNHEALTHY
    if any(check.status in {CheckStatus.DOWN, CheckStatus.DEGRADED} for check in found):
        return Verdict.DEGRADED
    return Verdict.HEALTHY
