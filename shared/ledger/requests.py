"""Runs that somebody asks for, made once however often the request comes: API pages cost money."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, insert, select, true

from shared.core.days import DayRange
from shared.core.errors import IdempotencyConflictError, RequestError, UnknownAccountError
from shared.core.runs import Run, RunKind
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.locks import Lock, lock
from shared.ledger.new_runs import NewRun, insert_runs
from shared.ledger.rows import RUN_QUERY, collects, is_open, run_of, runs_where
from shared.ledger.tables import accounts, request_keys, runs
from shared.ledger.texts import is_storable
from shared.observability.failpoints import Write

# An account's id by its name.
Wanted = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Request:
    kind: RunKind
    days: DayRange
    key: str | None
    text: str


def request_runs(
    db: Database,
    *,
    accounts: Sequence[str] | None,
    days: DayRange,
    kind: RunKind = RunKind.MANUAL,
    key: str | None = None,
    request: str | None = None,
) -> list[Run]:
    """A run over `days` for each of `accounts` (None: each that is neither paused nor removed), by account name.

    An open run of the same account, kind and days is returned rather than made again. So is the run that `key` (an
    Idempotency-Key) was answered with before, in whatever state; IdempotencyConflictError when it was another request.
    `request` is what is compared for that, by default the days: give the request as its sender worded it when its days
    depend on the time it arrived. Raises UnknownAccountError, also for a removed account. A paused account's run waits
    until the account is resumed.
    """
    if key is not None and not is_storable(key):
        raise RequestError(
            field="Idempotency-Key", problem="has characters that cannot be stored", allowed="plain text"
        )
    asked = _Request(kind, days, key, request if request is not None else f"{days.start}/{days.end}")
    with db.write(Write.REQUEST) as connection:
        lock(connection, Lock.PLANNER)
        wanted = wanted_accounts(connection, accounts)
        answers = _keyed(connection, asked, wanted)
        fresh = _twins(connection, asked, wanted, answers)
        fresh |= _made(
            connection, asked, {name: wanted[name] for name in wanted.keys() - answers.keys() - fresh.keys()}
        )
        _remember(connection, asked, wanted, fresh)
        answers |= fresh
        return [answers[name] for name in wanted]


def wanted_accounts(connection: Connection, names: Sequence[str] | None) -> Wanted:
    """The accounts of these names (None: each that is neither paused nor removed), by name.

    Raises UnknownAccountError, also for a removed account.
    """
    query = select(accounts.c.name, accounts.c.id).order_by(accounts.c.name)
    if names is None:
        return dict(connection.execute(query.where(collects())).tuples().all())
    storable = {name for name in names if is_storable(name)}
    query = query.where(accounts.c.name.in_(storable), accounts.c.removed.is_(False))
    found = dict(connection.execute(query).tuples().all())
    for name in names:
        if name not in found:
            raise UnknownAccountError(account=name)
    return found


def _keyed(connection: Connection, asked: _Request, wanted: Wanted) -> dict[str, Run]:
    """What the key was answered with before."""
    if asked.key is None:
        return {}
    query = (
        RUN_QUERY.add_columns(request_keys.c.request)
        .join(request_keys, request_keys.c.run_id == runs.c.id)
        .where(request_keys.c.kind == asked.kind.value, request_keys.c.key == asked.key)
    )
    found = {}
    for row in connection.execute(query):
        if row.account not in wanted:
            continue
        if row.request != asked.text:
            raise IdempotencyConflictError(key=asked.key, account=row.account)
        found[row.account] = run_of(row)
    return found


def _twins(connection: Connection, asked: _Request, wanted: Wanted, answered: Collection[str]) -> dict[str, Run]:
    """Open runs that are just what is asked for."""
    if len(wanted) == len(answered):
        return {}
    few: ColumnElement[bool] = runs.c.account_id.in_(wanted.values()) if len(wanted) == 1 else true()
    same = runs_where(
        connection,
        is_open(),
        few,
        runs.c.kind == asked.kind.value,
        runs.c.start_day == asked.days.start,
        runs.c.end_day == asked.days.end,
    )
    return {run.account: run for run in same if run.account in wanted and run.account not in answered}


def _made(connection: Connection, asked: _Request, missing: Wanted) -> dict[str, Run]:
    # A key makes the slot, so that the database itself refuses a second run for it.
    slot = asked.key if asked.key is not None else f"request {uuid4()}"
    new = [NewRun(account, asked.kind, slot, asked.days) for account in missing.values()]
    return {run.account: run for run in insert_runs(connection, new)}


def _remember(connection: Connection, asked: _Request, wanted: Wanted, answers: Mapping[str, Run]) -> None:
    if asked.key is None or not answers:
        return
    connection.execute(
        insert(request_keys).values(kind=asked.kind.value, key=asked.key, request=asked.text, created_at=DatabaseNow()),
        [{"account_id": wanted[name], "run_id": run.id} for name, run in answers.items()],
    )
