"""The schema: built by migrations alone, once, whoever migrates, and never by an older release."""

import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from shared.core.errors import SchemaTooNewError
from shared.ledger.accounts import list_accounts
from shared.ledger.database import Database
from shared.ledger.meta import ledger_id, remember_redis_run_id, remembered_redis_run_id
from shared.ledger.migrate import Migrator, MigratorState, schema_ready, upgrade
from shared.ledger.schema import HEAD, REVISIONS, config
from shared.ledger.tables import metadata, runs
from tests.support.postgres import start_postgres
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def empty(database_url):
    db = Database(database_url)
    yield db
    db.dispose()


def set_revision(db, revision):
    with db.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_migrations_build_what_the_tables_say(database):
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_every_index_and_constraint_is_there_with_its_condition(database):
    with database.read() as connection:
        inspector = inspect(connection)
        found = {index["name"]: index for index in inspector.get_indexes("runs")}
        checks = {check["name"] for check in inspector.get_check_constraints("runs")}
    for index in runs.indexes:
        options = found[index.name]["dialect_options"]
        expected = index.dialect_options[database.dialect]["where"]
        assert (options.get(f"{database.dialect}_where") is None) == (expected is None), index.name
    assert checks == {"ck_runs_days", "ck_runs_kind", "ck_runs_state", "ck_runs_open"}


def test_the_revisions_that_this_release_knows_are_those_of_its_scripts():
    scripts = ScriptDirectory.from_config(config())
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS
    assert scripts.get_heads() == [HEAD]


def test_a_database_that_is_up_to_date_costs_no_import_of_alembic(empty, database_url):
    upgrade(empty)
    code = (
        "import sys\n"
        "from shared.ledger.database import Database\n"
        "from shared.ledger.migrate import upgrade\n"
        f"upgrade(Database({database_url!r}))\n"
        "assert not {name for name in sys.modules if name.partition('.')[0] in {'alembic', 'duckdb'}}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_empty_database_is_migrated_and_then_ready(empty):
    assert not schema_ready(empty)
    upgrade(empty)
    assert schema_ready(empty)


def test_migrating_again_keeps_the_ledger_s_id_and_data(empty):
    upgrade(empty)
    first = ledger_id(empty)
    remember_redis_run_id(empty, "run-1")
    upgrade(empty)
    assert ledger_id(empty) == first
    assert remembered_redis_run_id(empty) == "run-1"


def test_threads_that_migrate_at_once_migrate_once(empty):
    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(upgrade, empty) for _ in range(6)]:
            future.result()
    with empty.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM installation")).scalar_one() == 1


def _migrate(url, start, results):
    db = Database(url)
    start.wait(30)
    try:
        upgrade(db)
        results.put(str(ledger_id(db)))
    except Exception as error:  # noqa: BLE001 - told in the parent
        results.put(repr(error))
    finally:
        db.dispose()


def test_processes_that_migrate_at_once_migrate_once(database_url):
    context = multiprocessing.get_context("spawn")
    start, results = context.Event(), context.Queue()
    children = [context.Process(target=_migrate, args=(database_url, start, results)) for _ in range(3)]
    for child in children:
        child.start()
    start.set()
    ids = {results.get(timeout=60) for _ in children}
    for child in children:
        child.join(30)
        child.close()
    results.close()
    results.join_thread()
    assert len(ids) == 1
    assert len(ids.pop()) == 36


def test_a_newer_schema_is_refused_with_both_revisions(database):
    set_revision(database, "9999")
    with pytest.raises(SchemaTooNewError) as caught:
        upgrade(database)
    assert (caught.value.found, caught.value.known) == ("9999", HEAD)
    with pytest.raises(SchemaTooNewError):
        schema_ready(database)


def shape(connection):
    """Every column with its type, default and whether it may be empty, and every constraint, by table."""
    inspector = inspect(connection)
    found = {}
    for table in inspector.get_table_names():
        columns = {column["name"]: column for column in inspector.get_columns(table)}
        uniques = {unique["name"] for unique in inspector.get_unique_constraints(table)}
        checks = {check["name"]: check["sqltext"] for check in inspector.get_check_constraints(table)}
        found[table] = (columns, uniques, checks)
    return found


def migrate_to(db, revision):
    with db.write() as connection:
        command.upgrade(config(connection), revision)


def test_migrations_only_add_so_that_an_older_release_goes_on_beside_a_newer_one(empty):
    migrate_to(empty, REVISIONS[0])
    for revision in REVISIONS[1:]:
        with empty.read() as connection:
            older = shape(connection)
        migrate_to(empty, revision)
        with empty.read() as connection:
            newer = shape(connection)
        for table, (columns, uniques, checks) in older.items():
            now_columns, now_uniques, now_checks = newer[table]
            for name, column in columns.items():
                for fact in ("nullable", "default"):
                    assert now_columns[name][fact] == column[fact], f"{revision}: {table}.{name}"
                assert repr(now_columns[name]["type"]) == repr(column["type"]), f"{revision}: {table}.{name}"
            for name in now_columns.keys() - columns.keys():
                added = now_columns[name]
                assert added["nullable"] or added["default"] is not None, f"{revision}: {table}.{name}"
            assert (now_uniques, now_checks) == (uniques, checks), f"{revision}: {table}"


def test_rows_written_as_the_first_release_did_are_whole(database):
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO accounts (name, provider, paused, removed, created_at)"
                " VALUES ('old', 'focus', false, false, '2026-01-01 00:00:00.000000')"
            )
        )
    (account,) = list_accounts(database)
    assert (account.name, account.held, account.data_version) == ("old", False, 0)


def test_every_database_is_another_ledger(database, tmp_path):
    other = Database(f"sqlite:///{tmp_path}/other.db")
    upgrade(other)
    assert ledger_id(other) != ledger_id(database)
    other.dispose()


def test_the_migrator_gets_ready_and_tells_everybody_once(empty):
    migrator = Migrator(empty)
    told = []
    migrator.on_ready(lambda: told.append("before"))
    migrator.start()
    assert migrator.wait_ready(30)
    assert (migrator.state, migrator.message) == (MigratorState.READY, None)
    migrator.on_ready(lambda: told.append("after"))
    migrator.start()
    migrator.stop()
    migrator.stop()
    assert told == ["before", "after"]


def test_a_listener_that_fails_harms_nobody(empty):
    migrator = Migrator(empty)
    told = []

    def fail():
        raise RuntimeError("on purpose")

    migrator.on_ready(fail)
    migrator.on_ready(lambda: told.append("second"))
    migrator.start()
    assert migrator.wait_ready(30)
    assert told == ["second"]


def test_the_migrator_waits_for_a_database_that_comes_late():
    server = start_postgres()
    try:
        server.stop()
        db = Database(server.url())
        migrator = Migrator(db, retry_s=0.05)
        migrator.start()
        wait_for(lambda: migrator.message, 20, "the migrator says that the database is away")
        assert not migrator.wait_ready(0)
        server.start()
        assert migrator.wait_ready(30)
        assert schema_ready(db)
        db.dispose()
    finally:
        server.close()


def test_the_migrator_tells_a_newer_schema_and_goes_on_when_it_is_restored(database):
    set_revision(database, "9999")
    migrator = Migrator(database, retry_s=0.05)
    migrator.start()
    wait_for(lambda: migrator.message is not None and "9999" in migrator.message, 20, "the newer schema is told")
    set_revision(database, HEAD)
    assert migrator.wait_ready(30)


def test_a_migrator_can_be_stopped_before_it_was_started_and_while_it_waits(tmp_path):
    (tmp_path / "var").write_text("a file where the folder should be")
    migrator = Migrator(Database(f"sqlite:///{tmp_path}/var/holdfast.db"), retry_s=60)
    migrator.stop()
    migrator.start()
    wait_for(lambda: migrator.message, 20, "the first attempt has failed")
    migrator.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "migrator" and thread.is_alive()]
