"""Backfill: runs for the days of a long past that are not there yet. Asking again goes on where it was."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, insert, select, true

from shared.core.backfill import runs_of
from shared.core.costs import CoverageState
from shared.core.days import DayRange
from shared.core.errors import IdempotencyConflictError, RequestError, RunFinishedError, UnknownRunError
from shared.core.runs import Run, RunKind
from shared.ledger.accounts import account_id
from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.endings import cancel_run
from shared.ledger.locks import Lock, lock
from shared.ledger.new_runs import NewRun, insert_runs
from shared.ledger.planning import STAMP
from shared.ledger.requests import Wanted, wanted_accounts
from shared.ledger.rows import RUN_QUERY, is_open, run_of, runs_where
from shared.ledger.tables import coverage, request_keys, runs
from shared.ledger.texts import is_storable
from shared.observability.failpoints import Write

# Between an Idempotency-Key and what tells the runs of its request apart: no key has it, since keys are printable.
KEY_END: Final = "\n"


@dataclass(frozen=True, slots=True)
class BackfillAsked:
    """`days` of `accounts` (None: each that is neither paused nor removed); with `again` also those that are complete.

    `key` is an Idempotency-Key, `request` what is compared for it: the request as its sender worded it.
    """

    accounts: Sequence[str] | None
    days: DayRange
    again: bool = False
    key: str | None = None
    request: str = ""


@dataclass(frozen=True, slots=True)
class AccountBackfill:
    """What a backfill means for one account: `ranges` become runs, newest first; `waiting` are its runs that are open.

    `complete_days` are left out since they are there. `rows_a_day` is the most cost rows that a day of the account
    has had, None when nothing is known.
    """

    account: str
    ranges: tuple[DayRange, ...]
    waiting: tuple[Run, ...]
    complete_days: int
    rows_a_day: int | None

    @property
    def days(self) -> int:
        """How many days the new runs collect."""
        return sum(map(len, self.ranges))


@dataclass(frozen=True, slots=True)
class Backfill:
    """What is to be done by account, and the runs that do it: those that were open already, and new ones."""

    accounts: list[AccountBackfill]
    runs: list[Run]


def plan_backfill(db: Database, asked: BackfillAsked) -> Backfill:
    """What `request_backfill` would do now; its `runs` are those that are open. Raises UnknownAccountError."""
    with db.read() as connection:
        found = _plan(connection, asked, wanted_accounts(connection, asked.accounts))
    return Backfill(found, [run for each in found for run in each.waiting])


def request_backfill(db: Database, asked: BackfillAsked) -> Backfill:
    """Make a run for each stretch of days that is not complete and in no open run, all of them in one transaction.

    Asked again, it returns the backfill's runs that are still open and makes those for what failed or was cancelled.
    What `key` was answered with before is returned as it is now; IdempotencyConflictError when that was another
    request. Raises UnknownAccountError.
    """
    if asked.key is not None and not is_storable(asked.key):
        raise RequestError(field="Idempotency-Key", problem="cannot be stored", allowed="plain text")
    with db.write(Write.BACKFILL) as connection:
        lock(connection, Lock.PLANNER)
        wanted = wanted_accounts(connection, asked.accounts)
        answered = _answered(connection, asked, wanted)
        if answered:
            return Backfill([], answered)
        found = _plan(connection, asked, wanted)
        made = insert_runs(connection, list(_new(found, wanted, now(connection).strftime(STAMP))))
        answer = [*(run for each in found for run in each.waiting), *made]
        _remember(connection, asked, wanted, answer)
        return Backfill(found, answer)


def cancel_backfills(db: Database, account: str | None = None) -> list[Run]:
    """Cancel each backfill run that has not ended, of `account` or of all, waiting ones first. Returns them.

    Raises UnknownAccountError.
    """
    whose: ColumnElement[bool] = true()
    with db.read() as connection:
        if account is not None:
            whose = runs.c.account_id == account_id(connection, account)
        query = select(runs.c.id).where(is_open(), whose, runs.c.kind == RunKind.BACKFILL.value)
        # Last ones first: what ends frees no account for one that is to be cancelled in a moment.
        found = connection.scalars(query.order_by(runs.c.id.desc())).all()
    cancelled = []
    for run_id in found:
        try:
            cancelled.append(cancel_run(db, run_id))
        except (RunFinishedError, UnknownRunError):  # it ended in the meantime
            continue
    return cancelled


def runs_by_id(db: Database, ids: Sequence[int]) -> list[Run]:
    """These runs, by id; one that was forgotten is left out."""
    with db.read() as connection:
        between = runs.c.id.between(min(ids), max(ids))
        wanted = set(ids)
        return [run for run in runs_where(connection, between) if run.id in wanted] if wanted else []


def _plan(connection: Connection, asked: BackfillAsked, wanted: Wanted) -> list[AccountBackfill]:
    among = runs.c.account_id.in_(wanted.values()) if len(wanted) == 1 else true()
    complete = _complete(connection, asked.days, wanted)
    rows = _most_rows(connection, wanted)
    open_runs: defaultdict[str, list[Run]] = defaultdict(list)
    overlaps = (runs.c.start_day <= asked.days.end, runs.c.end_day >= asked.days.start)
    for run in runs_where(connection, is_open(), among, *overlaps):
        open_runs[run.account].append(run)
    found = []
    for name, key in wanted.items():
        held = {day for run in open_runs[name] for day in run.days}
        there = complete[key] - held
        missing = (day for day in asked.days if day not in held and (asked.again or day not in there))
        waiting = tuple(run for run in open_runs[name] if run.kind is RunKind.BACKFILL)
        skipped = 0 if asked.again else len(there)
        found.append(AccountBackfill(name, tuple(runs_of(missing)), waiting, skipped, rows.get(key)))
    return found


def _complete(connection: Connection, days: DayRange, wanted: Wanted) -> Mapping[int, set[date]]:
    query = select(coverage.c.account_id, coverage.c.day).where(
        coverage.c.day.between(days.start, days.end), coverage.c.state == CoverageState.COMPLETE.value
    )
    if len(wanted) == 1:
        query = query.where(coverage.c.account_id.in_(wanted.values()))
    found: defaultdict[int, set[date]] = defaultdict(set)
    for key, day in connection.execute(query).tuples():
        found[key].add(day)
    return found


def _most_rows(connection: Connection, wanted: Wanted) -> Mapping[int, int]:
    query = select(coverage.c.account_id, func.max(coverage.c.rows)).where(coverage.c.rows > 0)
    if len(wanted) == 1:
        query = query.where(coverage.c.account_id.in_(wanted.values()))
    return dict(connection.execute(query.group_by(coverage.c.account_id)).tuples().all())


def _new(found: Iterable[AccountBackfill], wanted: Wanted, stamp: str) -> Iterable[NewRun]:
    for each in found:
        for days in each.ranges:
            # Days may be asked for again once they are done: the moment is part of the slot, the lock makes it one.
            yield NewRun(wanted[each.account], RunKind.BACKFILL, f"{days.start}/{days.end} {stamp}", days)


def _answered(connection: Connection, asked: BackfillAsked, wanted: Wanted) -> list[Run]:
    if asked.key is None:
        return []
    prefix = asked.key + KEY_END
    query: Any = (
        RUN_QUERY.add_columns(request_keys.c.request)
        .join(request_keys, request_keys.c.run_id == runs.c.id)
        .where(
            request_keys.c.kind == RunKind.BACKFILL.value,
            func.substr(request_keys.c.key, 1, len(prefix)) == prefix,
        )
        .order_by(runs.c.id)
    )
    found = []
    for row in connection.execute(query):
        if row.request != asked.request:
            raise IdempotencyConflictError(key=asked.key, account=row.account)
        if row.account in wanted:
            found.append(run_of(row))
    return found


def _remember(connection: Connection, asked: BackfillAsked, wanted: Wanted, answer: Sequence[Run]) -> None:
    if asked.key is None or not answer:
        return
    facts = {"kind": RunKind.BACKFILL.value, "request": asked.request, "created_at": DatabaseNow()}
    rows = [
        {"account_id": wanted[run.account], "run_id": run.id, "key": f"{asked.key}{KEY_END}{run.id}"} for run in answer
    ]
    connection.execute(insert(request_keys).values(facts), rows)
