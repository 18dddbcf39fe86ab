"""What readers ask of the anomalies in the ledger."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, and_, or_, select

from shared.core.anomalies import AnomalyKind
from shared.core.days import DayRange
from shared.core.errors import RequestError
from shared.ledger.accounts import account_id
from shared.ledger.database import Database
from shared.ledger.rows import LARGEST_ID
from shared.ledger.tables import accounts, anomalies


@dataclass(frozen=True, slots=True)
class AnomalyQuery:
    """Which anomalies of `days`; None takes all."""

    days: DayRange
    account: str | None = None
    kind: AnomalyKind | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class KnownAnomaly:
    """An anomaly as the ledger keeps it. `cleared_at` is when the day had been restated and nothing was left of it."""

    id: int
    account: str
    provider: str
    day: date
    service: str
    currency: str
    kind: AnomalyKind
    expected: Decimal
    actual: Decimal
    score: float
    found_at: datetime
    cleared_at: datetime | None


@dataclass(frozen=True, slots=True)
class AnomalyPage:
    """Anomalies, the newest day first. `next` is the cursor of the page after this one, None on the last."""

    anomalies: Sequence[KnownAnomaly]
    next: str | None


def find_anomalies(db: Database, wanted: AnomalyQuery) -> AnomalyPage:
    """A page of anomalies. Raises RequestError for a cursor that no page gave, UnknownAccountError."""
    query = _query(wanted)
    with db.read() as connection:
        if wanted.account is not None:
            query = query.where(anomalies.c.account_id == account_id(connection, wanted.account))
        found = [_known(row) for row in connection.execute(query)]
    page = found[: wanted.limit]
    return AnomalyPage(page, _cursor(page[-1]) if len(found) > wanted.limit else None)


def _query(wanted: AnomalyQuery) -> Select[Any]:
    columns = [column for column in anomalies.c if column is not anomalies.c.account_id]
    query = (
        select(accounts.c.name, accounts.c.provider, *columns)
        .join_from(anomalies, accounts, accounts.c.id == anomalies.c.account_id)
        .where(anomalies.c.day.between(wanted.days.start, wanted.days.end))
        .order_by(anomalies.c.day.desc(), anomalies.c.id.desc())
        .limit(wanted.limit + 1)
    )
    if wanted.kind is not None:
        query = query.where(anomalies.c.kind == wanted.kind.value)
    if wanted.cursor is not None:
        day, number = _read_cursor(wanted.cursor)
        query = query.where(or_(anomalies.c.day < day, and_(anomalies.c.day == day, anomalies.c.id < number)))
    return query


def _known(row: Row[Any]) -> KnownAnomaly:
    return KnownAnomaly(
        id=row.id,
        account=row.name,
        provider=row.provider,
        day=row.day,
        service=row.service,
        currency=row.currency,
        kind=AnomalyKind(row.kind),
        expected=row.expected,
        actual=row.actual,
        score=row.score,
        found_at=row.found_at,
        cleared_at=row.cleared_at,
    )


def _cursor(last: KnownAnomaly) -> str:
    return base64.urlsafe_b64encode(f"{last.day}:{last.id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[date, int]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        day, _, number = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(":")
        found = date.fromisoformat(day), int(number) if number.isdecimal() else 0
    except (binascii.Error, ValueError):
        found = date.max, 0
    if not 0 < found[1] <= LARGEST_ID:
        raise RequestError(field="cursor", problem="is not one that was given out", allowed="the `next` of a page")
    return found
