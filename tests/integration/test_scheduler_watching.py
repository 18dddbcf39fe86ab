"""The real scheduler's watch: each anomaly and threshold is told of once, whoever dies and whatever the webhook."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from shared.core.days import DayRange, last_complete_day
from shared.ledger.accounts import sync_accounts
from shared.ledger.clock import now
from shared.ledger.database import Database
from shared.ledger.migrate import upgrade
from shared.ledger.tables import anomalies, notices
from tests.support.anomalies import jitter
from tests.support.exports import focus_account
from tests.support.ledger import collected, cost_row
from tests.support.system import Running, System, free_port, running_system
from tests.support.waiting import wait_for
from tests.support.webhook import WebhookServer, status, webhook

pytestmark = pytest.mark.integration

ACCOUNTS = ("corp", "lab")
YESTERDAY = last_complete_day(datetime.now(UTC))
DAYS = DayRange(YESTERDAY - timedelta(days=40), YESTERDAY)
BUDGET = 'monthly_budget = "1.00"\nbudget_currency = "USD"\n'
# An anomaly for each account, and a budget that is used up.
TOLD = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    first, second = (focus_account(name, f"{name}/*.csv") for name in ACCOUNTS)
    (tmp_path / "accounts.toml").write_text(f"{first}{BUDGET}{second}")
    return tmp_path


@pytest.fixture
def db(database_url):
    """A ledger in which both accounts cost five times the usual yesterday."""
    found = Database(database_url)
    upgrade(found)
    sync_accounts(found, [(name, "focus", False) for name in ACCOUNTS])
    amounts = {day: (500 if day == YESTERDAY else 100) * jitter(day) for day in DAYS}
    for name in ACCOUNTS:
        collected(found, name, DAYS, [cost_row(day, billed=f"{amount:.4f}") for day, amount in amounts.items()])
    yield found
    found.dispose()


def environment(server: WebhookServer) -> dict[str, str]:
    return {"ALERT_WEBHOOK_URL": server.url, "NO_PROXY": "localhost", "no_proxy": "localhost"}


def start(system: System, name: str = "scheduler") -> Running:
    running = system.start(name)[name]
    wait_for(running.serving, 60, "the scheduler to serve")
    return running


def count(db: Database, *conditions) -> int:
    with db.read() as connection:
        return connection.execute(select(func.count()).where(*conditions)).scalar_one()


def sent(db: Database) -> int:
    return count(db, notices.c.sent_at.is_not(None))


def let_retry(db: Database) -> None:
    with db.write() as connection:
        waits = update(notices).where(notices.c.next_try_at.is_not(None))
        connection.execute(waits.values(next_try_at=now(connection) - timedelta(hours=1)))


def all_sent(db: Database) -> bool:
    let_retry(db)
    return sent(db) == TOLD


def test_two_schedulers_tell_of_each_once_although_the_webhook_is_down_at_first_and_one_dies(folder, db, database_url):
    away = f"redis://127.0.0.1:{free_port()}/0"
    with (
        webhook(status(503)) as server,
        running_system(folder, redis_url=away, database_url=database_url, environment=environment(server)) as system,
    ):
        first, second = start(system), start(system, "scheduler-2")
        wait_for(lambda: count(db, notices.c.kind == "anomaly") == len(ACCOUNTS), 60, "both anomalies")
        wait_for(lambda: count(db, notices.c.kind == "budget") == 2, 60, "both thresholds")
        wait_for(lambda: server.received, 60, "a post that is refused")
        assert sent(db) == 0
        first.process.kill()
        first.process.wait(10)

        server.answers = [status(204)]
        let_retry(db)
        third = start(system, "scheduler-3")
        wait_for(lambda: all_sent(db), 90, "all to arrive")
        codes = system.stop()
        assert {codes["scheduler-2"], codes["scheduler-3"]} == {0}

        posted = [request.document for request in server.received]
        keys = {request.headers["idempotency-key"]: request.document for request in server.received}
        told = Counter((document["kind"], document["account"]) for document in keys.values())
        assert told == {("anomaly", "corp"): 1, ("anomaly", "lab"): 1, ("budget", "corp"): 1}
        assert all(document["text"].startswith("Holdfast: ") for document in posted)
        assert count(db, anomalies.c.cleared_at.is_(None)) == len(ACCOUNTS)
        lines = [line for running in (first, second, third) for line in running.lines()]
        assert sum("Anomaly: A day that was not to be expected (spike)" in line for line in lines) == len(ACCOUNTS)
        assert sum("% is used up" in line for line in lines) == 2
        assert not any("xoxb" in line for line in lines)
