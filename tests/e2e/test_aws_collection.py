"""AWS accounts collected by the real processes from the fake Cost Explorer, on both databases, while it misbehaves."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from shared.core.days import DayRange, last_complete_days
from tests.fakes.cost_explorer import FakeCostExplorer
from tests.fakes.cost_explorer.__main__ import accounts_toml, environment
from tests.support.redis_server import RedisServer
from tests.support.system import NAMES, running_system
from tests.support.waiting import ASK_S, pass_time, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(300)]

LOOKBACK_DAYS = 10
METRICS = {"billed": "unblended", "effective": "amortized"}


def totals_of_the_fake(fake: FakeCostExplorer, days: DayRange, metric: str) -> dict[tuple[str, str], Decimal]:
    return {
        (str(day), f"aws-{number:02d}"): getattr(sums["USD"], METRICS[metric])
        for number, payer in enumerate(fake.payers, start=1)
        for day, sums in fake.book.totals(payer, days.start, days.end).items()
    }


def totals_of_the_api(system, days, metric):
    asked = f"start={days.start}&end={days.end}&groupBy=day,account&metric={metric}"
    answer = system.api(f"/api/v1/costs?{asked}")
    assert answer.status == 200, answer
    return {(row["day"], row["account"]): Decimal(row["amount"]) for row in answer.body["rows"]}


def covered(system, days, accounts):
    pass_time(ASK_S)  # what is waited for needs the machine's time
    try:
        answer = system.api(f"/api/v1/coverage?start={days.start}&end={days.end}")
    except OSError:
        return None  # a busy machine
    if answer.status != 200:
        return None
    states = [day["state"] for account in answer.body["accounts"] for day in account["days"]]
    return states if len(states) == accounts * len(days) and not {"missing", "suspect"} & set(states) else None


def test_what_the_fake_charged_is_stored_to_the_last_decimal(tmp_path, database_url):
    days = last_complete_days(datetime.now(UTC), LOOKBACK_DAYS)
    with (
        FakeCostExplorer(payers=2, page_groups=100, external_id="shared-secret-of-two") as fake,
        RedisServer() as redis,
        running_system(
            tmp_path,
            redis_url=redis.url,
            database_url=database_url,
            environment={
                **environment(fake),
                "COST_LOOKBACK_DAYS": str(LOOKBACK_DAYS),
                "RUN_RETRY_DELAYS_S": "1",
                "LOG_LEVEL": "debug",
            },
        ) as system,
    ):
        (tmp_path / "accounts.toml").write_text(accounts_toml(fake))
        # Asked again in the call, asked again by the ledger, and a role whose session ends in between.
        for fault, times in (("throttle", 2), ("drop", 1), ("cut", 1), ("expired", 1)):
            fake.faults.switch(fault, times=times, operation="GetCostAndUsage", account=fake.payers[0])
        system.start()
        system.wait_serving(90)
        states = wait_for(lambda: covered(system, days, 2), 90, "every day to be there") or []
        for metric in METRICS:
            assert totals_of_the_api(system, days, metric) == totals_of_the_fake(fake, days, metric)
        assert states.count("estimated") == 2 * fake.estimated_days
        assert system.stop() == dict.fromkeys(NAMES, 0)
        logs = "\n".join(running.log.read_text() for running in system.started.values())
    tokens = [part for who in fake.keys._known.values() for part in (who.secret, who.token) if part]
    assert [secret for secret in ["shared-secret-of-two", *tokens] if secret in logs] == []
    groups = sum(len(fake.book.charges(fake.payers[0], day)) for day in days)
    assert fake.counters.pages.total() <= 2 * (-(-groups // fake.page_groups)) + 1
