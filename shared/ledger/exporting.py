"""Handing out what is stored, of any size: one state of the ledger, a few thousand rows in memory at a time."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, Select, Text, cast, collate, func, select, type_coerce

from shared.core.backfill import runs_of
from shared.core.costs import CoverageState
from shared.core.days import DayRange
from shared.core.exports import StoredRow
from shared.ledger.accounts import account_id
from shared.ledger.database import Database
from shared.ledger.tables import accounts, costs, coverage

BATCH_ROWS: Final = 5_000
TEXTS: Final = (costs.c.sub_account, costs.c.provider_name, costs.c.service, costs.c.charge_category, costs.c.currency)


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Which rows: of `days`, of the account with this configured name, or of all when None."""

    days: DayRange
    account: str | None = None


def exported(db: Database, query: ExportQuery) -> Generator[Sequence[StoredRow], None, None]:
    """The rows in batches, by account, day, then group; the same order on every database.

    The transaction lasts until the iterator is used up or closed. Raises UnknownAccountError at the first batch,
    DatabaseUnavailableError at any.
    """
    with db.snapshot() as connection:
        for key, name in _accounts(connection, query.account):
            states = _states(connection, key, query.days)
            # A month at a time: whatever a database sorts to keep the order stays small.
            for days in reversed(runs_of(states)):
                with closing(_batches(connection, key, days)) as batches:
                    for batch in batches:
                        yield [StoredRow(name, states[row[0]], *row) for row in batch]


def _accounts(connection: Connection, account: str | None) -> list[tuple[int, str]]:
    if account is not None:
        return [(account_id(connection, account), account)]
    found = connection.execute(select(accounts.c.id, accounts.c.name)).tuples()
    # Here rather than in the database: collations differ.
    return sorted(found, key=lambda pair: pair[1])


def _states(connection: Connection, account: int, days: DayRange) -> dict[date, CoverageState]:
    """The days that have rows, with what is known of each."""
    query = select(coverage.c.day, coverage.c.state).where(
        coverage.c.account_id == account, coverage.c.day.between(days.start, days.end), coverage.c.rows > 0
    )
    return {day: CoverageState(state) for day, state in connection.execute(query).tuples()}


def _batches(connection: Connection, account: int, days: DayRange) -> Generator[Sequence[Any], None, None]:
    query = _rows(connection.dialect.name).where(
        costs.c.account_id == account, costs.c.day.between(days.start, days.end)
    )
    # With yield_per PostgreSQL keeps a cursor and sends a batch when asked; SQLite reads as it goes anyway.
    with connection.execute(query, execution_options={"yield_per": BATCH_ROWS}) as found:
        yield from found.partitions()


def _rows(dialect: str) -> Select[Any]:
    amounts = (costs.c.billed, costs.c.effective)
    if dialect == "postgresql":
        texts: list[Any] = [cast(func.trim_scale(amount), Text) for amount in amounts]
        order: list[Any] = [collate(text, "C") for text in TEXTS]
    else:  # it keeps them as the text that is wanted, and compares bytes
        texts = [type_coerce(amount, Text()) for amount in amounts]
        order = list(TEXTS)
    return select(costs.c.day, *TEXTS, *texts).order_by(costs.c.day, *order)
