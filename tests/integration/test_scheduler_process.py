"""The real scheduler process, with and without what it depends on."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.bootstrap.dispatching import marker_key
from shared.core.days import last_complete_days
from shared.core.errors import DatabaseUnavailableError
from shared.core.runs import Run, RunKind, RunState
from shared.ledger.database import Database
from shared.ledger.queries import find_runs
from tests.support.exports import focus_account
from tests.support.redis_server import RedisServer, free_port
from tests.support.system import Running, System, running_system
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

DEFERRED = "Could not schedule Daily Cost Collection Job - Redis may not be ready yet"
SCHEDULED = "Daily Cost Collection Job scheduled successfully"
EVERY_MINUTE = {"COST_SCHEDULE": "* * * * *", "COST_RESTATE_DAYS": "0"}
# After a loss, one attempt at once and the next one so late that only a look finds Redis back in time.
RARE_ATTEMPTS = {"REDIS_RETRY_FIRST_DELAY_S": "600", "REDIS_RETRY_MAX_DELAY_S": "600"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "accounts.toml").write_text(focus_account("exports", "var/exports/*.csv"))
    return tmp_path


def scheduler(system: System) -> Running:
    running = system.start("scheduler")["scheduler"]
    wait_for(running.serving, 20, "the scheduler to serve")
    return running


def planned(system: System) -> list[Run]:
    db = Database(system.database_url)
    try:
        return list(find_runs(db).runs)
    except DatabaseUnavailableError:
        return []  # not migrated yet
    finally:
        db.dispose()


def runs(system: System) -> list[tuple[RunKind, RunState]]:
    return [(run.kind, run.state) for run in planned(system)]


def check(running: Running, name: str) -> dict[str, str]:
    found: dict[str, str] = running.probe("/health/ready").body["checks"][name]
    return found


def test_with_redis_there_the_job_is_registered_at_once_and_the_gap_is_dispatched(folder):
    with RedisServer() as redis, running_system(folder, redis_url=redis.url) as system:
        running = scheduler(system)
        wait_for(lambda: running.said(SCHEDULED), 20, "the job to be registered")
        wait_for(lambda: runs(system) == [(RunKind.CATCHUP, RunState.QUEUED)], 20, "the catch-up's run to be queued")

        assert not running.said(DEFERRED)
        assert not any(" ERROR " in line for line in running.lines())
        assert check(running, "scheduler")["status"] == "up"
        assert "Next fire at" in check(running, "scheduler")["message"]
        assert system.stop() == {"scheduler": 0}


def test_the_first_catch_up_takes_every_day_that_has_ended(folder):
    with running_system(folder, redis_url=f"redis://127.0.0.1:{free_port()}/0") as system:
        scheduler(system)
        found = wait_for(lambda: planned(system), 20, "a run")

        assert [run.days for run in found] == [last_complete_days(datetime.now(UTC), 30)]


def test_without_redis_it_plans_all_the_same_and_registers_the_job_when_redis_comes(folder):
    with RedisServer() as redis:
        redis.stop()
        with running_system(folder, redis_url=redis.url) as system:
            running = scheduler(system)
            wait_for(lambda: running.said(DEFERRED), 20, "the delay to be told")
            wait_for(lambda: runs(system) == [(RunKind.CATCHUP, RunState.PENDING)], 20, "the catch-up's run")
            assert not running.said(SCHEDULED)
            assert check(running, "scheduler")["status"] == "degraded"

            redis.start()
            wait_for(lambda: running.said(SCHEDULED), 20, "the job to be registered")
            wait_for(lambda: runs(system) == [(RunKind.CATCHUP, RunState.QUEUED)], 20, "the run to be queued")

            redis.kill()
            wait_for(lambda: check(running, "redis")["status"] == "degraded", 20, "the loss to be noticed")
            assert check(running, "scheduler")["status"] == "up"
            assert sum(DEFERRED in line for line in running.lines()) == 1
            assert sum(SCHEDULED in line for line in running.lines()) == 1


def test_a_fire_while_redis_is_away_is_recorded_and_sent_when_it_is_back(folder):
    environment = {**EVERY_MINUTE, **RARE_ATTEMPTS}
    with RedisServer() as redis, running_system(folder, redis_url=redis.url, environment=environment) as system:
        running = scheduler(system)
        wait_for(lambda: running.said(SCHEDULED), 20, "the job to be registered")
        redis.kill()
        wait_for(lambda: (RunKind.SCHEDULED, RunState.PENDING) in runs(system), 90, "a fire's run")

        redis.start()
        wait_for(lambda: all(state is RunState.QUEUED for _, state in runs(system)), 20, "everything to be queued")
        # A run is queued first and sent then.
        with redis.admin() as admin:
            wait_for(lambda: admin.llen("holdfast:queues:collect") == len(runs(system)), 20, "each to be sent")


def test_a_foreign_redis_is_told_once_with_the_cure_and_gets_nothing(folder):
    with RedisServer() as redis, running_system(folder, redis_url=redis.url) as system:
        with redis.admin() as admin:
            admin.set(marker_key("holdfast"), "another-ledger")
        running = scheduler(system)
        wait_for(lambda: running.said("belongs to another installation"), 20, "the foreign marker to be told")
        wait_for(lambda: check(running, "scheduler")["status"] == "degraded", 20, "readiness to say so")

        assert "holdfast ledger adopt" in next(line for line in running.lines() if "another installation" in line)
        assert runs(system) == [(RunKind.CATCHUP, RunState.PENDING)]


def test_with_the_database_away_it_stays_alive_says_so_and_resumes(folder, postgres_server):
    url = postgres_server.create_database()
    with RedisServer() as redis, running_system(folder, redis_url=redis.url, database_url=url) as system:
        postgres_server.stop()
        try:
            running = scheduler(system)
            wait_for(lambda: running.said(SCHEDULED), 20, "the job to be registered")
            answer = running.probe("/health/ready")
            assert (answer.status, answer.body["checks"]["database"]["status"]) == (503, "down")
            assert running.probe("/health/live").status == 200
        finally:
            postgres_server.start()
        wait_for(lambda: running.probe("/health/ready").status == 200, 30, "the database to be noticed")
        wait_for(lambda: runs(system) == [(RunKind.CATCHUP, RunState.QUEUED)], 20, "the run to be planned and queued")


def test_a_mistake_in_the_schedule_is_one_line_and_exit_2(folder):
    environment = {"COST_SCHEDULE": "61 2 * * *"}
    with running_system(folder, redis_url="redis://127.0.0.1:1/0", environment=environment) as system:
        running = system.start("scheduler")["scheduler"]

        assert running.process.wait(15) == 2
        (line,) = running.lines()
        assert line.startswith("COST_SCHEDULE: must be a crontab line of five fields")
        assert "'61' does not lie in 0-59" in line


def test_its_health_is_json_on_its_probe_port(folder):
    with RedisServer() as redis, running_system(folder, redis_url=redis.url) as system:
        running = scheduler(system)

        assert set(running.probe("/health/live").body) == {"status", "timestamp", "uptime"}
        assert "scheduler" in running.probe("/health/ready").body["checks"]
        assert json.dumps(running.probe("/health/dependencies").body["processes"]) is not None
        assert b"holdfast_planned_runs_total" in running.probe("/metrics").body
