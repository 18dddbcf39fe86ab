"""SQLite as the ledger needs it: WAL, transactions begun by us, an exact sum."""

import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, event

from shared.ledger.money import ExactSumAggregate, exact_sum_of_list, group_key, plus

BUSY_TIMEOUT_S: Final = 30
# An execution option: this transaction may write.
WRITES: Final = "holdfast_writes"

PRAGMAS: Final = (
    # First: switching to WAL may itself have to wait for another process that does the same.
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}",
    "PRAGMA journal_mode = WAL",
    # The file stays sound whatever happens; only a power cut may cost the last commits.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
)


def prepare(engine: Engine) -> None:
    """Have `engine` open connections with the ledger's pragmas and begin its transactions itself."""

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: Any) -> None:
        # Python's driver would begin transactions only at the first write, which is too late (see `begin`).
        connection.isolation_level = None
        for pragma in PRAGMAS:
            connection.execute(pragma).close()
        connection.create_function("now_utc", 0, _now_utc)
        connection.create_function("exact_sum_of_list", 1, exact_sum_of_list, deterministic=True)
        connection.create_function("exact_plus", 2, plus, deterministic=True)
        connection.create_function("group_key", -1, group_key, deterministic=True)
        connection.create_aggregate("exact_sum", 1, ExactSumAggregate)  # type: ignore[arg-type] # the stubs know only integers

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads and then writes fails at once, whatever the busy timeout, if another wrote in
        # between. IMMEDIATE takes the write lock first, and waits for it.
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def interrupt(connection: sqlite3.Connection) -> None:
    """Have the statement that another thread runs on `connection` fail, if there is one."""
    with suppress(sqlite3.ProgrammingError):  # closed meanwhile
        connection.interrupt()


def _now_utc() -> str:
    # SQLite's own clock has milliseconds, and two things of one millisecond could not be told apart. With six digits,
    # and so written, instants made here and instants bound by SQLAlchemy sort as text.
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
