"""Ledgers to measure: fresh databases as they run in production, and what stands beside every figure."""

import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import text

from shared.ledger.database import Database
from shared.ledger.migrate import upgrade
from tests.support.postgres import PostgresServer, start_postgres

T = TypeVar("T")

DIALECTS: Final = ("postgresql", "sqlite")
# Unlike in tests: commits reach the disk before they are answered, as PostgreSQL does by itself.
DURABLE: Final = ("max_connections=200", "shared_buffers=128MB")


def machine() -> str:
    """Processors, load and Python, to be printed above the figures."""
    one, five, _ = os.getloadavg()
    return f"{os.cpu_count()} processors, load {one:.1f} (5 min: {five:.1f}), Python {platform.python_version()}"


@contextlib.contextmanager
def durable_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL with its own defaults for durability."""
    server = start_postgres(DURABLE)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def fresh_url(dialect: str, server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database, dropped afterwards."""
    if dialect == "sqlite":
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
            yield f"sqlite:///{folder}/holdfast.db"
        return
    url = server.create_database()
    try:
        yield url
    finally:
        server.drop_database(url)


@contextlib.contextmanager
def ledger(url: str) -> Iterator[Database]:
    """The migrated ledger at `url`."""
    db = Database(url, pool_size=10)
    try:
        upgrade(db)
        yield db
    finally:
        db.dispose()


def without_journal(db: Database) -> None:
    """Have the database journal nothing of what comes to `costs`: for what storing took before there were sums."""
    only = " ON costs" if db.dialect == "postgresql" else ""
    with db.write() as connection:
        for event in ("insert", "delete", "update"):
            connection.execute(text(f"DROP TRIGGER journal_{event}{only}"))


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds that `work` took, and its answer."""
    began_s = time.perf_counter()
    answer = work()
    return time.perf_counter() - began_s, answer


def resident_mb() -> float:
    """Memory this process holds now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmRSS")
