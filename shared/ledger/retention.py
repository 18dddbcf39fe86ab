"""Retention: what has ended long ago is forgotten, in small steps. Costs and coverage are never touched."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from sqlalchemy import Connection, CursorResult, Delete, delete, func, select

from shared.ledger.clock import now
from shared.ledger.database import Database
from shared.ledger.fleet import forget_gone
from shared.ledger.notices import NoticeKind
from shared.ledger.tables import alerts, attempts, fires, notices, request_keys, runs
from shared.observability.failpoints import Write

# Notices keep somebody from being told twice in one month, however short the retention.
LEAST_NOTICE_DAYS: Final = 62
# Runs looked at in one transaction: writers on SQLite wait for it.
STEP: Final = 500


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows a step removed, and after which run the next step goes on (None: all have been looked at)."""

    runs: int = 0
    attempts: int = 0
    fires: int = 0
    alerts: int = 0
    notices: int = 0
    processes: int = 0
    after: int | None = None

    def plus(self, other: Self) -> Self:
        """Both together, to go on where `other` ended."""
        return type(self)(
            self.runs + other.runs,
            self.attempts + other.attempts,
            self.fires + other.fires,
            self.alerts + other.alerts,
            self.notices + other.notices,
            self.processes + other.processes,
            other.after,
        )


def forget_old(db: Database, *, keep_days: int, after: int = 0, step: int = STEP) -> Forgotten:
    """One step of forgetting what ended more than `keep_days` days ago, by the database's clock.

    A run goes with its attempts and the Idempotency-Keys that were answered with it. What planning still needs stays,
    however old it is: open runs, the newest fire, and whatever ended since it (days that were given up wait for the
    next fire). A run that ended so long ago only collected days that lie before that, and coverage keeps what is known
    of them. Any number of processes may do this at once.
    """
    with db.write(Write.FORGET) as connection:
        before = now(connection) - timedelta(days=keep_days)
        newest: datetime | None = connection.execute(select(func.max(fires.c.fired_at))).scalar_one()
        before = before if newest is None else min(before, newest)
        looked_at, found = _ended(connection, before, after=after, step=step)
        return Forgotten(
            attempts=_rows(connection, delete(attempts).where(attempts.c.run_id.in_(found))) if found else 0,
            runs=_forget_runs(connection, found),
            fires=_rows(connection, delete(fires).where(fires.c.fired_at < before)),
            alerts=_rows(connection, delete(alerts).where(alerts.c.created_at < before, alerts.c.day < before.date())),
            notices=_rows(connection, _old_notices(before)),
            processes=forget_gone(connection),
            after=looked_at,
        )


def _old_notices(before: datetime) -> Delete:
    old = notices.c.created_at < before - timedelta(days=LEAST_NOTICE_DAYS)
    return delete(notices).where(old, notices.c.kind != NoticeKind.LOOKED.value)


def _ended(connection: Connection, before: datetime, *, after: int, step: int) -> tuple[int | None, Sequence[int]]:
    """The last of the next runs to look at (None when there are no more old ones), and those of them that may go."""
    # By id: runs are made in its order, so that the old ones are found without reading the others.
    some = select(runs.c.id, runs.c.created_at, runs.c.finished_at).where(runs.c.id > after).order_by(runs.c.id)
    found = connection.execute(some.limit(step)).all()
    old = [row for row in found if row.created_at < before]
    gone = [row.id for row in old if row.finished_at is not None and row.finished_at < before]
    # Nobody changes a run that has ended; who else forgets at this moment has it locked.
    ours = select(runs.c.id).where(runs.c.id.in_(gone)).with_for_update(skip_locked=True)
    return (old[-1].id if len(old) == step else None), connection.scalars(ours).all() if gone else ()


def _forget_runs(connection: Connection, found: Sequence[int]) -> int:
    if not found:
        return 0
    connection.execute(delete(request_keys).where(request_keys.c.run_id.in_(found)))
    return _rows(connection, delete(runs).where(runs.c.id.in_(found)))


def _rows(connection: Connection, statement: Delete) -> int:
    result: CursorResult[Any] = connection.execute(statement)
    return result.rowcount
