"""Keeping the sums of costs: what the journal has is carried over, step by step, and old accounts are gone through."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, exists, select, text, update

from shared.ledger import sums_sql
from shared.ledger.database import Database
from shared.ledger.locks import Lock, lock
from shared.ledger.postgresql import within
from shared.ledger.tables import accounts, cost_journal
from shared.observability.failpoints import Write

# Entries carried over in one transaction. Writers on SQLite wait for it, on PostgreSQL nobody does.
STEP: Final = {"sqlite": 10_000, "postgresql": 50_000}
# One account may have tens of millions of rows.
ACCOUNT_LIMIT_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Whether the journal has entries, and whether there are accounts that it has not seen."""

    entries: bool
    accounts: bool


def waiting(db: Database) -> Waiting:
    """What there is to do. Raises DatabaseUnavailableError."""
    with db.read() as connection:
        entries, left = exists(select(cost_journal.c.id)), exists().where(~accounts.c.journaled)
        return Waiting(*map(bool, connection.execute(select(entries, left)).one()))


def carry_over(db: Database, *, step: int | None = None) -> int:
    """Carry up to `step` entries of the journal over into the sums; returns how many, 0 when it was empty.

    At every moment, also in between, sums and journal together say what `costs` says. Any number of processes may do
    this at once. Raises DatabaseUnavailableError.
    """
    with db.write(Write.SUMS) as connection:
        lock(connection, Lock.SUMS)
        limit = {"step": step or STEP[db.dialect]}
        if db.dialect == "postgresql":
            return int(connection.execute(text(sums_sql.carry_over_at_once()), limit).scalar_one())
        newest, found = connection.execute(text(sums_sql.OLDEST), limit).one()
        if found:
            for statement in (*sums_sql.carry_over_in_steps(), sums_sql.REMOVE):
                connection.execute(text(statement), {"newest": newest})
        return int(found)


def journal_next_account(db: Database) -> str | None:
    """Write the costs of one account, stored before there was a journal, into it; its name, None when none is left.

    Until then its costs are read row by row. Raises DatabaseUnavailableError.
    """
    with within(ACCOUNT_LIMIT_S), db.write(Write.JOURNAL) as connection:
        if db.dialect == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = '{ACCOUNT_LIMIT_S:.0f}s'"))
        return _journal_next(connection)


def _journal_next(connection: Connection) -> str | None:
    left = select(accounts.c.id, accounts.c.name).where(~accounts.c.journaled).order_by(accounts.c.id).limit(1)
    # As a store does it: what is stored meanwhile is either among the costs that are read here, or journaled itself.
    found = connection.execute(left.with_for_update(key_share=True)).one_or_none()
    if found is None:
        return None
    connection.execute(update(accounts).where(accounts.c.id == found.id).values(journaled=True))
    connection.execute(text(sums_sql.OF_ACCOUNT), {"account": found.id})
    return str(found.name)
