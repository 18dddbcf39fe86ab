"""Runs as rows: reading them, and the conditions that the partial indexes answer."""

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, and_, exists, literal, or_, select

from shared.core.days import DayRange
from shared.core.runs import Run, RunError, RunKind, RunState
from shared.ledger.columns import DatabaseNow
from shared.ledger.tables import accounts, runs

# A run's columns in the order that `run_of` reads, its account's name and provider first.
RUN_QUERY: Final[Select[Any]] = select(
    accounts.c.name.label("account"),
    accounts.c.provider,
    runs.c.id,
    runs.c.kind,
    runs.c.slot,
    runs.c.start_day,
    runs.c.end_day,
    runs.c.state,
    runs.c.attempt,
    runs.c.failures,
    runs.c.not_before,
    runs.c.created_at,
    runs.c.started_at,
    runs.c.finished_at,
    runs.c.rows,
    runs.c.error_code,
    runs.c.error_summary,
    runs.c.error_hint,
).join_from(runs, accounts, runs.c.account_id == accounts.c.id)

LARGEST_ID: Final = 2**63 - 1

# What a run is again when it goes back to pending.
UNQUEUED: Final[Mapping[str, Any]] = MappingProxyType(
    {"state": RunState.PENDING.value, "queued_at": None, "sends": 0, "next_send_at": None, "holder": None}
)


def run_of(row: Row[Any]) -> Run:
    """A row of RUN_QUERY as a value."""
    error = RunError(row.error_code, row.error_summary, row.error_hint) if row.error_code is not None else None
    return Run(
        id=row.id,
        account=row.account,
        provider=row.provider,
        kind=RunKind(row.kind),
        slot=row.slot,
        days=DayRange(row.start_day, row.end_day),
        state=RunState(row.state),
        attempt=row.attempt,
        failures=row.failures,
        not_before=row.not_before,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        rows=row.rows,
        error=error,
    )


def run_by_id(connection: Connection, run_id: int) -> Run | None:
    """The run, None when there is none of that id."""
    if not 0 < run_id <= LARGEST_ID:
        return None
    row = connection.execute(RUN_QUERY.where(runs.c.id == run_id)).one_or_none()
    return None if row is None else run_of(row)


def runs_where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Run]:
    """The runs that meet `conditions`, oldest first."""
    rows: Iterable[Row[Any]] = connection.execute(RUN_QUERY.where(*conditions).order_by(runs.c.id))
    return [run_of(row) for row in rows]


def state_is(*states: RunState, of: FromClause = runs) -> ColumnElement[bool]:
    """The run's state is one of `states`, written into the statement: a bound value would hide the partial index."""
    values = [literal(state.value, literal_execute=True) for state in states]
    state: ColumnElement[str] = of.c.state
    return state == values[0] if len(values) == 1 else state.in_(values)


def attempt_is(run_id: int, attempt: int) -> ColumnElement[bool]:
    """The run, if it still is at this attempt."""
    return and_(runs.c.id == run_id, runs.c.attempt == attempt)


def is_open() -> ColumnElement[bool]:
    """The run has not ended."""
    return runs.c.finished_at.is_(None)


def collects() -> ColumnElement[bool]:
    """The account is in the accounts file, and paused neither there nor by an operator."""
    return and_(accounts.c.paused.is_(False), accounts.c.removed.is_(False), accounts.c.held.is_(False))


def by_urgency(query: Select[Any]) -> Select[Any]:
    """A query of pending runs alone, in the order in which they are due to go."""
    return query.where(state_is(RunState.PENDING)).order_by(runs.c.priority, runs.c.id)


# Conditions without a value in them are built once: making them took a good part of what a claim costs.
@cache
def account_is_busy() -> ColumnElement[bool]:
    """Some run of the account is running."""
    other = runs.alias("other")
    return exists().where(other.c.account_id == runs.c.account_id, state_is(RunState.RUNNING, of=other))


@cache
def lane_is_busy() -> ColumnElement[bool]:
    """Some run of the account's lane is running. For a statement that has the account."""
    other = runs.alias("in_lane")
    return exists().where(other.c.lane == accounts.c.lane, state_is(RunState.RUNNING, of=other))


@cache
def ready_now() -> ColumnElement[bool]:
    """The run's time has come, and its account is neither paused, removed nor busy, nor is its lane."""
    # Most accounts have no lane, and none is looked for.
    return _ready(or_(accounts.c.lane.is_(None), ~lane_is_busy()))


@cache
def ready_without_lane() -> ColumnElement[bool]:
    """As `ready_now`, and the account has no lane."""
    return _ready(accounts.c.lane.is_(None))


def _ready(account_meets: ColumnElement[bool]) -> ColumnElement[bool]:
    timely = or_(runs.c.not_before.is_(None), runs.c.not_before <= DatabaseNow())
    account = exists().where(accounts.c.id == runs.c.account_id, collects(), account_meets)
    # A statement may have the accounts as well; this is a look at them of its own.
    return and_(timely, account.correlate(runs), ~account_is_busy())
