"""Bringing the schema up to this release, under a lock."""

import threading
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from shared.core.errors import SchemaTooNewError
from shared.ledger.database import Database
from shared.ledger.locks import Lock, lock
from shared.ledger.postgresql import within
from shared.observability.failpoints import Write

FOLDER: Final = Path(__file__).parent / "migrations"
# Waiting for another process's migration included.
LIMIT_S: Final = 600.0
# Alembic keeps what it works on in module globals.
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
            command.upgrade(_config(connection), "head")


def schema_ready(db: Database) -> bool:
    """Whether the schema is this release's. Raises SchemaTooNewError when it is a newer one's."""
    with db.read() as connection:
        return _is_current(connection)


def head() -> str:
    """The revision that this release brings a database to."""
    return str(_scripts().get_current_head())


def _is_current(connection: Connection) -> bool:
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise SchemaTooNewError(found=found, known=head())
    return found == head()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    # A percent sign in the path would be read as the start of an interpolation.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
