"""The accounts as the accounts file names them, with what the ledger knows of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, insert, select, update

from shared.core.errors import UnknownAccountError
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.locks import Lock, lock
from shared.ledger.tables import accounts
from shared.ledger.texts import is_storable
from shared.observability.failpoints import Write


class AccountFacts(NamedTuple):
    """An account as the accounts file has it. Of those with the same `lane`, one is collected at a time."""

    name: str
    provider: str
    paused: bool
    lane: str | None = None


# More stores than any account sees between a backup and its return.
RESTORED: Final = 1_000_000

# In the order of LedgerAccount's fields.
_QUERY: Final = select(
    accounts.c.id,
    accounts.c.name,
    accounts.c.provider,
    accounts.c.paused,
    accounts.c.removed,
    accounts.c.data_version,
    accounts.c.held,
    accounts.c.lane,
)


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """An account. `removed` ones are no longer in the accounts file; their history stays, their runs wait.

    `paused` is what the accounts file says, `held` what an operator's command said; either keeps it from being
    collected.
    """

    id: int
    name: str
    provider: str
    paused: bool
    removed: bool
    data_version: int
    held: bool = False
    lane: str | None = None


def sync_accounts(db: Database, configured: Sequence[AccountFacts | tuple[str, str, bool]]) -> None:
    """Make the ledger's accounts those of the file: absent ones are marked removed, returning ones go on.

    Writes only what differs. Names must be unique (ValueError).
    """
    wanted = {facts[0]: AccountFacts(*facts) for facts in configured}
    if len(wanted) != len(configured):
        raise ValueError("two accounts of one name")
    with db.write(Write.ACCOUNTS) as connection:
        lock(connection, Lock.ACCOUNTS)
        known = {account.name: account for account in _all(connection)}
        _insert(connection, [facts for name, facts in wanted.items() if name not in known])
        for name, facts in wanted.items():
            was = known.get(name)
            if was is not None and (AccountFacts(name, was.provider, was.paused, was.lane), was.removed) != (
                facts,
                False,
            ):
                _change(connection, was.id, removed=False, **facts._asdict())
        for was in known.values():
            if was.name not in wanted and not was.removed:
                _change(connection, was.id, removed=True)


def outdate_answers(db: Database) -> None:
    """Raise every account's data version past all that may be cached, for a database that was restored.

    Its versions have gone back, and will come to numbers again under which other answers are kept.
    """
    with db.write(Write.OUTDATE) as connection:
        connection.execute(update(accounts).values(data_version=accounts.c.data_version + RESTORED))


def list_accounts(db: Database) -> list[LedgerAccount]:
    """Every account there ever was, by name."""
    with db.read() as connection:
        return sorted(_all(connection), key=lambda account: account.name)


def require_account(db: Database, name: str) -> None:
    """Raise UnknownAccountError unless there is, or was, an account of that name."""
    with db.read() as connection:
        account_id(connection, name)


def account_id(connection: Connection, name: str) -> int:
    """The id of the account `name`, removed or not. Raises UnknownAccountError."""
    query = select(accounts.c.id).where(accounts.c.name == name)
    found: int | None = connection.execute(query).scalar_one_or_none() if is_storable(name) else None
    if found is None:
        raise UnknownAccountError(account=name)
    return found


def account_of(connection: Connection, key: int) -> LedgerAccount:
    """The account of that id, which must exist."""
    return LedgerAccount(*connection.execute(_QUERY.where(accounts.c.id == key)).one())


def _all(connection: Connection) -> list[LedgerAccount]:
    return [LedgerAccount(*row) for row in connection.execute(_QUERY)]


def _insert(connection: Connection, new: Sequence[AccountFacts]) -> None:
    if not new:
        return
    connection.execute(
        insert(accounts).values(removed=False, created_at=DatabaseNow()),
        [facts._asdict() for facts in new],
    )


def _change(connection: Connection, account: int, **values: str | bool | None) -> None:
    connection.execute(update(accounts).where(accounts.c.id == account).values(**values))
