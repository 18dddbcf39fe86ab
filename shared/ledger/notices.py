"""Notices: what somebody outside is told of anomalies and budgets, each once, as a document made when it was raised.

Two kinds of row share the table. Those of `LOOKED` are never sent: one for each account remembers up to which version
of its data anomalies were looked for (`document`), when (`created_at`), and on which day first (`day`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select

from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.outbox import any_due, arrived, take
from shared.ledger.tables import accounts, notices
from shared.observability.failpoints import Write


class NoticeKind(StrEnum):
    """What a row of the table is about."""

    ANOMALY = "anomaly"
    BUDGET = "budget"
    LOOKED = "looked"


@dataclass(frozen=True, slots=True)
class NewNotice:
    """What is to be told, once for its account, day, kind and subject. With `post` it waits to be sent."""

    account_id: int
    day: date
    kind: NoticeKind
    subject: str
    document: Mapping[str, Any]
    post: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice to be sent by whoever took it. `attempt` counts from 1, and no other follows the `last`."""

    id: int
    key: str
    kind: NoticeKind
    account: str
    day: date
    document: Mapping[str, Any]
    raised_at: datetime
    attempt: int
    last: bool


def raise_notices(connection: Connection, new: Iterable[NewNotice]) -> None:
    """Record notices that are not there yet: the caller has looked, under Lock.NOTICES."""
    for one in new:
        connection.execute(
            insert(notices).values(
                account_id=one.account_id,
                day=one.day,
                kind=one.kind.value,
                subject=one.subject,
                document=json.dumps(one.document, ensure_ascii=False),
                created_at=DatabaseNow(),
                next_try_at=DatabaseNow() if one.post else None,
            )
        )


def take_notice(db: Database) -> Notice | None:
    """Take the notice whose time has come, None when there is none. The next try is due by itself until it arrives."""
    with db.read() as connection:
        if not any_due(connection, notices):
            return None
    with db.write(Write.TAKE_NOTICE) as connection:
        taken = take(connection, notices)
        if taken is None:
            return None
        row = taken.row
        name = connection.execute(select(accounts.c.name).where(accounts.c.id == row.account_id)).scalar_one()
        return Notice(
            id=row.id,
            key=taken.key,
            kind=NoticeKind(row.kind),
            account=name,
            day=row.day,
            document=json.loads(row.document),
            raised_at=row.created_at,
            attempt=taken.attempt,
            last=taken.last,
        )


def notice_sent(db: Database, notice_id: int) -> None:
    """The notice has arrived."""
    with db.write(Write.NOTICE_SENT) as connection:
        arrived(connection, notices, notice_id)
