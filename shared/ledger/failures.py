"""Telling a database that is away from a mistake of ours."""

import sqlite3
from typing import Final

import psycopg
from sqlalchemy import exc

# Primary result codes of SQLite (the low byte of an extended one) that say nothing about our statement.
SQLITE_AWAY: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_NOTADB,
    }
)
UNDEFINED_TABLE: Final = "42P01"
# A standby, or a primary that was demoted while we were connected.
READ_ONLY: Final = "25006"

NOT_MIGRATED: Final = "the database's tables are not there yet; the migration has not run"
POOL_EXHAUSTED: Final = "every pooled connection to the database is in use"


def summary_of(error: BaseException) -> str | None:
    """One line when `error` says that the database is away, busy or not migrated yet; None for anything else."""
    if isinstance(error, exc.TimeoutError):
        return POOL_EXHAUSTED
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(cause, psycopg.Error):
        return _of_postgresql(cause)
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    return None


def _of_postgresql(error: psycopg.Error) -> str | None:
    if error.sqlstate == UNDEFINED_TABLE:
        return NOT_MIGRATED
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or error.sqlstate == READ_ONLY:
        return _first_line(error)
    return None


def _of_sqlite(error: sqlite3.Error) -> str | None:
    if "no such table" in str(error):
        return NOT_MIGRATED
    code = getattr(error, "sqlite_errorcode", None)
    return _first_line(error) if code is not None and code & 0xFF in SQLITE_AWAY else None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
