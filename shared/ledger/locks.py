"""Locks that hold until the transaction ends: advisory ones on PostgreSQL; SQLite has one writer at a time anyway."""

from enum import IntEnum
from typing import Final

from sqlalchemy import Connection, func, select

# Advisory locks of one database share one space of numbers; ours begin with these four letters.
HOLD: Final = int.from_bytes(b"HOLD", "big")


class Lock(IntEnum):
    """What is locked."""

    MIGRATION = 1
    PLANNER = 2
    DISPATCH = 3
    ACCOUNTS = 4
    ALERTS = 5
    NOTICES = 6
    SUMS = 7


def lock(connection: Connection, what: Lock) -> None:
    """Wait for `what`; it is released with the transaction, which must be one of `Database.write`."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(HOLD, int(what))))
