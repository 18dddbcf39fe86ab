"""A backup taken while the ledger is in use, brought back as docs/operations.md says, and what follows of it."""

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from holdfast_cli.main import execute
from shared.bootstrap.dispatching import marker_key
from shared.core.costs import FetchedCosts
from shared.core.days import DayRange
from shared.core.runs import RunState
from shared.ledger.checking import LIVING_HOLDER, check
from shared.ledger.claims import claim_next_due, running_beats, take_back
from shared.ledger.database import Database
from shared.ledger.meta import ledger_id
from shared.ledger.planning import plan_catchup
from shared.ledger.queries import CostQuery, costs, data_version, find_runs
from shared.ledger.store import store
from tests.support.ledger import claimed, collected, cost_row, with_accounts
from tests.support.postgres import PostgresServer, postgres_folder
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.integration

WEEK = DayRange(date(2026, 1, 1), date(2026, 1, 7))
# Takes a backup of the database at the URL; called again, brings it back and returns its new URL.
Backup = Callable[[str], Callable[[], str]]


@pytest.fixture
def sqlite_backup(tmp_path: Path) -> Backup:
    def take(url: str) -> Callable[[], str]:
        copy = tmp_path / "copy.db"
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as live, closing(sqlite3.connect(copy)) as target:
            live.backup(target)  # what `.backup` of the sqlite3 command does

        def bring_back() -> str:
            restored = tmp_path / "restored.db"
            restored.write_bytes(copy.read_bytes())
            return f"sqlite:///{restored}"

        return bring_back

    return take


@pytest.fixture
def postgres_backup(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Backup]:
    folder = postgres_folder()
    assert folder is not None
    restored: list[str] = []

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run([str(folder / program), *arguments], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()

    def take(url: str) -> Callable[[], str]:
        dump = tmp_path / "holdfast.dump"
        run("pg_dump", "--format=custom", f"--file={dump}", url)

        def bring_back() -> str:
            restored.append(postgres_server.create_database())
            run("pg_restore", "--no-owner", f"--dbname={restored[-1]}", str(dump))
            return restored[-1]

        return bring_back

    yield take
    for url in restored:
        postgres_server.drop_database(url)


@pytest.fixture
def take_backup(request: pytest.FixtureRequest, database: Database) -> Backup:
    found: Backup = request.getfixturevalue(f"{'sqlite' if database.dialect == 'sqlite' else 'postgres'}_backup")
    return found


def test_what_a_restore_undid_is_collected_again_and_no_old_answer_comes_back(
    database: Database, database_url: str, take_backup: Backup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_accounts(database, "a", "b")
    collected(database, "a", WEEK, [cost_row(day, billed="1") for day in WEEK])
    in_hand = claimed(database, "b", WEEK)

    bring_back = take_backup(database_url)
    later = claimed(database, "a", WEEK)
    assert store(database, later, FetchedCosts([cost_row(day, billed="2") for day in WEEK]))
    assert store(database, in_hand, FetchedCosts([cost_row(day, billed="3") for day in WEEK]))
    lost_version = data_version(database)

    url = bring_back()
    db = Database(url)
    try:
        assert ledger_id(db) == ledger_id(database)
        assert [str(row["amount"]) for row in costs(db, CostQuery(days=WEEK, group_by=())).rows] == ["7"]
        assert {run.state for run in find_runs(db, account="b").runs} == {RunState.RUNNING}
        assert [found.name for found in check(db, grace_s=0) if found.broken] == [LIVING_HOLDER]

        with RedisServer() as server, server.admin() as admin:
            admin.set(marker_key("holdfast"), "7b0c9a52-0000-4000-8000-000000000000")
            monkeypatch.chdir(tmp_path)
            monkeypatch.setenv("DATABASE_URL", url)
            monkeypatch.setenv("REDIS_URL", server.url)
            assert execute(["ledger", "adopt"]) == 0
            assert admin.get(marker_key("holdfast")) == str(ledger_id(db)).encode()

        # The run that was in hand belongs to nobody any more, and is done by another.
        (beat,) = running_beats(db)
        assert take_back(db, beat)
        assert store(db, in_hand, FetchedCosts([])) is None
        again = claim_next_due(db, holder="worker")
        assert again
        assert store(db, again, FetchedCosts([cost_row(day, billed="3") for day in WEEK]))
        assert plan_catchup(db, days=WEEK) == []
        assert data_version(db) > lost_version
        assert not any(found.broken for found in check(db, grace_s=0, at_rest=True))
    finally:
        db.dispose()
