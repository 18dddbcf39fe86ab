"""A run: one account's costs over a range of days, collected once, in one or more attempts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from shared.core.days import DayRange


class RunKind(StrEnum):
    """Who asked for a run."""

    SCHEDULED = "scheduled"
    CATCHUP = "catchup"
    MANUAL = "manual"
    BACKFILL = "backfill"


class RunState(StrEnum):
    """pending → queued → running → succeeded | failed | cancelled; a failed attempt goes back to pending."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_STATES: Final = frozenset({RunState.PENDING, RunState.QUEUED, RunState.RUNNING})

# Lower goes first: a person waits for a manual run, a backfill may take all night.
PRIORITY: Final[Mapping[RunKind, int]] = MappingProxyType(
    {RunKind.MANUAL: 0, RunKind.SCHEDULED: 1, RunKind.CATCHUP: 2, RunKind.BACKFILL: 3}
)


@dataclass(frozen=True, slots=True)
class RunError:
    """Why the last attempt failed: a code to search for, one line, and what to do."""

    code: str
    summary: str
    hint: str


@dataclass(frozen=True, slots=True)
class Run:
    """A row of the ledger. `attempt` (from 1) is the one under way or next; `failures` counts the failed ones.

    Instants are aware UTC. `rows` is what the run stored, None before it succeeded.
    """

    id: int
    account: str
    provider: str
    kind: RunKind
    slot: str
    days: DayRange
    state: RunState
    attempt: int
    failures: int
    not_before: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    rows: int | None
    error: RunError | None


@dataclass(frozen=True, slots=True)
class RunReady:
    """All that Redis carries: a hint that this attempt of this run, in this ledger, may be claimed."""

    ledger_id: UUID
    run_id: int
    attempt: int


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a failed run waits: `delays_s[n-1]` after failure n, the last one repeated, up to `max_failures`."""

    delays_s: tuple[float, ...] = (60.0, 300.0, 900.0, 3600.0)
    max_failures: int = 5

    def __post_init__(self) -> None:
        if not self.delays_s or any(delay < 0 for delay in self.delays_s):
            raise ValueError("delays_s needs at least one delay, none of them negative")

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after failure number `failures` (1 is the first)."""
        return self.delays_s[min(failures, len(self.delays_s)) - 1]

    def spent(self, failures: int) -> bool:
        """Whether a run that failed this often is given up."""
        return failures >= self.max_failures
