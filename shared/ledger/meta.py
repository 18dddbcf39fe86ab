"""Facts of this installation: whose ledger it is, and which Redis server it last sent to."""

from uuid import UUID

from sqlalchemy import select, update

from shared.ledger.database import Database
from shared.ledger.tables import installation
from shared.observability.failpoints import Write


def ledger_id(db: Database) -> UUID:
    """The id made with the database; it never changes."""
    with db.read() as connection:
        return UUID(connection.execute(select(installation.c.ledger_id)).scalar_one())


def remembered_redis_run_id(db: Database) -> str | None:
    """The run id of the Redis server that holds our queue, None before the first."""
    with db.read() as connection:
        run_id: str | None = connection.execute(select(installation.c.redis_run_id)).scalar_one()
        return run_id


def remember_redis_run_id(db: Database, run_id: str | None) -> None:
    """Keep `run_id` for every process: another one found later means that Redis lost what we sent."""
    with db.write(Write.REDIS_RUN_ID) as connection:
        connection.execute(update(installation).values(redis_run_id=run_id))
