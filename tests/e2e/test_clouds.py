"""Both clouds at once: 90 days of ten accounts each, while they misbehave, workers die and Redis forgets."""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial

import psutil
import pytest

from shared.core.costs import Metric
from shared.core.days import last_complete_days
from shared.ledger.database import Database
from tests.fakes.azure_query.faults import Fault
from tests.fakes.clouds import Clouds
from tests.support.ledger_check import broken
from tests.support.redis_server import RedisServer
from tests.support.system import NAMES, running_system
from tests.support.waiting import ASK_S, pass_time, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(600)]

ACCOUNTS = 10
DAYS = 90
LOOKBACK_DAYS = 2
KILLS = 3
SETTINGS = {
    "COST_LOOKBACK_DAYS": str(LOOKBACK_DAYS),
    "RUN_RETRY_DELAYS_S": "1",
    "RUN_RENEW_S": "1",
    "RUN_LEASE_S": "5",
    "WORKER_THREADS": "4",
    "ALERT_WEBHOOK_URL": "",
}
PAGE_USD = Decimal("0.01")


def misbehave(clouds: Clouds) -> None:
    """A few of everything that passes by itself."""
    for fault, times in (("throttle", 3), ("error_500", 3), ("drop", 2), ("cut", 2), ("expired", 2)):
        clouds.aws.faults.switch(fault, times=times, operation="GetCostAndUsage")
    for kind, times, wait_s in (("429", 3, 1), ("500", 3, None), ("503", 2, 1)):
        clouds.azure.faults.add(Fault(kind, times=times, chance=0.5, retry_after_s=wait_s))


def kill_children(system) -> None:
    for child in psutil.Process(system["worker"].process.pid).children(recursive=True):
        child.kill()


def paid_for(clouds: Clouds, pages: int) -> bool:
    return clouds.aws.counters.pages.total() >= pages


def done(system, first_run: int) -> int | None:
    """How many runs have succeeded, None while any is open."""
    pass_time(ASK_S)
    runs = system.api("/api/v1/runs?limit=500").body["runs"]
    wanted = [run for run in runs if int(run["id"]) >= first_run]
    assert not [run for run in wanted if run["state"] == "failed"], wanted
    return len(wanted) if all(run["state"] == "succeeded" for run in wanted) else None


def stored(system, days, metric):
    """By account, day and currency, what the API says."""
    answer = system.api(f"/api/v1/costs?start={days.start}&end={days.end}&groupBy=day,account&metric={metric}")
    assert answer.status == 200, answer
    return {
        (row["account"], date.fromisoformat(row["day"]), row["currency"]): Decimal(row["amount"])
        for row in answer.body["rows"]
    }


def test_a_backfill_of_both_clouds_is_exact_whatever_dies(tmp_path, database_url):
    days = last_complete_days(datetime.now(UTC), DAYS)
    with (
        Clouds(ACCOUNTS, ACCOUNTS, quota=4.0) as clouds,
        RedisServer() as redis,
        running_system(
            tmp_path,
            redis_url=redis.url,
            database_url=database_url,
            environment={**SETTINGS, **clouds.environment()},
        ) as system,
    ):
        (tmp_path / "accounts.toml").write_text(clouds.accounts_toml())
        system.start()
        system.wait_serving(90)
        system.wait_runs("succeeded", at_least=2 * ACCOUNTS, timeout_s=120)
        clouds.aws.counters.pages.clear()
        asked = {"start": str(days.start), "end": str(days.end)}
        dry = system.api("/api/v1/backfills", method="POST", payload={**asked, "dryRun": True})
        assert dry.status == 200, dry
        misbehave(clouds)
        made = system.api("/api/v1/backfills", method="POST", payload=asked)
        assert made.status == 202, made
        first = min(int(run["id"]) for run in made.body["runs"])
        for number in range(KILLS):
            wait_for(partial(paid_for, clouds, 4 * (number + 1)), 60, "work to go on")
            kill_children(system)
            if number == 1:
                redis.kill()
                pass_time(2)
                redis.start()
        runs = wait_for(lambda: done(system, first), 300, "every run to be done")
        assert runs is not None
        said = clouds.totals(days, Metric.BILLED)
        assert stored(system, days, "billed") == said
        assert stored(system, days, "effective") == clouds.totals(days, Metric.EFFECTIVE)
        facts = clouds.azure.facts()
        assert set(facts["mostAtOnce"].values()) == {1}
        assert facts["quotaViolations"] == 0
        least, most = (Decimal(dry.body["price"]["usd"][bound]) for bound in ("least", "most"))
        again = KILLS * int(SETTINGS["WORKER_THREADS"]) + 4
        assert least <= clouds.aws.counters.charged_usd <= most + again * PAGE_USD
        assert system.stop() == dict.fromkeys(NAMES, 0)
    db = Database(database_url)
    try:
        assert broken(db, {(name, day): amount for (name, day, _), amount in said.items()}) == []
    finally:
        db.dispose()
