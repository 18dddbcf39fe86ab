"""A clock that is set an hour forth and back, under every process at once: nothing is lost, nothing done twice."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from shared.core.runs import RunKind, RunState
from shared.ledger.queries import find_runs
from shared.ledger.tables import accounts, attempts, coverage
from tests.support.ledger_check import broken
from tests.support.need import skip_or_fail
from tests.support.redis_server import RedisServer
from tests.support.system import running_system
from tests.support.waiting import pass_time, wait_for
from tests.support.wall_clock import WallClock, clock_library
from tests.support.worker import ACCOUNTS, WorkerRig

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

SLOW = "tests.support.slow_worker"
LEASE_S = 3


def wall_clock(folder):
    library = clock_library()
    if library is None:
        skip_or_fail("no libfaketime: install Debian's package faketime")
    return WallClock(folder, library)


def scheduled(db):
    return sorted(run.account for run in find_runs(db, kind=RunKind.SCHEDULED, limit=100).runs)


def test_a_clock_an_hour_forth_and_back_takes_no_run_from_its_holder_and_fires_once(tmp_path, long_test_url):
    clock = wall_clock(tmp_path)
    settings = {
        # Within the hour that the clock is set forth, and not before.
        "COST_SCHEDULE": f"{(datetime.now(UTC) + timedelta(minutes=30)).minute} * * * *",
        "COST_RESTATE_DAYS": "0",
        "COST_LOOKBACK_DAYS": "3",
        "COST_WINDOW_DAYS": "3",
        "RUN_LEASE_S": str(LEASE_S),
        "RUN_RENEW_S": "1",
        **clock.environment,
    }
    with RedisServer() as redis:
        rig = WorkerRig(tmp_path, redis.url, WORKER_THREADS="1", **settings)
        rig.database_url = long_test_url
        with running_system(
            tmp_path, redis_url=redis.url, database_url=rig.database_url, environment=settings
        ) as system:
            try:
                rig.start(SLOW)
                system.start("scheduler", "status_api")
                system.wait_serving()
                system.wait_said("Daily Cost Collection Job scheduled successfully", name="scheduler")
                rig.wait_begun()
                clock.set(+1)
                wait_for(lambda: scheduled(rig.db) == sorted(ACCOUNTS), 20, "the fire that the clock has passed")
                clock.set(-1)
                # Whoever compared clocks would now take the run for one that was not renewed for long.
                pass_time(LEASE_S + 1)
                clock.set(0)
                rig.release()
                system.wait_runs("succeeded", at_least=2 * len(ACCOUNTS))
                assert scheduled(rig.db) == sorted(ACCOUNTS)
                assert_done_once(rig)
                assert set(system.stop().values()) == {0}
            finally:
                rig.close()


def assert_done_once(rig):
    assert all(run.state is RunState.SUCCEEDED for run in find_runs(rig.db, limit=100).runs)
    with rig.db.read() as connection:
        assert set(connection.scalars(select(attempts.c.outcome))) == {"succeeded"}
        covered = select(accounts.c.name, coverage.c.day).join_from(coverage, accounts)
        days = {(name, day) for name, day in connection.execute(covered)}
    assert days >= {(name, day) for name in ACCOUNTS for day in rig.days}
    assert broken(rig.db, dict.fromkeys(days, Decimal(1))) == []
