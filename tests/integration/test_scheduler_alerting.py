"""The real scheduler's dead man's switch: one alert for each account and day, whoever dies, and never in the way."""

from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from shared.core.errors import DatabaseUnavailableError
from shared.core.runs import RunState
from shared.ledger.clock import now
from shared.ledger.database import Database
from shared.ledger.planning import request_runs
from shared.ledger.queries import find_runs, get_run
from shared.ledger.tables import alerts, runs
from tests.support.exports import focus_account
from tests.support.ledger import JANUARY
from tests.support.redis_server import RedisServer
from tests.support.system import Running, System, free_port, running_system
from tests.support.waiting import wait_for
from tests.support.webhook import WebhookServer, hang, status, webhook

pytestmark = pytest.mark.integration

AGE = timedelta(hours=1)
ACCOUNTS = ("corp", "lab")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "accounts.toml").write_text("".join(focus_account(name, f"{name}/*.csv") for name in ACCOUNTS))
    return tmp_path


def alerting(server: WebhookServer) -> dict[str, str]:
    # Of every day, the deadline has passed at once; no proxy stands between the processes of a test.
    return {"COST_DEADLINE": "00:00", "ALERT_WEBHOOK_URL": server.url, "NO_PROXY": "localhost", "no_proxy": "localhost"}


def start(system: System, name: str = "scheduler") -> Running:
    running = system.start(name)[name]
    wait_for(running.serving, 20, "the scheduler to serve")
    return running


def let_time_pass(db: Database) -> None:
    """Planned runs are no longer new, and every wait for another try is over."""
    with db.write() as connection:
        connection.execute(update(runs).values(created_at=now(connection) - AGE))
        waits = update(alerts).where(alerts.c.next_try_at.is_not(None))
        connection.execute(waits.values(next_try_at=now(connection) - AGE))


def planned(db: Database) -> bool:
    try:
        return len(find_runs(db).runs) == len(ACCOUNTS)
    except DatabaseUnavailableError:
        return False  # not migrated yet


def shows_overdue(running: Running) -> bool:
    return b"holdfast_accounts_overdue 2.0" in running.probe("/metrics").body


def sent(db: Database) -> int:
    with db.read() as connection:
        return connection.execute(select(func.count()).where(alerts.c.sent_at.is_not(None))).scalar_one()


def test_two_schedulers_tell_of_each_account_once_whatever_the_webhook_does_first(folder, database_url):
    db = Database(database_url)
    away = f"redis://127.0.0.1:{free_port()}/0"
    with (
        webhook(status(500), status(204)) as server,
        running_system(folder, redis_url=away, database_url=database_url, environment=alerting(server)) as system,
    ):
        first, second = start(system), start(system, "scheduler-2")
        wait_for(lambda: planned(db), 20, "the catch-up's runs")
        let_time_pass(db)
        wait_for(lambda: len(server.received) >= 2, 30, "two posts, of which the first was refused")
        let_time_pass(db)
        wait_for(lambda: sent(db) == 2, 30, "both alerts to arrive")
        for running in (first, second):
            wait_for(partial(shows_overdue, running), 20, "the metric to say so")
        assert system.stop() == {"scheduler": 0, "scheduler-2": 0}

        tries = Counter(
            (request.document["account"], request.headers["idempotency-key"]) for request in server.received
        )
        assert sorted(tries.values()) == [1, 2]
        assert {account for account, _ in tries} == set(ACCOUNTS)
        assert {request.document["state"] for request in server.received} == {"missing"}
        lines = [*first.lines(), *second.lines()]
        assert sum("Deadline passed" in line for line in lines) == 1
        assert not any("xoxb" in line or "T0AB12CD34EF" in line for line in lines)
    db.dispose()


def test_a_webhook_that_hangs_is_in_nobodys_way_and_an_alert_survives_death_and_stop(folder, sqlite_url):
    db = Database(sqlite_url)
    with (
        RedisServer() as redis,
        webhook(hang) as server,
        running_system(folder, redis_url=redis.url, database_url=sqlite_url, environment=alerting(server)) as system,
    ):
        running = start(system)
        wait_for(lambda: planned(db), 20, "the catch-up's runs")
        let_time_pass(db)
        wait_for(lambda: server.received, 30, "a post that hangs")
        running.process.kill()
        running.process.wait(10)

        let_time_pass(db)
        running = start(system)
        wait_for(lambda: len(server.received) >= 2, 30, "another post that hangs")
        (run,) = request_runs(db, accounts=["corp"], days=JANUARY)
        wait_for(lambda: get_run(db, run.id).state is RunState.QUEUED, 8, "other work to go on meanwhile")
        assert running.probe("/health/live").status == 200
        assert system.stop() == {"scheduler": 0}

        server.answers = [status(204)]
        let_time_pass(db)
        start(system)
        wait_for(lambda: sent(db) == 2, 30, "both alerts to arrive")
        keys = {request.headers["idempotency-key"] for request in server.received}
        assert len(keys) == 2
    db.dispose()


def test_without_a_deadline_nobody_is_told(folder, sqlite_url):
    db = Database(sqlite_url)
    away = f"redis://127.0.0.1:{free_port()}/0"
    with webhook() as server:
        environment = {**alerting(server), "COST_DEADLINE": ""}
        with running_system(folder, redis_url=away, database_url=sqlite_url, environment=environment) as system:
            running = start(system)
            wait_for(lambda: planned(db), 20, "the catch-up's runs")
            metrics = running.probe("/metrics").body
            assert system.stop() == {"scheduler": 0}
    assert server.received == []
    assert b"holdfast_accounts_overdue 0.0" in metrics
    db.dispose()
