"""A database that is away, locked, frozen or not migrated is one error, soon, and no lasting harm."""

import sqlite3
import threading
import time
from decimal import Decimal

import pytest
from sqlalchemy import text

from shared.core.days import DayRange
from shared.core.errors import DatabaseUnavailableError
from shared.ledger import database as database_module
from shared.ledger import sqlite
from shared.ledger.claims import claim_next_due, renew, running_beats
from shared.ledger.database import Database
from shared.ledger.failures import NOT_MIGRATED, POOL_EXHAUSTED
from shared.ledger.meta import ledger_id
from shared.ledger.migrate import upgrade
from shared.ledger.planning import plan_catchup
from shared.ledger.queries import CostQuery, costs, run_counts
from tests.support.ledger import JANUARY, claimed, collected, cost_row, with_accounts
from tests.support.postgres import free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


def is_up(db):
    try:
        return db.ping() >= 0
    except DatabaseUnavailableError:
        return False


def test_what_a_block_wrote_is_committed_at_its_end(database):
    with_accounts(database, "corp")
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM accounts")).scalar_one() == 1


def test_what_a_failing_block_wrote_is_undone(database):
    def fail():
        with database.write() as connection:
            connection.execute(text("DELETE FROM installation"))
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert ledger_id(database) is not None


def test_a_mistake_of_ours_is_not_called_an_absent_database(database):
    with pytest.raises(Exception, match="no_such_column") as caught, database.read() as connection:
        connection.execute(text("SELECT no_such_column FROM accounts"))
    assert not isinstance(caught.value, DatabaseUnavailableError)


def test_a_database_without_tables_is_unavailable_and_says_why(database_url):
    db = Database(database_url)
    try:
        with pytest.raises(DatabaseUnavailableError) as caught:
            run_counts(db)
        assert caught.value.summary == NOT_MIGRATED
        assert db.ping() >= 0
    finally:
        db.dispose()


def test_a_port_that_nobody_listens_on_is_unavailable_at_once(monkeypatch):
    monkeypatch.setattr(database_module, "PING_LIMIT_S", 60)
    db = Database(f"postgresql://user:hunter22@127.0.0.1:{free_port()}/holdfast")
    started_s = time.monotonic()
    with pytest.raises(DatabaseUnavailableError) as caught:
        db.ping()
    assert time.monotonic() - started_s < 20
    assert "hunter22" not in caught.value.summary
    with pytest.raises(DatabaseUnavailableError):
        claim_next_due(db, holder="w")
    db.dispose()


def test_a_full_pool_is_unavailable_rather_than_a_wait_for_ever(database_url, monkeypatch):
    monkeypatch.setattr(database_module, "POOL_TIMEOUT_S", 0.1)
    monkeypatch.setattr(database_module, "POOL_OVERFLOW", 0)
    db = Database(database_url, pool_size=1)
    with db.read(), pytest.raises(DatabaseUnavailableError, match=POOL_EXHAUSTED):
        db.ping()
    assert db.ping() >= 0
    db.dispose()


def test_a_restarted_server_is_used_again_without_a_new_start(own_server, own_database):
    with_accounts(own_database, "corp")
    held = claimed(own_database, "corp", JANUARY)
    own_server.stop()
    for attempt in (lambda: run_counts(own_database), lambda: renew(own_database, [held]), own_database.ping):
        with pytest.raises(DatabaseUnavailableError):
            attempt()
    own_server.start()
    assert renew(own_database, [held]) == {held.run.id}
    assert own_database.ping() >= 0


def test_a_server_that_crashes_under_a_transaction_loses_it_and_nothing_else(own_server, own_database):
    with_accounts(own_database, "corp")
    pause = text("UPDATE accounts SET paused = true")

    def crash_in_the_middle():
        with own_database.write() as connection:
            connection.execute(pause)
            own_server.kill()
            connection.execute(pause)

    with pytest.raises(DatabaseUnavailableError):
        crash_in_the_middle()
    own_server.start()
    assert [run.account for run in plan_catchup(own_database, days=JANUARY)] == ["corp"]


def test_a_block_s_own_error_is_not_hidden_by_a_database_that_cannot_undo_any_more(own_server, own_database):
    def fail_after_the_crash():
        with own_database.write() as connection:
            connection.execute(text("UPDATE accounts SET paused = true"))
            own_server.kill()
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail_after_the_crash()
    own_server.start()
    assert own_database.ping() >= 0


def test_a_commit_that_was_cut_off_is_told_to_be_uncertain(own_server, own_database):
    def crash_before_the_commit():
        with own_database.write() as connection:
            connection.execute(text("UPDATE accounts SET paused = true"))
            own_server.kill()

    with pytest.raises(DatabaseUnavailableError) as caught:
        crash_before_the_commit()
    assert caught.value.uncertain


def test_a_frozen_server_is_given_up_and_used_again_when_it_thaws(own_server, own_database, monkeypatch):
    assert own_database.ping() >= 0
    monkeypatch.setattr(database_module, "PING_LIMIT_S", 0.5)
    own_server.freeze()
    started_s = time.monotonic()
    # Also the connections that the pool would make now: the first of them waits for its greeting.
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError):
            own_database.ping()
    # psycopg grants a connection two seconds at least; without a limit an answer is waited for for 35 s.
    assert time.monotonic() - started_s < 25
    monkeypatch.undo()
    own_server.thaw()
    wait_for(lambda: is_up(own_database), 20, "the thawed server answers")
    assert run_counts(own_database)


def test_a_statement_that_takes_too_long_is_given_up_by_the_server(postgres_database):
    def take_long():
        with postgres_database.read() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '100ms'"))
            connection.execute(text("SELECT pg_sleep(10)"))

    with pytest.raises(DatabaseUnavailableError, match="statement timeout"):
        take_long()
    with postgres_database.read() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "30s"
        assert connection.execute(text("SHOW TimeZone")).scalar_one() == "UTC"


def test_writers_on_sqlite_wait_for_one_another(sqlite_database):
    with_accounts(sqlite_database, "corp")
    entered = threading.Event()
    order = []

    def second():
        entered.wait(10)
        with sqlite_database.write() as connection:
            connection.execute(text("UPDATE accounts SET paused = 0"))
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with sqlite_database.write() as connection:
        connection.execute(text("SELECT count(*) FROM accounts"))
        entered.set()
        # The other thread is now at, or on its way to, the lock; reading before writing is what used to fail.
        connection.execute(text("UPDATE accounts SET paused = 1"))
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_sqlite_file_that_stays_locked_is_unavailable(sqlite_url, monkeypatch):
    monkeypatch.setattr(sqlite, "PRAGMAS", ("PRAGMA busy_timeout = 50", *sqlite.PRAGMAS[1:]))
    db = Database(sqlite_url)
    upgrade(db)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailableError, match="locked"):
        with_accounts(db, "corp")
    assert sum(run_counts(db).values()) == 0
    other.execute("ROLLBACK")
    with_accounts(db, "corp")
    other.close()
    db.dispose()


def test_a_file_that_is_no_database_is_unavailable_and_left_as_it_was(tmp_path):
    path = tmp_path / "holdfast.db"
    path.write_bytes(b"not a database, " * 100)
    db = Database(f"sqlite:///{path}")
    with pytest.raises(DatabaseUnavailableError, match="not a database"):
        upgrade(db)
    assert path.read_bytes() == b"not a database, " * 100
    db.dispose()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "var").write_text("a file where the folder should be")
    db = Database(f"sqlite:///{tmp_path}/var/deep/holdfast.db")
    with pytest.raises(DatabaseUnavailableError, match="folder"):
        db.ping()
    db.dispose()


def test_a_path_that_is_a_folder_is_unavailable(tmp_path):
    db = Database(f"sqlite:///{tmp_path}")
    with pytest.raises(DatabaseUnavailableError, match="unable to open"):
        db.ping()
    db.dispose()


def test_sqlite_is_in_wal_mode_and_checks_foreign_keys(sqlite_database):
    with sqlite_database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() == 30_000


def test_readers_on_sqlite_do_not_wait_for_a_writer(sqlite_database):
    with_accounts(sqlite_database, "corp")
    with sqlite_database.write() as connection:
        connection.execute(text("UPDATE accounts SET paused = 1"))
        assert sum(run_counts(sqlite_database).values()) == 0
        assert sqlite_database.ping() < 10, "a writer is waited for for 30 s"


def test_many_threads_collect_side_by_side(database):
    names = [f"account-{n}" for n in range(8)]
    with_accounts(database, *names)
    failures = []

    def collect(name):
        try:
            for day in list(JANUARY)[:3]:
                collected(database, name, DayRange(day, day), [cost_row(day)])
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=collect, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    report = costs(database, CostQuery(JANUARY, ("account",)))
    assert {row["account"]: row["amount"] for row in report.rows} == dict.fromkeys(names, Decimal(3))
    assert running_beats(database) == []


def test_a_disposed_database_connects_again(database):
    database.dispose()
    database.dispose()
    assert database.ping() >= 0
