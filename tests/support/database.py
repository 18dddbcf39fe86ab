"""Databases for tests: fixtures that give every test a fresh one, on SQLite and on a real PostgreSQL."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.postgres import PostgresServer, start_postgres

if TYPE_CHECKING:
    from shared.ledger.database import Database

DIALECTS = ("sqlite", "postgresql")
# What takes minutes runs on one database in `make test` and on each in `make soak`.
LONG_DIALECTS = DIALECTS if os.environ.get("EVERY_DATABASE") else DIALECTS[:1]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole session; who stops it must start it again."""
    server = start_postgres()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A new, empty PostgreSQL database."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database that does not exist yet, nor does its folder."""
    return f"sqlite:///{tmp_path}/var/holdfast.db"


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database: each test runs on SQLite and on PostgreSQL."""
    return _empty(request)


@pytest.fixture(params=LONG_DIALECTS)
def long_test_url(request: pytest.FixtureRequest) -> str:
    """An empty database for a test that takes minutes: SQLite; with EVERY_DATABASE set, PostgreSQL as well."""
    return _empty(request)


@pytest.fixture
def database(database_url: str) -> Iterator["Database"]:
    """A migrated database: each test runs on SQLite and on PostgreSQL."""
    yield from _migrated(database_url)


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator["Database"]:
    """A migrated SQLite database."""
    yield from _migrated(sqlite_url)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator["Database"]:
    """A migrated PostgreSQL database."""
    yield from _migrated(postgres_url)


def _empty(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]))


def _migrated(url: str) -> Iterator["Database"]:
    from shared.ledger.database import Database
    from shared.ledger.migrate import upgrade

    database = Database(url)
    try:
        upgrade(database)
        yield database
    finally:
        database.dispose()
