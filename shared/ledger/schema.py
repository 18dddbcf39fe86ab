"""Bringing the schema up to this release, under a lock."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text

from shared.core.errors import SchemaTooNewError
from shared.ledger.database import Database
from shared.ledger.locks import Lock, lock
from shared.ledger.postgresql import within
from shared.observability.failpoints import Write

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER: Final = Path(__file__).parent / "migrations"
# Every revision, the first one first: known here, so that Alembic, which takes half a second to import, is needed only
# where something is to be migrated.
REVISIONS: Final = ("0001", "0002", "0003", "0004")
HEAD: Final = REVISIONS[-1]
# Waiting for another process's migration included.
LIMIT_S: Final = 600.0
# Where Alembic keeps the revision of a database.
_version = Table("alembic_version", MetaData(), Column("version_num", String(32)))
# It keeps what it works on in module globals.
_one_at_a_time = threading.Lock()


def upgrade(db: Database) -> None:
    """Create or migrate the schema; nothing to do when it is up to date. Any number may call it at once.

    Raises SchemaTooNewError when a newer release has migrated it, DatabaseUnavailableError when it is away.
    """
    if schema_ready(db):
        return
    with within(LIMIT_S), _one_at_a_time, db.write(Write.MIGRATION) as connection:
        if db.dialect == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = '{LIMIT_S:.0f}s'"))
        lock(connection, Lock.MIGRATION)
        if not _is_current(connection):
            from alembic import command  # noqa: PLC0415 - as said above

            command.upgrade(config(connection), "head")


def schema_ready(db: Database) -> bool:
    """Whether the schema is this release's. Raises SchemaTooNewError when it is a newer one's."""
    with db.read() as connection:
        return _is_current(connection)


def config(connection: Connection | None = None) -> "Config":
    """What Alembic's commands need to know; they work on `connection` and its transaction."""
    from alembic.config import Config  # noqa: PLC0415 - as said above

    found = Config()
    # A percent sign in the path would be read as the start of an interpolation.
    found.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    found.attributes["connection"] = connection
    return found


def _is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table(_version.name):
        return False
    found = connection.execute(select(_version.c.version_num)).scalar()
    if found is not None and found not in REVISIONS:
        raise SchemaTooNewError(found=found, known=HEAD)
    return found == HEAD
