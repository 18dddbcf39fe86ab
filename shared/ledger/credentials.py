"""Whether the workers can sign in as each account: one of them checks, every process reads what it found.

A check has a turn. Who begins raises the row's turn to an odd number by compare-and-set, and writes the result under
it; the even number after it says that nobody is at it. Who dies in between leaves an odd number behind: others take
over once they have seen it stand still for long enough by their own clocks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, exc, insert, select, update

from shared.core.credentials import CHECKED_PROVIDERS, UNKNOWN, Credential, CredentialStatus, Finding, merged
from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.tables import accounts, credentials
from shared.ledger.texts import storable
from shared.observability.failpoints import Write

CODE_CHARS: Final = 100
TEXT_CHARS: Final = 400


@dataclass(frozen=True, slots=True)
class CredentialsSeen:
    """The credentials of each account that collects, and when they were read, by the database's clock.

    `idle` names the accounts that are paused or held: nobody signs in as them.
    """

    now: datetime
    credentials: tuple[Credential, ...]
    idle: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Recorded:
    """An account's credentials before and after a check."""

    before: Credential
    after: Credential


def read_credentials(db: Database) -> CredentialsSeen:
    """What is known of each account of a provider that asks who we are, as far as it is in the accounts file.

    Those never checked come first, then by their last check, oldest first.
    """
    query = _query(outer=True).add_columns((accounts.c.paused | accounts.c.held).label("idle"))
    with db.read() as connection:
        at = now(connection)
        rows = connection.execute(query.where(~accounts.c.removed, accounts.c.provider.in_(CHECKED_PROVIDERS))).all()
    long_ago = datetime.min.replace(tzinfo=at.tzinfo)
    found = [_credential(row) for row in rows if not row.idle]
    return CredentialsSeen(
        at,
        tuple(sorted(found, key=lambda each: (each.checked_at or long_ago, each.account_id))),
        frozenset(row.name for row in rows if row.idle),
    )


def credentials_by_account(connection: Connection) -> Mapping[int, Credential]:
    """What has been found, by account id; of paused and removed accounts, too."""
    return {row.id: _credential(row) for row in connection.execute(_query())}


def begin_check(db: Database, credential: Credential) -> int | None:
    """Take the account's turn; the turn to `record_finding` under, None when somebody else was first."""
    # From an even number to the next odd one; over somebody's odd number, who seems to have died, to the one after.
    turn = credential.turn + (2 if credential.turn % 2 else 1)
    known = and_(credentials.c.account_id == credential.account_id, credentials.c.turn == credential.turn)
    with db.write(Write.CREDENTIALS_TURN) as connection:
        if connection.execute(update(credentials).where(known).values(turn=turn)).rowcount:
            return turn
        return turn if credential.turn == 0 and _insert(connection, credential.account_id, turn) else None


def record_finding(db: Database, account_id: int, turn: int, found: Finding) -> Recorded | None:
    """Write what was found in that turn; None when it was somebody else's meanwhile. A new status begins now."""
    with db.write(Write.CREDENTIALS_FOUND) as connection:
        mine = and_(credentials.c.account_id == account_id, credentials.c.turn == turn)
        row = connection.execute(_query().where(mine).with_for_update(of=credentials)).one_or_none()
        if row is None:
            return None
        before = _credential(row)
        at = now(connection)
        known = _storable(merged(before, found))
        same = before.checked and before.found.status is known.status
        after = replace(before, found=known, since=before.since if same else at, checked_at=at, turn=turn + 1)
        connection.execute(update(credentials).where(mine).values(_columns(after)))
        return Recorded(before, after)


def _insert(connection: Connection, account_id: int, turn: int) -> bool:
    row = insert(credentials).values(
        account_id=account_id,
        status=UNKNOWN.status.value,
        code=UNKNOWN.code,
        summary=UNKNOWN.summary,
        hint=UNKNOWN.hint,
        since=DatabaseNow(),
        checked_at=DatabaseNow(),
        turn=turn,
    )
    try:
        with connection.begin_nested():
            connection.execute(row)
    except exc.IntegrityError:
        return False
    return True


def _columns(credential: Credential) -> dict[str, Any]:
    found = credential.found
    return {
        "status": found.status.value,
        "code": found.code,
        "summary": found.summary,
        "hint": found.hint,
        "since": credential.since,
        "checked_at": credential.checked_at,
        "turn": credential.turn,
    }


def _storable(found: Finding) -> Finding:
    def cut(text: str | None, length: int) -> str | None:
        return None if text is None else storable(text, length)

    return Finding(
        found.status, cut(found.code, CODE_CHARS), cut(found.summary, TEXT_CHARS), cut(found.hint, TEXT_CHARS)
    )


def _query(*, outer: bool = False) -> Select[Any]:
    return select(
        accounts.c.id,
        accounts.c.name,
        accounts.c.provider,
        credentials.c.status,
        credentials.c.code,
        credentials.c.summary,
        credentials.c.hint,
        credentials.c.since,
        credentials.c.checked_at,
        credentials.c.turn,
    ).select_from(accounts.join(credentials, credentials.c.account_id == accounts.c.id, isouter=outer))


def _credential(row: Row[Any]) -> Credential:
    if row.status is None:
        return Credential(row.id, row.name, row.provider, UNKNOWN, None, None)
    found = Finding(CredentialStatus(row.status), row.code, row.summary, row.hint)
    return Credential(row.id, row.name, row.provider, found, row.since, row.checked_at, row.turn)
