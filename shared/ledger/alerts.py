"""Alerts: who is told of what, once for each account, day and kind, however many schedulers look, and die."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, literal, null, or_, select

from shared.core.costs import CoverageState
from shared.core.runs import RunError, RunState
from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.locks import Lock, lock
from shared.ledger.outbox import Taken, any_due, arrived, take
from shared.ledger.rows import collects, is_open, state_is
from shared.ledger.tables import accounts, alerts, coverage, runs
from shared.observability.failpoints import Write

# A day that is being collected for the first time is not called late before this has passed.
UNDER_WAY_S: Final = 20
# A new account's first run may be that far away: catch-up looks every minute.
NEW_ACCOUNT_S: Final = 90


class AlertKind(StrEnum):
    """What somebody is told of."""

    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Look:
    """How many accounts lack the day now, and the names of those whose alert this look raised."""

    overdue: int
    raised: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert to be sent by whoever took it. `key` is its own for ever, in every installation.

    `state` is what the day is now, `error` what its newest run failed with; `attempt` counts from 1, and no other
    follows the `last`.
    """

    id: int
    key: str
    kind: AlertKind
    account: str
    provider: str
    day: date
    state: CoverageState
    raised_at: datetime
    error: RunError | None
    attempt: int
    last: bool


def look_for_overdue(db: Database, *, day: date, post: bool) -> Look:
    """Raise an alert for each account that is collected and has no complete (or estimated) `day`, once for each.

    With `post` it waits to be sent. An account whose day is only just being collected, or that only just came, is
    looked at again later.
    """
    with db.read() as connection:
        alerted = exists().where(_of_account(), _about(day))
        late = connection.execute(
            select(accounts.c.id, accounts.c.name, alerted).where(_overdue(connection, day))
        ).all()
    if all(told for _, _, told in late):
        return Look(len(late), ())
    with db.write(Write.ALERT) as connection:
        lock(connection, Lock.ALERTS)
        raised = set(connection.scalars(_raise(connection, day, post=post)))
    return Look(len(late), tuple(sorted(name for key, name, _ in late if key in raised)))


def take_alert(db: Database) -> Alert | None:
    """Take the alert whose time has come, None when there is none. The next try is due by itself unless `mark_sent`."""
    with db.read() as connection:
        if not any_due(connection, alerts):
            return None
    with db.write(Write.TAKE_ALERT) as connection:
        taken = take(connection, alerts)
        return None if taken is None else _alert(connection, taken)


def mark_sent(db: Database, alert_id: int) -> None:
    """The alert has arrived."""
    with db.write(Write.ALERT_SENT) as connection:
        arrived(connection, alerts, alert_id)


def _raise(connection: Connection, day: date, *, post: bool) -> Any:
    columns = ("account_id", "day", "kind", "created_at", "next_try_at")
    late = select(
        accounts.c.id,
        literal(day, alerts.c.day.type),
        literal(AlertKind.DEADLINE.value),
        DatabaseNow(),
        DatabaseNow() if post else null(),
    ).where(_overdue(connection, day), ~exists().where(_of_account(), _about(day)))
    return insert(alerts).from_select(columns, late).returning(alerts.c.account_id)


def _of_account() -> ColumnElement[bool]:
    return alerts.c.account_id == accounts.c.id


def _about(day: date) -> ColumnElement[bool]:
    return and_(alerts.c.day == day, alerts.c.kind == AlertKind.DEADLINE.value)


def _overdue(connection: Connection, day: date) -> ColumnElement[bool]:
    at = now(connection)
    # Providers call all of the current month estimated: that is as complete as yesterday gets.
    there = coverage.c.state.in_([CoverageState.COMPLETE.value, CoverageState.ESTIMATED.value])
    holds = and_(runs.c.account_id == accounts.c.id, runs.c.start_day <= day, runs.c.end_day >= day)
    fresh = runs.c.created_at > at - timedelta(seconds=UNDER_WAY_S)
    new = accounts.c.created_at > at - timedelta(seconds=NEW_ACCOUNT_S)
    return and_(
        collects(),
        ~exists().where(coverage.c.account_id == accounts.c.id, coverage.c.day == day, there),
        ~exists().where(holds, is_open(), runs.c.failures == 0, fresh),
        or_(~new, exists().where(holds)),
    )


def _alert(connection: Connection, taken: Taken) -> Alert:
    row = taken.row
    account = connection.execute(
        select(accounts.c.name, accounts.c.provider).where(accounts.c.id == row.account_id)
    ).one()
    return Alert(
        id=row.id,
        key=taken.key,
        kind=AlertKind(row.kind),
        account=account.name,
        provider=account.provider,
        day=row.day,
        state=_state_of(connection, row.account_id, row.day),
        raised_at=row.created_at,
        error=_error_of(connection, row.account_id, row.day),
        attempt=taken.attempt,
        last=taken.last,
    )


def _state_of(connection: Connection, account: int, day: date) -> CoverageState:
    query = select(coverage.c.state).where(coverage.c.account_id == account, coverage.c.day == day)
    found = connection.execute(query).scalar_one_or_none()
    return CoverageState.MISSING if found is None else CoverageState(found)


def _error_of(connection: Connection, account: int, day: date) -> RunError | None:
    """What the newest run that failed to bring the day said, unless a later one brought it."""
    query = (
        select(runs.c.error_code, runs.c.error_summary, runs.c.error_hint)
        .where(runs.c.account_id == account, runs.c.start_day <= day, runs.c.end_day >= day)
        .where(runs.c.error_code.is_not(None), or_(is_open(), state_is(RunState.FAILED)))
        .order_by(runs.c.id.desc())
        .limit(1)
    )
    found = connection.execute(query).one_or_none()
    return None if found is None else RunError(*found)
