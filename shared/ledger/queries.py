"""What readers ask of the ledger's runs and coverage."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, func, or_, select

from shared.core.costs import CoverageState
from shared.core.days import DayRange
from shared.core.errors import UnknownRunError
from shared.core.runs import Run, RunKind, RunState
from shared.ledger.accounts import account_id
from shared.ledger.cost_queries import CostQuery, CostReport, costs
from shared.ledger.cursors import cursor_after, read_cursor
from shared.ledger.database import Database
from shared.ledger.rows import RUN_QUERY, run_by_id, run_of
from shared.ledger.tables import accounts, runs
from shared.ledger.tables import coverage as coverage_table

__all__ = [
    "AccountCoverage",
    "CostQuery",
    "CostReport",
    "CoveredDay",
    "RunPage",
    "costs",
    "coverage",
    "data_version",
    "find_runs",
    "get_run",
    "run_counts",
]

PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, newest first. `next` is the cursor of the page after this one, None on the last."""

    runs: list[Run]
    next: str | None


@dataclass(frozen=True, slots=True)
class CoveredDay:
    """One account-day. `collected_at` is None for a day that is missing."""

    day: date
    state: CoverageState
    rows: int
    collected_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountCoverage:
    """Every day asked for, of one account. `paused` when nothing new is collected for it, whoever decided so."""

    account: str
    provider: str
    days: list[CoveredDay]
    paused: bool = False


def get_run(db: Database, run_id: int) -> Run:
    """The run. Raises UnknownRunError."""
    with db.read() as connection:
        run = run_by_id(connection, run_id)
    if run is None:
        raise UnknownRunError(run_id=str(run_id))
    return run


def find_runs(
    db: Database,
    *,
    state: RunState | None = None,
    account: str | None = None,
    kind: RunKind | None = None,
    limit: int = PAGE,
    cursor: str | None = None,
) -> RunPage:
    """A page of the runs that meet every filter given, newest first. Runs made meanwhile never shift later pages.

    Raises RequestError for a cursor that no page gave, UnknownAccountError.
    """
    query = RUN_QUERY.order_by(runs.c.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(runs.c.id < read_cursor(cursor))
    if state is not None:
        query = query.where(runs.c.state == state.value)
    if kind is not None:
        query = query.where(runs.c.kind == kind.value)
    with db.read() as connection:
        if account is not None:
            query = query.where(runs.c.account_id == account_id(connection, account))
        found = [run_of(row) for row in connection.execute(query)]
    page = found[:limit]
    return RunPage(page, cursor_after(page[-1].id) if len(found) > limit else None)


def coverage(db: Database, *, days: DayRange, account: str | None = None) -> list[AccountCoverage]:
    """Every day of `days` for each account by name, or for one; removed accounts only when they have any of them.

    Raises UnknownAccountError.
    """
    with db.read() as connection:
        only = None if account is None else account_id(connection, account)
        known = _covered(connection, days, only)
        paused = or_(accounts.c.paused, accounts.c.held)
        query = select(accounts.c.id, accounts.c.name, accounts.c.provider, accounts.c.removed, paused)
        if only is not None:
            query = query.where(accounts.c.id == only)
        found = connection.execute(query).all()
    return [
        AccountCoverage(name, provider, [known.get((key, day)) or _missing(day) for day in days], paused=bool(halted))
        for key, name, provider, removed, halted in sorted(found, key=lambda row: row.name)
        if only is not None or not removed or any((key, day) in known for day in days)
    ]


def data_version(db: Database, account: str | None = None) -> int:
    """A number that is higher whenever costs of `account`, or of any, have changed."""
    query = select(func.coalesce(func.sum(accounts.c.data_version), 0))
    with db.read() as connection:
        if account is not None:
            query = query.where(accounts.c.id == account_id(connection, account))
        return int(connection.execute(query).scalar_one())


def run_counts(db: Database) -> Mapping[RunState, int]:
    """How many runs are in each state; every state is there."""
    with db.read() as connection:
        counted = connection.execute(select(runs.c.state, func.count()).group_by(runs.c.state))
        found = dict(counted.tuples().all())
    return {state: found.get(state.value, 0) for state in RunState}


def _covered(connection: Connection, days: DayRange, only: int | None) -> dict[tuple[int, date], CoveredDay]:
    table = coverage_table.c
    query = select(table.account_id, table.day, table.state, table.rows, table.collected_at).where(
        table.day.between(days.start, days.end)
    )
    if only is not None:
        query = query.where(table.account_id == only)
    return {
        (key, day): CoveredDay(day, CoverageState(state), rows, collected_at)
        for key, day, state, rows, collected_at in connection.execute(query)
    }


def _missing(day: date) -> CoveredDay:
    return CoveredDay(day, CoverageState.MISSING, 0, None)
