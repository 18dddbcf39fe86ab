"""What a process answers to probes, gathered from what it knows in memory."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from shared.core.credentials import CredentialsAnswer
from shared.core.health import CheckResult, RedisHealth
from shared.core.version import VERSION
from shared.probes.bodies import (
    FleetMember,
    Live,
    Moment,
    Ready,
    dependencies_body,
    ready_answer,
    redis_check,
)

# A thread that has not moved for so long is stuck.
STUCK_AFTER_S: Final = 15.0
Reason = Callable[[], str | None]


@dataclass(frozen=True)
class HealthSources:
    """Where facts are read; each costs neither I/O nor a wait."""

    redis: Callable[[], RedisHealth]
    database: Callable[[], CheckResult]
    database_facts: Callable[[], Mapping[str, Any]]
    credentials: Callable[[], Mapping[str, CredentialsAnswer]]
    fleet: Callable[[], Sequence[FleetMember]]
    draining: Callable[[], bool]
    production: bool = False


class ProcessHealth:
    """Answers probes. A process adds what it alone knows with `add_check` and `add_liveness`."""

    def __init__(self, sources: HealthSources) -> None:
        self._sources = sources
        self._began_s = time.monotonic()
        self._checks: dict[str, Callable[[], CheckResult]] = {}
        self._reasons: list[Reason] = []

    def add_check(self, name: str, check: Callable[[], CheckResult]) -> None:
        """Show `check()` in readiness under `name`. It must answer from memory."""
        self._checks[name] = check

    def add_liveness(self, reason: Reason) -> None:
        """Call the process stuck while `reason()` names why. No state of anything outside may be a reason."""
        self._reasons.append(reason)

    def moment(self) -> Moment:
        """The present, and the process's uptime."""
        return Moment(datetime.now(UTC), time.monotonic() - self._began_s)

    def live(self) -> Live:
        """Whether the process itself works."""
        return Live(tuple(found for reason in self._reasons if (found := reason())))

    def checks(self) -> dict[str, CheckResult]:
        """Every check's result."""
        return {
            "database": self._sources.database(),
            "redis": redis_check(self._sources.redis()),
            **{name: answer.check for name, answer in self._sources.credentials().items()},
            **{name: check() for name, check in self._checks.items()},
        }

    def ready(self) -> Ready:
        """Whether the process can do its work."""
        return ready_answer(self.checks(), self.moment(), version=VERSION, draining=self._sources.draining())

    def dependencies(self) -> dict[str, Any]:
        """What it depends on, in detail."""
        return dependencies_body(
            self._sources.redis(),
            self._sources.database_facts(),
            self.checks(),
            self._sources.fleet(),
            credentials={name: answer.credentials for name, answer in self._sources.credentials().items()},
            production=self._sources.production,
        )
