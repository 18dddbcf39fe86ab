"""The real FOCUS sample through scheduler, Redis, worker and database, on both databases."""

import csv
from collections import defaultdict
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from tests.support.exports import focus_account
from tests.support.need import skip_or_fail
from tests.support.redis_server import RedisServer
from tests.support.system import NAMES, ROOT, running_system
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

SAMPLE = ROOT.parent / "shared" / "data" / "focus_1.0_sample_1000.csv"
SEPTEMBER = {"start": "2024-09-01", "end": "2024-09-30"}
GROUPS = {"provider": "ProviderName", "subAccount": "SubAccountId", "service": "ServiceName"}
METRICS = {"billed": "BilledCost", "effective": "EffectiveCost"}


def totals_of_the_file(path: Path, group: str, metric: str) -> dict[str, Decimal]:
    """Read with nothing but csv and Decimal: the oracle."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    with path.open(newline="") as sample:
        for row in csv.DictReader(sample):
            name = row[GROUPS[group]]
            totals["" if name == "NULL" else name] += Decimal(row[METRICS[metric]])
    return dict(totals)


def totals_of_the_api(system, group, metric):
    answer = system.api(f"/api/v1/costs?start=2024-09-01&end=2024-09-30&groupBy={group}&metric={metric}")
    assert answer.status == 200, answer
    return {row[group]: Decimal(row["amount"]) for row in answer.body["rows"]}


def test_the_sample_is_stored_to_the_last_decimal_and_twice_is_once(tmp_path, database_url):
    if not SAMPLE.is_file():
        skip_or_fail(f"{SAMPLE} is not there")
    (tmp_path / "accounts.toml").write_text(focus_account("sample", str(SAMPLE)))
    with (
        RedisServer() as redis,
        running_system(tmp_path, redis_url=redis.url, database_url=database_url) as system,
    ):
        system.start()
        system.wait_serving()
        system.wait_status("healthy")
        for _ in range(2):
            asked = wait_for(lambda: ask(system), 20, "the account to be known")
            wait_for(partial(finished, system, asked), 60, "the run to be finished")
            for group in GROUPS:
                for metric in METRICS:
                    assert totals_of_the_api(system, group, metric) == totals_of_the_file(SAMPLE, group, metric)
        assert system.stop() == dict.fromkeys(NAMES, 0)


def ask(system):
    answer = system.api("/api/v1/runs", method="POST", payload={"account": "sample", **SEPTEMBER})
    return answer.body["runs"][0]["id"] if answer.status == 202 else None


def finished(system, run_id):
    run = system.api(f"/api/v1/runs/{run_id}").body
    assert run["state"] != "failed", run
    return run["state"] == "succeeded"
