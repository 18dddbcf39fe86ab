"""Storing what a claim fetched: one transaction that replaces the account's days, so that nothing is stored twice."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import Connection, Table, delete, insert, select, update

from shared.core.costs import CostRow, CoverageState, FetchedCosts
from shared.core.days import DayRange, contiguous
from shared.core.revisions import Change, changes, sums_by_service
from shared.core.runs import RunState
from shared.ledger.answers import check
from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.endings import Outcome, end_attempt
from shared.ledger.lease import Claim
from shared.ledger.money import exact_text
from shared.ledger.restating import Cause, record, sums_stored
from shared.ledger.tables import accounts, costs, coverage, runs
from shared.observability.failpoints import Write

COLUMNS: Final = tuple(column.name for column in costs.columns)
COPY: Final = f"COPY costs ({', '.join(COLUMNS)}) FROM STDIN"
# For the driver's own executemany, which takes half the time of one that goes through SQLAlchemy's types.
INSERT: Final = f"INSERT INTO costs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - our own names


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an answer: days stored, days that keep what they had and are suspect, days with newer data.

    `rows` counts the cost rows stored. `changed` is what is different of days that had been collected before.
    """

    rows: int
    days: tuple[date, ...]
    suspect: tuple[date, ...]
    left_alone: tuple[date, ...]
    changed: tuple[Change, ...] = ()


class KnownDay(NamedTuple):
    """What the ledger has of a day already."""

    rows: int
    collected_at: datetime
    fetch_seq: int


def store(db: Database, claim: Claim, fetched: FetchedCosts) -> Stored | None:
    """Replace the days of the claim's run by `fetched` and end the run; None when it is no longer the claim's.

    Days that were stored from data fetched later are left alone. A day that had rows and is now answered with none
    keeps them and becomes suspect; one that never had any is complete with 0. What changes of a day that was collected
    before is kept as revisions. Raises ProviderError for an answer that cannot be kept exactly (see `answers.check`).
    """
    rows = list(fetched.rows)
    check(rows, claim.run.days)
    counts = Counter(row.day for row in rows)
    with db.write(Write.STORE) as connection:
        account = _lock(connection, claim)
        if account is None:
            return None
        known = _known(connection, account, claim.run.days)
        outcome = decide(claim.run.days, claim.fetch_seq, known, counts)
        kept = set(outcome.days)
        again = kept & known.keys()
        before = sums_stored(connection, account, (day for day in again if known[day].rows))
        changed = changes(before, sums_by_service(_of(again, rows, counts)))
        _replace(connection, account, outcome.days, _of(kept, rows, counts))
        at = now(connection)
        record(connection, Cause(account, claim.run.id, at), changed)
        new = [_covered(day, counts[day], at, estimated=day in fetched.estimated_days) for day in outcome.days]
        new += [_suspect(day, known[day], at) for day in outcome.suspect]
        _cover(connection, account, claim, new)
        _finish(connection, account, claim, outcome.rows)
        return replace(outcome, changed=tuple(changed))


def decide(days: DayRange, fetch_seq: int, known: Mapping[date, KnownDay], counts: Mapping[date, int]) -> Stored:
    """What an answer fetched as number `fetch_seq`, with `counts` rows per day, means for each of `days`."""
    stored, suspect, left_alone = [], [], []
    for day in days:
        was = known.get(day)
        if was is not None and was.fetch_seq > fetch_seq:
            left_alone.append(day)
        elif was is not None and was.rows > 0 and not counts.get(day):
            suspect.append(day)
        else:
            stored.append(day)
    rows = sum(counts.get(day, 0) for day in stored)
    return Stored(rows, tuple(stored), tuple(suspect), tuple(left_alone))


def _lock(connection: Connection, claim: Claim) -> int | None:
    """Lock the account's row; its id, or None when the run is no longer the claim's.

    Two transactions that delete and insert side by side would each miss the rows of the other, whatever keys the table
    has: services may have been renamed between the two answers. SQLite has one writer anyway.
    """
    # Key shares stay possible, so that planning a run of the account need not wait for this.
    locked = select(accounts.c.id).where(accounts.c.name == claim.run.account).with_for_update(key_share=True)
    account: int = connection.execute(locked).scalar_one()
    # Only now: who waited for the lock must see what its former owner did.
    run = select(runs.c.state, runs.c.attempt).where(runs.c.id == claim.run.id).with_for_update()
    # None: cancelled, and forgotten since. Its holder must have been frozen for long.
    found = connection.execute(run).one_or_none()
    return account if found is not None and tuple(found) == (RunState.RUNNING, claim.run.attempt) else None


def _known(connection: Connection, account: int, days: DayRange) -> dict[date, KnownDay]:
    query = select(coverage.c.day, coverage.c.rows, coverage.c.collected_at, coverage.c.fetch_seq).where(
        coverage.c.account_id == account, coverage.c.day.between(days.start, days.end)
    )
    return {row.day: KnownDay(row.rows, row.collected_at, row.fetch_seq) for row in connection.execute(query)}


def _of(days: Collection[date], rows: Sequence[CostRow], counts: Mapping[date, int]) -> Sequence[CostRow]:
    """The rows of `days`: mostly all or none of them, and there may be millions."""
    if not days:
        return ()
    return rows if counts.keys() <= set(days) else [row for row in rows if row.day in days]


def _replace(connection: Connection, account: int, days: Collection[date], rows: Sequence[CostRow]) -> None:
    _delete_days(connection, costs, account, days)
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(INSERT, list(_as_text(account, rows)))
    else:
        _copy(connection, account, rows)


def _delete_days(connection: Connection, table: Table, account: int, days: Iterable[date]) -> None:
    for stretch in contiguous(days):
        connection.execute(
            delete(table).where(table.c.account_id == account, table.c.day.between(stretch.start, stretch.end))
        )


def _as_text(account: int, rows: Iterable[CostRow]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield (account, row.day.isoformat(), *row[1:6], exact_text(row.billed), exact_text(row.effective))


def _copy(connection: Connection, account: int, rows: Iterable[CostRow]) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # the only driver that `Database` uses
    with driver.cursor() as cursor, cursor.copy(COPY) as copy:
        for row in rows:
            copy.write_row((account, *row))


def _covered(day: date, rows: int, at: datetime, *, estimated: bool) -> dict[str, Any]:
    state = CoverageState.ESTIMATED if estimated else CoverageState.COMPLETE
    return {"day": day, "state": state.value, "rows": rows, "collected_at": at, "checked_at": at}


def _suspect(day: date, was: KnownDay, at: datetime) -> dict[str, Any]:
    state = CoverageState.SUSPECT.value
    return {"day": day, "state": state, "rows": was.rows, "collected_at": was.collected_at, "checked_at": at}


def _cover(connection: Connection, account: int, claim: Claim, covered: Sequence[Mapping[str, Any]]) -> None:
    _delete_days(connection, coverage, account, (row["day"] for row in covered))
    if covered:
        common = {"account_id": account, "fetch_seq": claim.fetch_seq, "run_id": claim.run.id}
        connection.execute(insert(coverage), [{**row, **common} for row in covered])


def _finish(connection: Connection, account: int, claim: Claim, rows: int) -> None:
    raised = update(accounts).where(accounts.c.id == account).values(data_version=accounts.c.data_version + 1)
    connection.execute(raised)
    ended = {"state": RunState.SUCCEEDED.value, "finished_at": DatabaseNow(), "rows": rows, "holder": None}
    no_error = {"error_code": None, "error_summary": None, "error_hint": None}
    connection.execute(update(runs).where(runs.c.id == claim.run.id).values(**ended, **no_error))
    end_attempt(connection, claim.run.id, claim.run.attempt, outcome=Outcome.SUCCEEDED)
