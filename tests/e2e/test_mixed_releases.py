"""A newer release has migrated the database: the older one's processes that run go on, and those that start wait."""

import signal

import pytest
from sqlalchemy import text

from shared.ledger.checking import check
from shared.ledger.database import Database
from shared.ledger.schema import HEAD
from tests.support.exports import COLUMNS, focus_account
from tests.support.redis_server import RedisServer
from tests.support.system import NAMES, System, running_system
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

NEWER = "9999"
# What a newer release may do to the schema: add.
ADDITIONS = (
    "ALTER TABLE runs ADD COLUMN region TEXT NOT NULL DEFAULT 'world'",
    "ALTER TABLE accounts ADD COLUMN owner TEXT",
    "CREATE TABLE budgets (id INTEGER PRIMARY KEY, account_id BIGINT NOT NULL REFERENCES accounts (id))",
    "CREATE INDEX ix_runs_region ON runs (region)",
)


def write(db: Database, *statements: str) -> None:
    with db.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def collect(system: System, day: str) -> None:
    """Ask for a day of the account, and wait until it is there."""
    asked = {"account": "exports", "start": day, "end": day}
    answer = wait_for(lambda: system.api("/api/v1/runs", method="POST", payload=asked), 20, "an answer")
    assert answer.status == 202, answer
    (run,) = answer.body["runs"]

    def ended() -> bool:
        return bool(system.api(f"/api/v1/runs/{run['id']}").body["state"] == "succeeded")

    wait_for(ended, 60, f"run {run['id']} to succeed")


def test_running_processes_go_on_starting_ones_say_what_is_wrong_and_all_is_well_with_the_schema(
    tmp_path, database_url
):
    (tmp_path / "exports.csv").write_text(",".join(COLUMNS) + "\n")
    (tmp_path / "accounts.toml").write_text(focus_account("exports", "exports.csv"))
    with (
        RedisServer() as redis,
        running_system(tmp_path, redis_url=redis.url, database_url=database_url) as system,
    ):
        system.start()
        system.wait_serving()
        system.wait_status("healthy")
        system.wait_runs("succeeded")
        db = Database(database_url)

        write(db, *ADDITIONS, f"UPDATE alembic_version SET version_num = '{NEWER}'")
        collect(system, "2026-01-01")
        system.wait_status("healthy")

        worker = system["worker"]
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(20) == 0
        system.start("worker")
        wait_for(system["worker"].serving, 30, "the worker of the older release to serve")
        wait_for(
            lambda: NEWER in system.ready("worker")["checks"]["database"].get("message", ""),
            20,
            "the reason to be told",
        )
        ready = system["worker"].probe("/health/ready")
        assert (ready.status, ready.body["status"]) == (503, "unhealthy")
        assert ready.body["checks"]["database"]["status"] == "down"
        assert HEAD in ready.body["checks"]["database"]["message"]
        assert system["worker"].said("Database: Schema too new")
        assert system["worker"].serving()
        assert [system.ready(name)["status"] for name in ("status_api", "scheduler")] == ["healthy", "healthy"]

        write(db, f"UPDATE alembic_version SET version_num = '{HEAD}'")
        system.wait_status("healthy")
        collect(system, "2026-01-02")
        assert system.stop() == dict.fromkeys(NAMES, 0)
        assert not any(found.broken for found in check(db, grace_s=0))
        db.dispose()
