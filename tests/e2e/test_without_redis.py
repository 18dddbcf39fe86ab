"""Redis absent from the first second to the last: costs are collected all the same, and everybody can see it."""

import json
import os
import subprocess
import sys
from decimal import Decimal

import pytest

from tests.support.exports import month_of_exports
from tests.support.system import NAMES, ROOT, free_port, running_system
from tests.support.waiting import wait_for

pytestmark = pytest.mark.e2e

DIRECT = "Direct mode: due runs are taken from the database, Redis has not been usable for long"
ACCOUNTS = ("one", "two", "three")


def test_due_days_are_collected_and_shown_without_any_redis(tmp_path):
    days, total = month_of_exports(tmp_path, ACCOUNTS)
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    with running_system(tmp_path, redis_url=nowhere, environment={"DIRECT_AFTER_S": "2"}) as system:
        system.start()
        system.wait_serving()
        runs = system.wait_runs("succeeded", at_least=len(ACCOUNTS))
        assert {run["kind"] for run in runs} == {"catchup"}
        assert_complete(system.api(f"/api/v1/coverage?start={days.start}&end={days.end}").body, len(days))
        assert_complete(coverage_of_the_command(system, days), len(days))
        costs = system.api("/api/v1/costs?groupBy=day")
        assert (costs.headers["x-cache"], Decimal(costs.body["totals"][0]["amount"])) == ("bypass", total)
        asked = wait_for(lambda: system.api("/api/v1/runs", method="POST", payload={"account": "two"}), 10)
        assert (asked.status, asked.body["dispatch"]) == (202, "deferred")
        system.wait_runs("succeeded", at_least=len(ACCOUNTS) + 1)
        assert sum(DIRECT in line for line in system["worker"].lines()) == 1
        for name in NAMES:
            ready = system[name].probe("/health/ready")
            assert (ready.status, ready.body["status"]) == (200, "degraded")
        assert system.stop() == dict.fromkeys(NAMES, 0)


def assert_complete(body, days):
    states = {account["account"]: [day["state"] for day in account["days"]] for account in body["accounts"]}
    assert states == dict.fromkeys(sorted(ACCOUNTS), ["complete"] * days)


def coverage_of_the_command(system, days):
    asked = subprocess.run(
        [
            sys.executable,
            "-m",
            "holdfast_cli",
            "coverage",
            "--start",
            str(days.start),
            "--end",
            str(days.end),
            "--json",
        ],
        cwd=system.folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": system.redis_url,
            "DATABASE_URL": system.database_url,
        },
        capture_output=True,
        timeout=60,
        check=True,
    )
    return json.loads(asked.stdout)
