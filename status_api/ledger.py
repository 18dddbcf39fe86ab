"""The ledger's functions bound to one database, refused while its schema is not the one they know."""

from collections.abc import Callable, Generator, Sequence
from functools import cached_property

from shared.bootstrap.backfill import PricedBackfill, priced
from shared.core.budgets import BudgetStatus
from shared.core.days import DayRange
from shared.core.errors import DatabaseUnavailableError
from shared.core.exports import StoredRow
from shared.core.runs import Run
from shared.costs.accounts import AccountConfig, budgets_of
from shared.ledger import anomaly_queries, queries
from shared.ledger.accounts import require_account
from shared.ledger.anomaly_queries import AnomalyPage, AnomalyQuery
from shared.ledger.backfill import BackfillAsked, plan_backfill, request_backfill
from shared.ledger.budgets import month_to_date
from shared.ledger.database import Database
from shared.ledger.endings import cancel_run
from shared.ledger.exporting import ExportQuery, exported
from shared.ledger.meta import ledger_id
from shared.ledger.migrate import Migrator, MigratorState
from shared.ledger.queries import AccountCoverage, CostQuery, CostReport, RunPage
from shared.ledger.requests import request_runs
from shared.ledger.revisions import RevisionFilter, RevisionPage, find_revisions
from shared.ledger.standing import AccountStanding, standings
from status_api.params import RunFilter, RunsAsked


class DatabaseLedger:
    """The ledger in `db`. Before the migrator is done every call raises DatabaseUnavailableError.

    `accounts` are those of the accounts file at the moment they are asked for: their providers know what fetching
    takes, and they say what an account may cost.
    """

    def __init__(
        self, db: Database, migrator: Migrator, accounts: Callable[[], Sequence[AccountConfig]] = tuple
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._migrator = migrator

    def identity(self) -> str:
        """The ledger's id; read once, since it never changes."""
        _ = self._ready
        return self._identity

    def run(self, run_id: int) -> Run:
        """One run."""
        return queries.get_run(self._ready, run_id)

    def runs(self, wanted: RunFilter) -> RunPage:
        """A page of runs, newest first."""
        return queries.find_runs(
            self._ready,
            state=wanted.state,
            account=wanted.account,
            kind=wanted.kind,
            limit=wanted.limit,
            cursor=wanted.cursor,
        )

    def request_runs(self, asked: RunsAsked) -> list[Run]:
        """Record manual runs."""
        return request_runs(self._ready, accounts=asked.accounts, days=asked.days, key=asked.key, request=asked.wording)

    def cancel(self, run_id: int) -> Run:
        """Cancel a run."""
        return cancel_run(self._ready, run_id)

    def standings(self) -> list[AccountStanding]:
        """How each account stands, by name."""
        return standings(self._ready)

    def coverage(self, days: DayRange, account: str | None) -> list[AccountCoverage]:
        """What is known of each account-day."""
        return queries.coverage(self._ready, days=days, account=account)

    def revisions(self, wanted: RevisionFilter) -> RevisionPage:
        """A page of what restated days were, newest first."""
        return find_revisions(self._ready, wanted)

    def costs(self, query: CostQuery) -> CostReport:
        """Sums by group."""
        return queries.costs(self._ready, query)

    def plan_backfill(self, asked: BackfillAsked) -> PricedBackfill:
        """What a backfill would do, and what it would take."""
        return priced(plan_backfill(self._ready, asked), self._accounts())

    def request_backfill(self, asked: BackfillAsked) -> PricedBackfill:
        """Record a backfill's runs."""
        return priced(request_backfill(self._ready, asked), self._accounts())

    def exported(self, query: ExportQuery) -> Generator[Sequence[StoredRow], None, None]:
        """The stored rows in batches."""
        return exported(self._ready, query)

    def anomalies(self, query: AnomalyQuery) -> AnomalyPage:
        """A page of anomalies."""
        return anomaly_queries.find_anomalies(self._ready, query)

    def budgets(self, account: str | None) -> Sequence[BudgetStatus]:
        """This month's budgets, by account."""
        if account is not None:
            require_account(self._ready, account)
        wanted = [budget for budget in budgets_of(self._accounts()) if account in {None, budget.account}]
        return sorted(month_to_date(self._ready, wanted), key=lambda status: status.budget.account)

    def data_version(self, account: str | None) -> int:
        """A number that rises with every store."""
        return queries.data_version(self._ready, account)

    @property
    def _ready(self) -> Database:
        state = self._migrator.state
        if state is MigratorState.READY:
            return self._db
        if state is MigratorState.TOO_NEW:
            raise DatabaseUnavailableError(summary=self._migrator.message or "The schema is newer than this release")
        raise DatabaseUnavailableError(summary="The schema is not migrated yet")

    @cached_property
    def _identity(self) -> str:
        return str(ledger_id(self._db))
