"""What the application is given: each a plain value or a small protocol, so that tests need no server."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar
from wsgiref.types import WSGIApplication

from shared.bootstrap.backfill import PricedBackfill
from shared.core.budgets import BudgetStatus
from shared.core.days import DayRange
from shared.core.exports import StoredRow
from shared.core.health import RedisHealth
from shared.core.runs import Run
from shared.ledger.anomaly_queries import AnomalyPage, AnomalyQuery
from shared.ledger.backfill import BackfillAsked
from shared.ledger.exporting import ExportQuery
from shared.ledger.queries import AccountCoverage, CostQuery, CostReport, RunPage
from shared.ledger.revisions import RevisionFilter, RevisionPage
from shared.ledger.standing import AccountStanding
from shared.messaging.depths import QueueDepth
from status_api.access import Access
from status_api.params import RunFilter, RunsAsked

T = TypeVar("T")

OPENAPI_FILE = Path(__file__).with_name("openapi.yaml")


class Link(Protocol):
    """The part of `RedisLink` that the API uses."""

    def is_available(self) -> bool:
        """Whether a command may be tried: no I/O, no lock."""

    def health(self) -> RedisHealth:
        """The state, from memory."""

    def retry_in_s(self) -> float | None:
        """Seconds to the next scheduled attempt, None when none is."""

    def get_value(self, key: str) -> str | None:
        """The text under `key`, None when there is none. Raises RedisUnavailableError."""

    def set_value(self, key: str, value: str, ttl_s: int | None = None) -> None:
        """Keep `value` for `ttl_s` seconds, for good when None. Raises RedisUnavailableError."""

    def delete_value(self, key: str) -> bool:
        """Whether there was something to delete. Raises RedisUnavailableError."""

    def key_ttl(self, key: str) -> int:
        """Seconds left, -1 without expiry, -2 absent. Raises RedisUnavailableError."""


class Ledger(Protocol):
    """The ledger, bound to its database. Every call raises DatabaseUnavailableError when that is away."""

    def identity(self) -> str:
        """The ledger's id: data of another one is never mistaken for ours."""

    def run(self, run_id: int) -> Run:
        """One run. Raises UnknownRunError."""

    def runs(self, wanted: RunFilter) -> RunPage:
        """A page of runs, newest first. Raises RequestError for a bad cursor, UnknownAccountError."""

    def request_runs(self, asked: RunsAsked) -> list[Run]:
        """Record manual runs. Raises UnknownAccountError, IdempotencyConflictError."""

    def cancel(self, run_id: int) -> Run:
        """Cancel a run. Raises UnknownRunError, RunFinishedError."""

    def standings(self) -> list[AccountStanding]:
        """How each account stands, by name."""

    def coverage(self, days: DayRange, account: str | None) -> list[AccountCoverage]:
        """What is known of each account-day. Raises UnknownAccountError."""

    def revisions(self, wanted: RevisionFilter) -> RevisionPage:
        """A page of restated days' history. Raises RequestError for a bad cursor, UnknownAccountError."""

    def costs(self, query: CostQuery) -> CostReport:
        """Sums by group. Raises UnknownAccountError."""

    def plan_backfill(self, asked: BackfillAsked) -> PricedBackfill:
        """What `request_backfill` would do. Raises UnknownAccountError."""

    def request_backfill(self, asked: BackfillAsked) -> PricedBackfill:
        """Record a backfill's runs. Raises UnknownAccountError, IdempotencyConflictError."""

    def exported(self, query: ExportQuery) -> Generator[Sequence[StoredRow], None, None]:
        """The stored rows in batches. Raises UnknownAccountError at the first."""

    def anomalies(self, query: AnomalyQuery) -> AnomalyPage:
        """A page of anomalies. Raises RequestError for a bad cursor, UnknownAccountError."""

    def budgets(self, account: str | None) -> Sequence[BudgetStatus]:
        """This month's budgets, by account; none for an account without one. Raises UnknownAccountError."""

    def data_version(self, account: str | None) -> int:
        """A number that rises with every store. Raises UnknownAccountError."""


class BoundedCaller(Protocol):
    """Runs a call so that nobody waits for it longer than they chose."""

    def call(self, function: Callable[[], T], timeout_s: float) -> T:
        """What `function` returns or raises; TimeoutError when it is late or no thread is free."""


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Everything `create_app` needs.

    `dispatch` sends these runs and returns the ids really sent, within the half second it has; `probes` answers
    /health/* and /metrics; `now` is the aware UTC time; `monotonic_s` a clock for durations.
    """

    link: Link
    ledger: Ledger
    queues: Callable[[], Sequence[QueueDepth]]
    dispatch: Callable[[Sequence[int]], frozenset[int]]
    probes: WSGIApplication
    access: Access
    window_days: int
    now: Callable[[], datetime]
    monotonic_s: Callable[[], float]
    redis_calls: BoundedCaller
    redis_budget_s: float = 0.25
    openapi_file: Path = OPENAPI_FILE
