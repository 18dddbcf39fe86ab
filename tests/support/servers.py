"""Fixtures of servers that a test has for itself: it may kill, freeze and wipe them."""

from collections.abc import Iterator

import pytest

from shared.ledger.database import Database
from shared.ledger.migrate import upgrade
from tests.support.need import skip_or_fail
from tests.support.postgres import PostgresServer, start_postgres
from tests.support.redis_server import RedisServer, find_binary


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis."""
    if find_binary() is None:
        skip_or_fail("no redis-server")
    with RedisServer() as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL."""
    postgres = start_postgres()
    yield postgres
    postgres.close()


@pytest.fixture
def own_database(own_server: PostgresServer) -> Iterator[Database]:
    """The migrated database of that PostgreSQL."""
    db = Database(own_server.url())
    upgrade(db)
    yield db
    db.dispose()
