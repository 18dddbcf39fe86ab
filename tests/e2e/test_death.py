"""Who dies with a run in hand loses nothing: the run is done by another, and stored once."""

import contextlib
import signal
import sqlite3
import time
from decimal import Decimal

import psutil
import pytest
from sqlalchemy import select

from shared.core.runs import RunKind, RunState
from shared.ledger.database import Database
from shared.ledger.dispatch import resend_delay_s
from shared.ledger.queries import find_runs
from shared.ledger.tables import attempts
from shared.messaging.depths import queue_depths
from shared.messaging.sender import DramatiqSender
from shared.redis_link import RedisLink
from shared.redis_link.config import LinkConfig
from tests.support.exports import SERVICES, amount_of, month_of_exports
from tests.support.hints import stray_hints
from tests.support.ledger_check import broken
from tests.support.redis_server import RedisServer, free_port
from tests.support.system import power_off, request, running_system
from tests.support.waiting import wait_for
from tests.support.worker import ACCOUNTS, WorkerRig

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

SLOW = "tests.support.slow_worker"
LEASE_S = 3
LEASES = {"RUN_LEASE_S": str(LEASE_S), "RUN_RENEW_S": "1", "DIRECT_AFTER_S": "1"}
CROWD = ("status_api", "status_api-2", "scheduler", "scheduler-2", "worker", "worker-2", "worker-3")
MANY = ("a", "b", "c", "d", "e", "f")


def source(accounts, days):
    return {(name, day): sum((amount_of(day, it) for it in SERVICES), Decimal(0)) for name in accounts for day in days}


def signal_all(processes, number):
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def all_done(db, count):
    found = find_runs(db, limit=100).runs
    return len(found) >= count and all(run.state is RunState.SUCCEEDED for run in found)


@pytest.fixture(params=["redis and postgresql", "no redis and sqlite"])
def places(request, tmp_path):
    """Where Redis and the database are."""
    if request.param == "no redis and sqlite":
        yield f"redis://127.0.0.1:{free_port()}/0", f"sqlite:///{tmp_path}/holdfast.db"
    else:
        with RedisServer() as redis:
            yield redis.url, request.getfixturevalue("postgres_url")


def test_the_run_of_a_killed_worker_is_done_by_another_soon_after_its_lease(tmp_path, places):
    redis_url, database_url = places
    settings = {**LEASES, "COST_LOOKBACK_DAYS": "3"}
    rig = WorkerRig(tmp_path, redis_url, **settings)
    rig.database_url = database_url
    with running_system(tmp_path, redis_url=redis_url, database_url=database_url, environment=settings) as system:
        try:
            rig.start(SLOW)
            assert rig.db.dialect in database_url
            system.start("scheduler")
            rig.wait_begun()
            system.start("worker")
            system.wait_serving()
            assert rig.process is not None
            power_off(rig.process.pid)
            wait_for(lambda: all_done(rig.db, len(ACCOUNTS)), LEASE_S + 15, "every run to be done by the other worker")
            with rig.db.read() as connection:
                assert "taken_back" in connection.scalars(select(attempts.c.outcome)).all()
            assert broken(rig.db, source(ACCOUNTS, rig.days)) == []
        finally:
            rig.close()
        assert set(system.stop().values()) == {0}


def test_hints_that_a_killed_worker_process_had_taken_do_not_wait_for_the_minute_of_a_resend(tmp_path):
    settings = {**LEASES, "DIRECT_AFTER_S": "0", "COST_LOOKBACK_DAYS": "3"}
    with (
        RedisServer() as redis,
        running_system(tmp_path, redis_url=redis.url, environment=settings) as system,
    ):
        rig = WorkerRig(tmp_path, redis.url, **settings)
        try:
            rig.start()
            system.start("scheduler")
            wait_for(lambda: all_done(rig.db, len(ACCOUNTS)), 30, "the first runs to be done")
            assert rig.link.wait_connected(20)
            signal_all(rig.family(), signal.SIGSTOP)
            rig.request()
            wait_for(lambda: states(rig.db).count(RunState.QUEUED) == len(ACCOUNTS), 20, "runs to be sent")
            with contextlib.closing(sqlite3.connect(tmp_path / "holdfast.db", isolation_level=None)) as other:
                # Nothing can be claimed: the hints that the worker takes now are in its hands alone.
                other.execute("BEGIN IMMEDIATE")
                signal_all(rig.family(), signal.SIGCONT)
                wait_for(lambda: queue_depths(rig.link, namespace="holdfast")[0].depth == 1, 20, "hints to be taken")
                signal_all(rig.family(), signal.SIGKILL)
                killed_s = time.monotonic()
            wait_for(lambda: all_done(rig.db, 2 * len(ACCOUNTS)), 40, "every run to be done")
            assert time.monotonic() - killed_s < resend_delay_s(1) - 10
            assert broken(rig.db, source(ACCOUNTS, rig.days)) == []
        finally:
            rig.close()
        assert set(system.stop().values()) == {0}


def test_a_run_in_hand_outlives_a_restart_of_the_database_and_a_sigterm_while_it_hangs(tmp_path, postgres_server):
    url = postgres_server.create_database()
    settings = {"RUN_LEASE_S": "6", "RUN_RENEW_S": "1", "WORKER_THREADS": "3", "COST_LOOKBACK_DAYS": "3"}
    with (
        RedisServer() as redis,
        running_system(tmp_path, redis_url=redis.url, database_url=url, environment=settings) as system,
    ):
        rig = WorkerRig(tmp_path, redis.url, **settings)
        rig.database_url = url
        try:
            rig.start(SLOW)
            system.start("scheduler")
            rig.wait_begun()
            wait_for(lambda: states(rig.db) == [RunState.RUNNING] * 3, 20, "every run to be in hand")
            postgres_server.stop()
            postgres_server.start()
            rig.release()
            wait_for(lambda: states(rig.db) == [RunState.SUCCEEDED] * 3, 30, "every run to be stored")
            with rig.db.read() as connection:
                assert connection.scalars(select(attempts.c.outcome)).all() == ["succeeded"] * 3
            (tmp_path / "release").unlink()
            (last,) = rig.request("one")
            rig.wait_state(RunState.RUNNING, last)
            postgres_server.freeze()
            began_s = time.monotonic()
            rig.signal(signal.SIGTERM)
            code = rig.wait_exit(15)
            took_s = time.monotonic() - began_s
            postgres_server.thaw()
            # Two seconds are the rig's grace; the run could not be handed back, and is taken back instead.
            assert (code, took_s < 15) == (0, True), took_s
            wait_for(lambda: rig.state(last) in {RunState.PENDING, RunState.QUEUED}, 6 + 15, "the run to be taken back")
        finally:
            postgres_server.start()
            postgres_server.thaw()
            rig.close()


def states(db):
    return [run.state for run in find_runs(db, limit=100).runs]


def test_two_and_three_of_every_process_store_what_one_would(tmp_path, postgres_server):
    days, _total = month_of_exports(tmp_path, MANY)
    url = postgres_server.create_database()
    db = Database(url)
    with (
        RedisServer() as redis,
        running_system(tmp_path, redis_url=redis.url, database_url=url, environment=LEASES) as system,
    ):
        link = RedisLink(LinkConfig(url=redis.url))
        try:
            system.start(*CROWD)
            system.wait_serving()
            system.wait_runs("succeeded", at_least=len(MANY))
            key = {"Idempotency-Key": "once", "Content-Type": "application/json"}
            asked = accepted(system, "status_api", key)
            assert asked
            assert accepted(system, "status_api-2", key) == asked
            link.start()
            assert link.wait_connected(10)
            DramatiqSender(link, namespace="holdfast").send(stray_hints(db))
            postgres_server.stop()
            postgres_server.start()
            wait_for(lambda: accepted(system, "status_api-2", {}), 30, "requests to be accepted again")
            system.wait_runs("succeeded", at_least=2 * len(MANY))
            with redis.admin() as admin:
                wait_for(lambda: admin.llen("holdfast:queues:collect") == 0, 20, "every stray hint to be taken")
            assert broken(db, source(MANY, days)) == []
            kinds = [run.kind for run in find_runs(db, limit=100).runs]
            assert kinds.count(RunKind.CATCHUP) == len(MANY)
            assert not [line for name in CROWD for line in system[name].lines() if "Traceback" in line]
        finally:
            link.close()
            db.dispose()
        assert system.stop() == dict.fromkeys(CROWD, 0)


def accepted(system, name, headers):
    """The ids of the runs that a request for every account is answered with, None while the database is away."""
    answer = request(system[name].port, "/api/v1/runs", method="POST", payload={}, headers=headers)
    return [run["id"] for run in answer.body["runs"]] if answer.status == 202 else None
