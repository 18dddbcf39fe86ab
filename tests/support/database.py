"""Databases for tests: fixtures that give every test a fresh one, on SQLite and on a real PostgreSQL."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import update

from tests.support.postgres import PostgresServer, start_postgres

if TYPE_CHECKING:
    from shared.ledger.database import Database

DIALECTS = ("sqlite", "postgresql")
# Fixtures that promise a schema.
MIGRATED = frozenset({"database", "postgres_database"})
# What takes minutes runs on one database in `make test` and on each in `make soak`.
LONG_DIALECTS = DIALECTS if os.environ.get("EVERY_DATABASE") else DIALECTS[:1]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole session; who stops it must start it again."""
    server = start_postgres()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new PostgreSQL database: empty, unless the test wants it migrated as well."""
    migrated = not MIGRATED.isdisjoint(request.fixturenames)
    url = postgres_server.create_database(*([request.getfixturevalue("postgres_template")] if migrated else []))
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
def database(database_url: str, request: pytest.FixtureRequest) -> Iterator["Database"]:
    """A migrated database: each test runs on SQLite and on PostgreSQL."""
    yield from _migrated(database_url, request)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied: migrating each test's own would take longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "holdfast.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a migrated PostgreSQL database, to be copied."""
    url = postgres_server.create_database()
    _migrate(url)
    return url.rpartition("/")[2]


@pytest.fixture
def sqlite_database(sqlite_url: str, request: pytest.FixtureRequest) -> Iterator["Database"]:
    """A migrated SQLite database."""
    yield from _migrated(sqlite_url, request)


@pytest.fixture
def postgres_database(postgres_url: str, request: pytest.FixtureRequest) -> Iterator["Database"]:
    """A migrated PostgreSQL database."""
    yield from _migrated(postgres_url, request)


def _empty(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]))


def _migrate(url: str) -> None:
    from shared.ledger.database import Database
    from shared.ledger.migrate import upgrade

    database = Database(url)
    upgrade(database)
    database.dispose()


def _migrated(url: str, request: pytest.FixtureRequest) -> Iterator["Database"]:
    """A copy of the template, with an id and a birth of its own, which the first migration makes."""
    from shared.ledger.clock import now
    from shared.ledger.database import Database
    from shared.ledger.migrate import upgrade
    from shared.ledger.tables import installation

    if url.startswith("sqlite"):
        copy = Path(url.removeprefix("sqlite:///"))
        copy.parent.mkdir()
        shutil.copy(request.getfixturevalue("sqlite_template"), copy)
    database = Database(url)
    try:
        # Nothing to do, but where a fixture asked for this one by a name that pytest learns too late.
        upgrade(database)
        with database.write() as connection:
            own = {"ledger_id": str(uuid4()), "created_at": now(connection)}
            connection.execute(update(installation).values(own))
        yield database
    finally:
        database.dispose()
