"""Making runs. Only under the planner's lock: what ran before it is then known by a lower id."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select

from shared.core.days import DayRange
from shared.core.runs import PRIORITY, Run, RunKind, RunState
from shared.ledger.columns import DatabaseNow
from shared.ledger.rows import runs_where
from shared.ledger.tables import runs


class NewRun(NamedTuple):
    """What tells one new run from another."""

    account_id: int
    kind: RunKind
    slot: str
    days: DayRange


def insert_runs(connection: Connection, new: Sequence[NewRun]) -> list[Run]:
    """Insert `new`, pending and due at once, and return them in their order."""
    if not new:
        return []
    newest = connection.execute(select(func.coalesce(func.max(runs.c.id), 0))).scalar_one()
    statement = insert(runs).values(
        state=RunState.PENDING.value, attempt=1, failures=0, sends=0, beat=0, created_at=DatabaseNow()
    )
    connection.execute(statement, [_values(run) for run in new])
    return runs_where(connection, runs.c.id > newest)


def _values(run: NewRun) -> dict[str, object]:
    return {
        "account_id": run.account_id,
        "kind": run.kind.value,
        "priority": PRIORITY[run.kind],
        "slot": run.slot,
        "start_day": run.days.start,
        "end_day": run.days.end,
    }
