"""The composition root with the real parts: nothing is waited for, nothing is needed to start."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from shared.bootstrap.container import Container, build
from shared.core.errors import AccountsFileError
from shared.ledger.accounts import list_accounts
from shared.ledger.fleet import processes
from shared.redis_link import get_redis_health_status, set_default_link
from shared.settings import Settings
from tests.support.http import get
from tests.support.links import Port, keeps_silent
from tests.support.logs import captured
from tests.support.programs import ACCOUNTS
from tests.support.redis_server import RedisServer
from tests.support.system import free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def accounts(tmp_path):
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS)
    return file


@pytest.fixture
def settings(tmp_path, accounts):
    def make(**more):
        given = {
            "redis_url": f"redis://:planted-password@{NOWHERE}/0",
            "database_url": f"sqlite:///{tmp_path}/holdfast.db",
            "accounts_file": accounts,
            "probe_port": free_port(),
            **more,
        }
        return Settings(**given)

    return make


@contextmanager
def started(settings: Settings):
    # Not before the container is built: it sets up a log of its own.
    container: Container = build("scheduler", settings)
    with captured() as lines:
        container.start()
        try:
            yield container, lines
        finally:
            container.stop()
            container.stop()
            set_default_link(None)


def test_without_redis_and_database_it_starts_at_once_answers_and_stops(settings):
    made = settings(database_url=f"postgresql://holdfast:planted-password@{NOWHERE}/holdfast")
    with captured():
        container = build("scheduler", made)
    with captured() as lines:
        container.start()
        container.serve_probes()
        port = made.probe_port_of("scheduler")
        container.announce_started()
        wait_for(lambda: "Server started" in lines.text, 20, "the line of the start")
        ready = get(port, "/health/ready")
        assert (ready.status, ready.json["status"]) == (503, "unhealthy")
        assert ready.json["checks"]["database"]["status"] == "down"
        assert ready.json["checks"]["redis"]["message"].startswith("Connecting (attempt ")
        assert get(port, "/health/live").status == 200
        dependencies = get(port, "/health/dependencies")
        container.stop()
        set_default_link(None)
    assert "unavailable=database,redis" in lines.text
    assert "planted-password" not in lines.text + ready.body.decode() + dependencies.body.decode()


def test_neither_the_start_nor_the_stop_waits_for_what_keeps_silent(settings):
    with Port(keeps_silent) as redis, Port(keeps_silent) as database, captured():
        made = settings(
            redis_url=redis.url,
            redis_connect_timeout_s=60,
            database_url=f"postgresql://holdfast@127.0.0.1:{database.port}/holdfast?connect_timeout=60",
        )
        container = build("scheduler", made)
        for step in (container.start, container.stop):
            began_s = time.monotonic()
            step()
            assert time.monotonic() - began_s < 20
            wait_for(lambda: redis.accepted and database.accepted, what="both to be asked")
        set_default_link(None)


def test_stopping_before_the_start_is_fine(settings):
    with captured():
        container = build("status_api", settings())
    container.stop()
    container.stop()


def test_the_public_functions_speak_of_its_link(settings):
    with captured(), started(settings()):
        wait_for(lambda: get_redis_health_status().status == "connecting", 20, "the link to be started")


def test_the_accounts_file_is_taken_over_once_migrated_and_whenever_it_changes(settings, accounts):
    with captured(), started(settings()) as (container, _):
        assert container.migrator.wait_ready(20)

        def names():
            return {(found.name, found.removed) for found in list_accounts(container.db)}

        wait_for(lambda: names() == {("exports", False)}, 20, "the first list")
        replaced = accounts.with_suffix(".new")
        replaced.write_text('[[account]]\nname = "payer"\nprovider = "aws"\naccount_id = "123456789012"\n')
        replaced.replace(accounts)
        wait_for(lambda: names() == {("exports", True), ("payer", False)}, 20, "the new list")
        check = container.health.ready().body["checks"]["awsCredentials"]
        assert check["status"] == "degraded"
        assert "payer" in check["message"]


def test_the_fleet_sees_a_process_until_it_stops(settings):
    with captured(), started(settings()) as (container, _):
        assert container.migrator.wait_ready(20)
        (member,) = wait_for(lambda: container.health.dependencies()["processes"], 20, "the first beat")
        assert (member["name"], member["pid"], member["redis"]) == ("scheduler", os.getpid(), "connecting")
        db = container.db
    assert processes(db) == []
    db.dispose()


def test_with_everything_there_it_says_server_started(settings):
    with captured(), RedisServer() as redis:
        redis.wait_ready()
        with started(settings(redis_url=redis.url)) as (container, lines):
            container.announce_started()
            wait_for(lambda: "Server started" in lines.text, 20, "the line of the start")
            assert "Server started  available=database,redis unavailable=-" in lines.text
            assert container.health.ready().body["status"] == "healthy"
            assert container.health.live().ok


def test_sqlite_in_production_is_warned_of(settings, capfdbinary):
    with captured():
        build("worker", settings(app_env="production")).stop()
    assert b"SQLite in production" in capfdbinary.readouterr().out


def test_a_missing_accounts_file_is_told(settings, accounts):
    accounts.unlink()
    with captured(), pytest.raises(AccountsFileError):
        build("worker", settings())


def test_while_redis_hangs_health_answers_come_as_in_calm_times(settings):
    with captured(), RedisServer() as redis:
        redis.wait_ready()
        made = settings(redis_url=redis.url)
        with started(made) as (container, _):
            container.serve_probes()
            port = made.probe_port_of("scheduler")
            wait_for(lambda: container.health.ready().body["status"] == "healthy", 20, "all to be there")
            calm_ms = _p99_ms(port)
            redis.freeze()
            try:
                wait_for(lambda: not container.link.is_available(), 20, "the hang to be noticed")
                # Compared within one run, since the machine may be slow; what waits for Redis takes 2 s or 3.
                hung_ms = min(_p99_ms(port) for _ in range(3))
                assert hung_ms < max(10 * calm_ms, 500), (calm_ms, hung_ms)
            finally:
                redis.thaw()


def _p99_ms(port: int) -> float:
    began_s, pace = time.monotonic(), threading.Event()

    def ask(number: int) -> float:
        due_s = began_s + number / 100
        pace.wait(max(0.0, due_s - time.monotonic()))
        asked_s = time.perf_counter()
        assert get(port, "/health/ready").status == 200
        return (time.perf_counter() - asked_s) * 1000

    with ThreadPoolExecutor(4) as pool:
        took_ms = sorted(pool.map(ask, range(200)))
    return took_ms[int(len(took_ms) * 0.99) - 1]
