"""The real scheduler keeps house: dead hints go from its own Redis alone, and old runs from the ledger."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import update

from scheduler.housekeeping import OurRedis
from shared.bootstrap.dispatching import marker_key
from shared.core.days import DayRange
from shared.core.runs import RunReady
from shared.ledger.claims import cancel_run
from shared.ledger.clock import now
from shared.ledger.database import Database
from shared.ledger.meta import ledger_id
from shared.ledger.tables import runs
from shared.messaging.broker import build_broker
from shared.messaging.depths import queue_depths
from shared.messaging.message import QUEUE, encode
from tests.support.exports import focus_account
from tests.support.ledger import claimed, with_accounts
from tests.support.links import connected
from tests.support.redis_server import RedisServer
from tests.support.system import running_system
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

DAY = DayRange(date(2024, 1, 1), date(2024, 1, 1))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def die(link, count: int) -> None:
    """Have Dramatiq set aside `count` hints, as it does when an actor fails."""
    broker = build_broker(link, namespace="holdfast")
    for run_id in range(1, count + 1):
        broker.enqueue(encode(RunReady(uuid4(), run_id, 1)))
    consumer = broker.consume(QUEUE, prefetch=count)
    for _ in range(count):
        message = wait_for(lambda: next(consumer), 10, "a hint")
        assert message
        consumer.nack(message)


def dead(link) -> int:
    (depth,) = queue_depths(link, namespace="holdfast")
    return depth.dead


def test_dead_hints_are_removed_from_a_redis_that_carries_our_mark(server, sqlite_database):
    with connected(server.url) as link:
        house = OurRedis(sqlite_database, link, namespace="holdfast")
        die(link, 3)
        assert not house.is_ours()
        link.client.set(marker_key("holdfast"), "7b0c9a52-0000-4000-8000-000000000000")
        assert not house.is_ours()
        link.client.set(marker_key("holdfast"), str(ledger_id(sqlite_database)))
        assert house.is_ours()
        assert dead(link) == 3

        assert house.remove_dead() == 3

        assert dead(link) == 0
        assert not [key for key in link.client.keys("*") if b".XQ" in key]
        assert house.remove_dead() == 0


def test_a_redis_that_is_away_is_not_ours(server, sqlite_database):
    with connected(server.url) as link:
        server.stop()
        wait_for(lambda: not link.is_available(), 10, "the loss to be noticed")
        assert not OurRedis(sqlite_database, link, namespace="holdfast").is_ours()


def test_the_scheduler_forgets_old_runs_and_removes_dead_hints(server, tmp_path: Path):
    (tmp_path / "accounts.toml").write_text(focus_account("exports", "var/exports/*.csv"))
    with (
        connected(server.url) as link,
        running_system(tmp_path, redis_url=server.url, environment={"RUN_RETENTION_DAYS": "30"}) as system,
    ):
        die(link, 2)
        scheduler = system.start("scheduler")["scheduler"]
        system.wait_serving()
        wait_for(lambda: scheduler.said("Hints that no worker could read were removed"), 20, "the dead hints to go")
        assert dead(link) == 0
        assert b"holdfast_dead_hints_total 2.0" in scheduler.probe("/metrics").body
        system.stop()

        db = Database(system.database_url)
        with_accounts(db, "exports")
        old = claimed(db, "exports", DAY).run
        cancel_run(db, old.id)
        with db.write() as connection:
            long_ago = now(connection) - timedelta(days=31)
            connection.execute(
                update(runs).where(runs.c.id == old.id).values(created_at=long_ago, finished_at=long_ago)
            )
        db.dispose()

        scheduler = system.start("scheduler")["scheduler"]
        system.wait_serving()
        wait_for(lambda: scheduler.said("Runs that ended long ago were forgotten"), 20, "the old run to go")
        assert b"holdfast_forgotten_runs_total 1.0" in scheduler.probe("/metrics").body
        assert system.stop() == {"scheduler": 0}
