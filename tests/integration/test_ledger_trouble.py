"""A database that goes away, hangs, fills up or is locked: who waits is freed, who comes is told, and it shows."""

import contextlib
import sqlite3
import threading
import time

import psycopg
import pytest
from sqlalchemy import text

from shared.bootstrap.checks import CHECK_DEADLINE_S, CHECK_INTERVAL_S, DatabaseCheck, DatabaseSentry
from shared.core.errors import DatabaseUnavailableError
from shared.core.health import CheckStatus
from shared.ledger import progress, sqlite
from shared.ledger.database import PING_LIMIT_S, Database
from shared.ledger.migrate import Migrator, upgrade
from shared.ledger.queries import run_counts
from tests.support.ledger import with_accounts
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

TOLD_S = 3.0


def checked(db, **more):
    """The check of a database whose schema is ready."""
    migrator = Migrator(db)
    migrator.start()
    assert migrator.wait_ready(30)
    return DatabaseCheck(db, migrator, **more)


@contextlib.contextmanager
def in_thread(work):
    """Run `work` meanwhile; yields the list of what it raised, and waits for its end."""
    raised = []

    def run():
        try:
            work()
        except DatabaseUnavailableError as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield raised
    thread.join(60)
    assert not thread.is_alive()


def test_a_database_that_hangs_is_told_within_three_seconds_wherever_in_its_interval_it_began():
    assert CHECK_INTERVAL_S + PING_LIMIT_S < TOLD_S
    assert CHECK_INTERVAL_S + CHECK_DEADLINE_S <= TOLD_S


def test_while_it_is_known_to_be_away_nobody_waits_to_find_out(database):
    database.bar("gone")
    for attempt in (lambda: run_counts(database), lambda: with_accounts(database, "corp")):
        with pytest.raises(DatabaseUnavailableError, match="gone"):
            attempt()
    assert database.ping() >= 0, "a ping is how its return is found"
    database.admit()
    assert run_counts(database)


def test_the_check_bars_a_database_that_is_gone_and_admits_it_when_it_is_back(own_server, own_database):
    check = checked(own_database)
    own_server.stop()
    assert check().status is CheckStatus.DOWN
    own_server.start()
    with pytest.raises(DatabaseUnavailableError):
        run_counts(own_database)
    assert check().status is CheckStatus.UP
    assert run_counts(own_database)


def test_what_failed_while_it_was_away_is_no_trouble_once_it_is_back(own_server, own_database, monkeypatch):
    monkeypatch.setattr(progress, "TROUBLE_AFTER_S", 0.0)
    check = checked(own_database)
    own_server.stop()
    with pytest.raises(DatabaseUnavailableError):
        with_accounts(own_database, "corp")
    assert check().status is CheckStatus.DOWN
    with pytest.raises(DatabaseUnavailableError):
        with_accounts(own_database, "corp")
    own_server.start()
    assert check().status is CheckStatus.UP


def test_who_waits_for_what_he_reads_is_freed_when_the_database_is_found_to_hang(own_server, own_database):
    def read_for_long():
        with own_database.read() as connection:
            begun.set()
            connection.execute(text("SELECT pg_sleep(600)"))

    begun = threading.Event()
    with in_thread(read_for_long) as raised:
        assert begun.wait(10)
        wait_for(lambda: asleep(own_server), 10, "the reader to wait for its answer")
        own_server.freeze()
        freed_from_s = time.monotonic()
        own_database.bar("hangs")
        wait_for(lambda: raised, 10, "the reader to be freed")
        assert time.monotonic() - freed_from_s < 10, "without it an answer is waited for for 15 s"
    own_server.thaw()
    own_database.admit()
    assert run_counts(own_database)


def test_who_was_about_to_connect_is_not_made_to_wait_for_a_database_that_hangs(own_server, own_database):
    own_database.dispose()
    own_server.freeze()
    own_database.bar("hangs")
    # As somebody who came before the bar, and finds the pool's connection dead only after it.
    own_database._barred = None
    began_s = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match="known to be away"):
        run_counts(own_database)
    assert time.monotonic() - began_s < 4, "connecting is given 5 s"
    own_server.thaw()
    wait_for(lambda: answers(own_database), 20, "the thawed server answers")


def test_what_is_being_written_is_not_cut_off_by_a_ping_that_was_late(own_server, own_database):
    with_accounts(own_database, "corp")
    with own_database.write() as connection:
        connection.execute(text("UPDATE accounts SET paused = true"))
        own_database.bar("late")
    own_database.admit()
    with own_database.read() as connection:
        assert connection.execute(text("SELECT paused FROM accounts")).scalar_one()


def test_a_server_that_ends_is_noticed_without_a_ping(own_server, own_database):
    lost = threading.Event()
    sentry = DatabaseSentry(own_database, lost.set)
    own_database.dispose()
    sentry.start()
    wait_for(lambda: backends(own_server), 10, "the sentry to hold a connection")
    assert not lost.is_set()
    own_server.stop()
    assert lost.wait(10)
    lost.clear()
    own_server.start()
    wait_for(lambda: backends(own_server), 10, "the sentry to hold another")
    own_server.kill()
    assert lost.wait(10)
    own_server.start()
    sentry.stop(10)
    sentry.stop(0)


def test_a_sentry_can_be_stopped_before_it_was_started_and_watches_no_file(sqlite_database):
    sentry = DatabaseSentry(sqlite_database, pytest.fail)
    sentry.stop(0)
    other = DatabaseSentry(sqlite_database, pytest.fail)
    other.start()
    other.stop(0)


def test_writes_that_wait_for_a_lock_of_another_program_show_and_so_does_its_end(own_server, own_database):
    check = checked(own_database)
    with psycopg.connect(own_server.url()) as other:
        other.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        with in_thread(lambda: with_accounts(own_database, "corp")) as raised:
            found = wait_for(lambda: trouble_of(check), 20, "the wait to show")
            assert found.status is CheckStatus.DEGRADED
            assert "lock" in found.message
            other.rollback()
    assert raised == []
    assert check().status is CheckStatus.UP


def test_writes_that_wait_for_one_another_are_no_trouble(own_server, own_database):
    check, locked, other = checked(own_database), threading.Event(), Database(own_server.url())

    def write():
        locked.wait(20)
        with_accounts(own_database, "corp")

    with in_thread(write) as raised, other.write() as connection:
        connection.execute(text("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"))
        locked.set()
        wait_for(lambda: own_database._progress.longest_wait_s() > 1.5, 10, "the write to wait")
        assert check().status is CheckStatus.UP
    assert raised == []
    other.dispose()


def test_a_long_statement_that_waits_for_nobody_is_no_trouble(own_database):
    check = checked(own_database)

    def take_time():
        with own_database.read() as connection:
            connection.execute(text("SELECT pg_sleep(2.5)"))

    with in_thread(take_time) as raised:
        wait_for(lambda: own_database._progress.longest_wait_s() > 1.5, 10, "the statement to last")
        assert check().status is CheckStatus.UP
    assert raised == []


def test_writes_that_wait_for_a_locked_file_show_and_so_does_its_end(sqlite_database, sqlite_url):
    check = checked(sqlite_database)
    with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with in_thread(lambda: with_accounts(sqlite_database, "corp")) as raised:
            found = wait_for(lambda: trouble_of(check), 20, "the wait to show")
            assert "lock" in found.message
            other.execute("ROLLBACK")
    assert raised == []
    assert check().status is CheckStatus.UP


def test_writes_that_fail_show_until_one_succeeds_and_somebody_is_asked_to_try(sqlite_url, monkeypatch):
    monkeypatch.setattr(sqlite, "PRAGMAS", ("PRAGMA busy_timeout = 50", *sqlite.PRAGMAS[1:]))
    monkeypatch.setattr(progress, "TROUBLE_AFTER_S", 0.0)
    db, asked = Database(sqlite_url), []
    upgrade(db)
    check = checked(db, try_again=lambda: asked.append(1))
    with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailableError, match="locked"):
            with_accounts(db, "corp")
        other.execute("ROLLBACK")
    found = check()
    assert (found.status, asked) == (CheckStatus.DEGRADED, [1])
    assert "locked" in found.message
    assert check.troubled
    with_accounts(db, "corp")
    assert check().status is CheckStatus.UP
    assert not check.troubled
    db.dispose()


def test_a_failure_that_a_later_write_made_good_at_once_is_no_trouble(database):
    report = database._progress
    report.write_failed("deadlock detected")
    assert database.trouble() is None
    with_accounts(database, "corp")
    assert report.failing() is None


def answers(db):
    try:
        return db.ping() >= 0
    except DatabaseUnavailableError:
        return False


def trouble_of(check):
    found = check()
    return found if found.status is not CheckStatus.UP else None


def backends(server):
    """Those that are set up and rest."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle' AND query LIKE 'SELECT set_config%'"
    return count(server, query)


def asleep(server):
    return count(server, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")


def count(server, query):
    with psycopg.connect(server.url()) as connection:
        ((found,),) = connection.execute(query)
    return found
