"""Planning: which runs there must be. All of it works under one planner lock, so that any number plan once."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Final

from sqlalchemy import ColumnElement, Connection, Date, and_, column, exists, func, insert, or_, select, true, values

from shared.core.costs import CoverageState
from shared.core.days import DayRange, contiguous
from shared.core.months import MonthAgain
from shared.core.runs import Run, RunKind, RunState
from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.locks import Lock, lock
from shared.ledger.new_runs import NewRun, insert_runs
from shared.ledger.requests import request_runs
from shared.ledger.rows import collects, is_open, state_is
from shared.ledger.tables import accounts, coverage, fires, runs
from shared.observability.failpoints import Write

__all__ = ["plan_catchup", "plan_scheduled", "request_runs"]

STAMP: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


def plan_scheduled(db: Database, *, slot: str, days: DayRange, again: MonthAgain | None = None) -> list[Run]:
    """One run over `days` for each account that is neither paused nor removed and has none of this slot yet.

    `slot` is the nominal local time of the fire ("2026-10-25T02:00"). Days that are covered are collected again, since
    providers restate. Returns the new runs; planning a slot again adds those of accounts that came since.

    `again` adds a run over that month for each such account that has none since it is due, unless that one failed: then
    another is added, once a day. These runs come after the others, and their slots are longer.
    """
    with db.write(Write.PLAN_FIRE) as connection:
        lock(connection, Lock.PLANNER)
        _record_fire(connection, slot)
        planned = exists().where(
            runs.c.account_id == accounts.c.id, runs.c.kind == RunKind.SCHEDULED.value, runs.c.slot == slot
        )
        new = [NewRun(account, RunKind.SCHEDULED, slot, days) for account in _collecting(connection, ~planned)]
        if again is not None:
            new += _month_again(connection, slot, again)
        return insert_runs(connection, new)


def plan_catchup(db: Database, *, days: DayRange, fire: str | None = None) -> list[Run]:
    """One run per gap: for each account that is neither paused nor removed, each stretch of `days` not covered.

    A day is covered when a result of it is stored, or when an open run holds it. A day that is `suspect`, or whose run
    failed or was cancelled, waits for the next fire of the schedule: it is a gap again once the ledger has heard of a
    fire since. `fire` is the slot of the newest nominal fire that has passed; the ledger notes when it first hears of
    each, so that fires count even while nothing is registered to act on them. Which days may be planned at all (not
    today's, perhaps not yesterday's before the first fire after its end) is the caller's decision.
    """
    with db.write(Write.PLAN_GAPS) as connection:
        lock(connection, Lock.PLANNER)
        if fire is not None:
            _record_fire(connection, fire)
        # A gap may come back (its run failed, a fire has passed), so the moment is part of the slot. That a gap is
        # planned once is the lock's doing.
        stamp = now(connection).strftime(STAMP)
        new = [
            NewRun(account, RunKind.CATCHUP, f"{gap.start}/{gap.end} {stamp}", gap)
            for account, gap in _gaps(_uncovered(connection, days))
        ]
        return insert_runs(connection, new)


def _collecting(connection: Connection, *conditions: ColumnElement[bool]) -> Sequence[int]:
    return connection.scalars(select(accounts.c.id).where(collects(), *conditions).order_by(accounts.c.id)).all()


def _month_again(connection: Connection, slot: str, again: MonthAgain) -> list[NewRun]:
    # Slots begin with the local time of their fire, so that they sort by it.
    mark = f" {again.name}"
    since_due = and_(runs.c.slot >= again.due.isoformat(), runs.c.slot.endswith(mark))
    settled = or_(runs.c.state != RunState.FAILED.value, runs.c.slot >= again.today.isoformat())
    planned = exists().where(
        runs.c.account_id == accounts.c.id, runs.c.kind == RunKind.SCHEDULED.value, since_due, settled
    )
    known = true() if again.known_by is None else accounts.c.created_at < again.known_by
    return [
        NewRun(account, RunKind.SCHEDULED, slot + mark, again.days)
        for account in _collecting(connection, ~planned, known)
    ]


def _record_fire(connection: Connection, slot: str) -> None:
    known = connection.execute(select(fires.c.slot).where(fires.c.slot == slot)).one_or_none()
    if known is None:
        connection.execute(insert(fires).values(slot=slot, fired_at=DatabaseNow()))


def _gaps(uncovered: Iterable[tuple[int, date]]) -> Iterator[tuple[int, DayRange]]:
    for account, days in groupby(uncovered, key=lambda pair: pair[0]):
        for gap in contiguous(day for _, day in days):
            yield account, gap


def _uncovered(connection: Connection, days: DayRange) -> list[tuple[int, date]]:
    """Account and day of every gap, by account."""
    # A fire that the clock has yet to reach was noted before somebody set it back. It does not count until then: what
    # fails in between would else be a gap at once, and be planned and fail again with every look.
    fired = select(func.max(fires.c.fired_at)).where(fires.c.fired_at <= DatabaseNow())
    fired_at = connection.execute(fired).scalar_one()
    wanted = values(column("day", Date), name="wanted").data([(day,) for day in days]).cte("wanted")
    day = wanted.c.day
    query = (
        select(accounts.c.id, day)
        .join_from(accounts, wanted, true())
        .where(collects(), ~_answered(day, fired_at), ~_in_open_run(day), ~_given_up(day, fired_at))
        .order_by(accounts.c.id, day)
    )
    return [(account, found) for account, found in connection.execute(query)]


def _answered(day: ColumnElement[date], fired_at: datetime | None) -> ColumnElement[bool]:
    settled: ColumnElement[bool] = true()
    if fired_at is not None:
        settled = or_(coverage.c.state != CoverageState.SUSPECT.value, coverage.c.checked_at >= fired_at)
    return exists().where(and_(coverage.c.account_id == accounts.c.id, coverage.c.day == day, settled))


def _in_open_run(day: ColumnElement[date]) -> ColumnElement[bool]:
    return exists().where(and_(_holds(day), is_open()))


def _given_up(day: ColumnElement[date], fired_at: datetime | None) -> ColumnElement[bool]:
    since: ColumnElement[bool] = true() if fired_at is None else runs.c.finished_at >= fired_at
    return exists().where(and_(_holds(day), state_is(RunState.FAILED, RunState.CANCELLED), since))


def _holds(day: ColumnElement[date]) -> ColumnElement[bool]:
    return and_(runs.c.account_id == accounts.c.id, runs.c.start_day <= day, runs.c.end_day >= day)
