"""Sending what waits in a table of alerts: one takes it, it is tried again for a day, then it is given up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, select, update

from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.tables import alerts, installation, notices

# Longer than a try may take, so that no two schedulers try at once.
RETRY_FIRST_S: Final = 15
RETRY_LONGEST_S: Final = 900
GIVE_UP_S: Final = 86_400
# Both tables count from 1, and a key must be one message's alone.
KEY_OF: Final[Mapping[Table, str]] = MappingProxyType({alerts: "", notices: "notice-"})


@dataclass(frozen=True, slots=True)
class Taken:
    """A row to be sent by whoever took it. `attempt` counts from 1, and no other follows the `last`.

    `key` is its own for ever, in every installation.
    """

    row: Row[Any]
    key: str
    attempt: int
    last: bool


def retry_delay_s(attempt: int) -> int:
    """Seconds from try number `attempt` (1 is the first) to the next."""
    return min(RETRY_FIRST_S << min(attempt - 1, 16), RETRY_LONGEST_S)


def any_due(connection: Connection, table: Table) -> bool:
    """Whether some row's time has come."""
    return connection.execute(select(table.c.id).where(_due(table)).limit(1)).first() is not None


def take(connection: Connection, table: Table) -> Taken | None:
    """Take the row whose time has come, None when there is none. The next try is due by itself unless it arrives."""
    picked = select(table).where(_due(table)).order_by(table.c.next_try_at, table.c.id).limit(1)
    row = connection.execute(picked.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    attempt = row.attempts + 1
    next_try_at = now(connection) + timedelta(seconds=retry_delay_s(attempt))
    last = next_try_at >= row.created_at + timedelta(seconds=GIVE_UP_S)
    changed = update(table).where(table.c.id == row.id)
    connection.execute(changed.values(attempts=attempt, next_try_at=None if last else next_try_at))
    ledger = connection.execute(select(installation.c.ledger_id)).scalar_one()
    return Taken(row, f"{ledger}-{KEY_OF[table]}{row.id}", attempt, last)


def arrived(connection: Connection, table: Table, row_id: int) -> None:
    """Note that the row has been sent."""
    sent = update(table).where(table.c.id == row_id)
    connection.execute(sent.values(sent_at=DatabaseNow(), next_try_at=None))


def _due(table: Table) -> ColumnElement[bool]:
    return and_(table.c.sent_at.is_(None), table.c.next_try_at <= DatabaseNow())
