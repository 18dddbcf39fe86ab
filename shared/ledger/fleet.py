"""The fleet: every process writes a beat now and then, so that any of them can tell who lives."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, delete, insert, select, update

from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.tables import processes as table
from shared.observability.failpoints import Write

# Beats come every 5 s at most; a process unseen for this long is gone, or cut off from the database.
GONE_AFTER_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class ProcessBeat:
    """A living process. `redis` is the state of its link; `seen_at` is set by the database, None before it is read."""

    id: str
    name: str
    host: str
    pid: int
    version: str
    started_at: datetime
    redis: str
    seen_at: datetime | None = None


def beat(db: Database, process: ProcessBeat) -> None:
    """Write that `process` lives, and forget the processes that are gone."""
    facts = {
        "name": process.name,
        "host": process.host,
        "pid": process.pid,
        "version": process.version,
        "started_at": process.started_at,
        "redis": process.redis,
        "seen_at": DatabaseNow(),
    }
    with db.write(Write.FLEET_BEAT) as connection:
        known = connection.execute(update(table).where(table.c.id == process.id).values(facts)).rowcount
        if not known:
            connection.execute(insert(table).values(id=process.id, **facts))
            forget_gone(connection)


def forget(db: Database, process_id: str) -> None:
    """Take a process that ends out of the list."""
    with db.write(Write.FLEET_LEAVE) as connection:
        connection.execute(delete(table).where(table.c.id == process_id))


def forget_gone(connection: Connection) -> int:
    """Take out the processes that were not seen for a minute; returns how many."""
    gone: CursorResult[Any] = connection.execute(delete(table).where(table.c.seen_at < _oldest(connection)))
    return gone.rowcount


def processes(db: Database) -> list[ProcessBeat]:
    """The processes seen in the last minute, by name, host and pid."""
    with db.read() as connection:
        query = select(
            table.c.id,
            table.c.name,
            table.c.host,
            table.c.pid,
            table.c.version,
            table.c.started_at,
            table.c.redis,
            table.c.seen_at,
        )
        found = connection.execute(query.where(table.c.seen_at >= _oldest(connection)))
        beats = [ProcessBeat(*row) for row in found]
    return sorted(beats, key=lambda process: (process.name, process.host, process.pid))


def _oldest(connection: Connection) -> datetime:
    return now(connection) - timedelta(seconds=GONE_AFTER_S)
