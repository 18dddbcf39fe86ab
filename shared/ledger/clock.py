"""The database's clock."""

from datetime import datetime

from sqlalchemy import Connection, select

from shared.ledger.columns import DatabaseNow


def now(connection: Connection) -> datetime:
    """The instant by the database's clock; hosts' clocks are never compared with it."""
    return connection.execute(select(DatabaseNow())).scalar_one()
