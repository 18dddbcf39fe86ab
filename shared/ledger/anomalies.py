"""Anomalies in the ledger: looked for where data has changed, kept once each, cleared when they are restated away."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, select, update

from shared.core.anomalies import Anomaly, Verdict, find
from shared.core.days import ONE_DAY
from shared.ledger.anomaly_reading import Reading, read
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.documents import amount
from shared.ledger.locks import Lock, lock
from shared.ledger.notices import NewNotice, NoticeKind, raise_notices
from shared.ledger.tables import accounts, anomalies, notices
from shared.observability.failpoints import Write

# Older days are stored and shown, and nobody is told of them any more.
TELL_DAYS: Final = 10
SUBJECT: Final = "anomalies"

Key = tuple[date, str, str]


@dataclass(frozen=True, slots=True)
class Changed:
    """An account whose data has changed since anomalies were last looked for in it; `looked_at` None: never."""

    id: int
    name: str
    provider: str
    looked_at: datetime | None = None
    first_look: date | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at one account has changed: anomalies that are new, and how many were cleared.

    `told` are those new ones that somebody is told of.
    """

    account: str
    new: tuple[Anomaly, ...] = ()
    told: tuple[Anomaly, ...] = ()
    cleared: int = 0


@dataclass(frozen=True, slots=True)
class _Judged:
    today: date
    verdict: Verdict


def changed_accounts(db: Database, *, limit: int) -> list[Changed]:
    """Some of the accounts that must be looked at, at most `limit`."""
    marks = select(notices.c.account_id, notices.c.document, notices.c.created_at, notices.c.day).where(_is_mark())
    stored = select(accounts.c.id, accounts.c.name, accounts.c.provider, accounts.c.data_version)
    with db.read() as connection:
        # Put together here: while the table of marks grows from nothing, PostgreSQL takes it for empty, and would
        # compare each account with each mark.
        seen = {account: mark for account, *mark in connection.execute(marks)}
        found = connection.execute(stored.where(accounts.c.data_version > 0))
        changed = (
            Changed(key, name, provider, looked_at, first_look)
            for key, name, provider, version in found
            for document, looked_at, first_look in [seen.get(key, (None, None, None))]
            if document != str(version)
        )
        return list(islice(changed, limit))


def look_at(db: Database, account: Changed, *, post: bool) -> Look:
    """Judge the days that changed, keep what is found, and note that it was done. With `post` notices wait to be sent.

    Of several that look at once, one writes; the others find that it has been done.
    """
    with db.read() as connection:
        reading = read(connection, account.id, looked_at=account.looked_at)
    # Outside of any transaction: it takes a while.
    verdict = find(reading.history, reading.days)
    with db.write(Write.LOOK) as connection:
        lock(connection, Lock.NOTICES)
        if not _mark(connection, account, reading):
            return Look(account.name)
        return _keep(connection, account, _Judged(reading.today, verdict), post=post)


def _is_mark() -> ColumnElement[bool]:
    return and_(notices.c.kind == NoticeKind.LOOKED.value, notices.c.subject == SUBJECT)


def _mark(connection: Connection, account: Changed, reading: Reading) -> bool:
    """Note how far has been looked; False when somebody else has looked meanwhile."""
    seen = select(notices.c.id, notices.c.created_at).where(notices.c.account_id == account.id, _is_mark())
    row = connection.execute(seen).one_or_none()
    if (None if row is None else row.created_at) != account.looked_at:
        return False
    if row is None:
        mark = {"account_id": account.id, "day": reading.today, "kind": NoticeKind.LOOKED.value, "subject": SUBJECT}
        connection.execute(insert(notices).values(document=str(reading.version), created_at=DatabaseNow(), **mark))
        return True
    mark_again = update(notices).where(notices.c.id == row.id)
    connection.execute(mark_again.values(document=str(reading.version), created_at=DatabaseNow()))
    return True


def _keep(connection: Connection, account: Changed, judged: _Judged, *, post: bool) -> Look:
    verdict = judged.verdict
    if not verdict.judged:
        return Look(account.name)
    stored = _stored(connection, account.id, min(verdict.judged) - ONE_DAY, max(verdict.judged))
    found = {(one.day, one.service, one.currency): one for one in verdict.anomalies}
    for key in found.keys() & stored.keys():
        _correct(connection, stored[key], found[key])
    gone = [row for key, row in stored.items() if key[0] in verdict.judged and key not in found and not row.cleared_at]
    _clear(connection, account.id, gone)
    new = tuple(one for key, one in found.items() if key not in stored)
    _insert(connection, account.id, new)
    told = tuple(one for one in new if _is_news(one, account, judged.today, _open(stored, found)))
    raise_notices(connection, [_notice(account, one, post=post) for one in told])
    return Look(account.name, new, told, len(gone))


def _stored(connection: Connection, account: int, start: date, end: date) -> dict[Key, Row[Any]]:
    query = select(anomalies).where(anomalies.c.account_id == account, anomalies.c.day.between(start, end))
    return {(row.day, row.service, row.currency): row for row in connection.execute(query)}


def _open(stored: Mapping[Key, Row[Any]], found: Iterable[Key]) -> set[Key]:
    return {*found, *(key for key, row in stored.items() if row.cleared_at is None)}


def _is_news(one: Anomaly, account: Changed, today: date, known: set[Key]) -> bool:
    """Whether somebody is to be told: of newest days only, and of days in a row once.

    A year of history that is collected at once, or a first look, tells of yesterday alone.
    """
    began = account.first_look or today
    oldest = max(began - ONE_DAY, today - timedelta(days=TELL_DAYS))
    before = one.day - ONE_DAY
    goes_on = before >= oldest and (before, one.service, one.currency) in known
    return one.day >= oldest and not goes_on


def _insert(connection: Connection, account: int, new: Sequence[Anomaly]) -> None:
    if new:
        connection.execute(
            insert(anomalies).values(found_at=DatabaseNow()),
            [{"account_id": account, **_key(one), **_figures(one)} for one in new],
        )


def _correct(connection: Connection, row: Row[Any], one: Anomaly) -> None:
    """A day restated, and still an anomaly; or one again."""
    figures = _figures(one)
    if row.cleared_at is not None or any(getattr(row, name) != value for name, value in figures.items()):
        again = update(anomalies).where(anomalies.c.id == row.id)
        connection.execute(again.values(cleared_at=None, **figures))


def _clear(connection: Connection, account: int, gone: Sequence[Row[Any]]) -> None:
    for row in gone:
        connection.execute(update(anomalies).where(anomalies.c.id == row.id).values(cleared_at=DatabaseNow()))
        # Nobody needs to hear of what is no longer so.
        waiting = and_(notices.c.account_id == account, notices.c.day == row.day, notices.c.sent_at.is_(None))
        about = and_(notices.c.kind == NoticeKind.ANOMALY.value, notices.c.subject == _subject(row))
        connection.execute(update(notices).where(waiting, about).values(next_try_at=None))


def _key(one: Anomaly) -> dict[str, Any]:
    return {"day": one.day, "service": one.service, "currency": one.currency}


def _figures(one: Anomaly) -> dict[str, Any]:
    return {"kind": one.kind.value, "expected": one.expected, "actual": one.actual, "score": round(one.score, 2)}


def _subject(one: Anomaly | Row[Any]) -> str:
    return f"{one.currency} {one.service}"


def _notice(account: Changed, one: Anomaly, *, post: bool) -> NewNotice:
    document = {
        "kind": NoticeKind.ANOMALY.value,
        "anomaly": one.kind.value,
        "account": account.name,
        "provider": account.provider,
        "day": one.day.isoformat(),
        "service": one.service,
        "currency": one.currency,
        "expected": amount(one.expected),
        "actual": amount(one.actual),
        "score": round(one.score, 2),
        "text": _sentence(account.name, one),
    }
    return NewNotice(account.id, one.day, NoticeKind.ANOMALY, _subject(one), document, post)


def _sentence(account: str, one: Anomaly) -> str:
    cost = f"{one.service} cost {one.actual:.2f} {one.currency} on {one.day}"
    return f"Holdfast: {account}: {cost}, where about {one.expected:.2f} was to be expected ({one.kind})."
