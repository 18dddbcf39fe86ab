"""What readers ask of the history of restated days."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Row, Select, select

from shared.core.revisions import Amounts, Change, Service
from shared.ledger.accounts import account_id
from shared.ledger.cursors import cursor_after, read_cursor
from shared.ledger.database import Database
from shared.ledger.tables import accounts, revisions

PAGE: Final = 50

_QUERY: Final[Select[Any]] = select(
    accounts.c.name.label("account"),
    revisions.c.id,
    revisions.c.day,
    revisions.c.service,
    revisions.c.currency,
    revisions.c.billed_before,
    revisions.c.billed_after,
    revisions.c.effective_before,
    revisions.c.effective_after,
    revisions.c.changed_at,
    revisions.c.run_id,
).join_from(revisions, accounts, revisions.c.account_id == accounts.c.id)


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of one account's day. The run that made it may have been forgotten since."""

    id: int
    account: str
    change: Change
    changed_at: datetime
    run_id: int


@dataclass(frozen=True, slots=True)
class RevisionPage:
    """Revisions, newest first. `next` is the cursor of the page after this one, None on the last."""

    revisions: list[Revision]
    next: str | None


@dataclass(frozen=True, slots=True)
class RevisionFilter:
    """Which revisions: of one account, of days from `start` to `end`; None takes all. From where, and how many."""

    account: str | None = None
    start: date | None = None
    end: date | None = None
    limit: int = PAGE
    cursor: str | None = None


def find_revisions(db: Database, wanted: RevisionFilter) -> RevisionPage:
    """A page of revisions. Raises RequestError for a cursor that no page gave, UnknownAccountError."""
    query = _QUERY.order_by(revisions.c.id.desc()).limit(wanted.limit + 1)
    if wanted.cursor is not None:
        query = query.where(revisions.c.id < read_cursor(wanted.cursor))
    if wanted.start is not None:
        query = query.where(revisions.c.day >= wanted.start)
    if wanted.end is not None:
        query = query.where(revisions.c.day <= wanted.end)
    with db.read() as connection:
        if wanted.account is not None:
            query = query.where(revisions.c.account_id == account_id(connection, wanted.account))
        found = [_revision(row) for row in connection.execute(query)]
    page = found[: wanted.limit]
    return RevisionPage(page, cursor_after(page[-1].id) if len(found) > wanted.limit else None)


def _revision(row: Row[Any]) -> Revision:
    before, after = _side(row.billed_before, row.effective_before), _side(row.billed_after, row.effective_after)
    change = Change(Service(row.day, row.service, row.currency), before, after)
    return Revision(row.id, row.account, change, row.changed_at, row.run_id)


def _side(billed: Decimal | None, effective: Decimal | None) -> Amounts | None:
    return None if billed is None or effective is None else Amounts(billed, effective)
