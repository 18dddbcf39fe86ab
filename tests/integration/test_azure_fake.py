"""The fake Azure itself: it refuses what Azure refuses, counts what came, and runs by itself."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.azure_query import azure
from tests.fakes.azure_query.quota import Quota

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "type": "ActualCost",
    "timeframe": "Custom",
    "timePeriod": {"from": "2026-11-09T00:00:00+00:00", "to": "2026-11-22T23:59:59+00:00"},
    "dataset": {
        "granularity": "Daily",
        "aggregation": {
            "totalCost": {"name": "Cost", "function": "Sum"},
            "totalCostUSD": {"name": "CostUSD", "function": "Sum"},
        },
        "grouping": [{"type": "Dimension", "name": "ServiceName"}, {"type": "Dimension", "name": "ChargeType"}],
    },
}
VERSION = "?api-version=2025-03-01"


def asked(url, body=None, token=None):
    """Status and document."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"{}", parse_float=Decimal)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def query(fake, body, version=VERSION, scope=None):
    path = f"{scope or fake.scope()}/providers/Microsoft.CostManagement/query{version}"
    return asked(f"{fake.url}{path}", body, fake.token())


def changed(**facts):
    return {**GOOD, **facts}


def dataset(**facts):
    return changed(dataset={**GOOD["dataset"], **facts})


def test_a_good_query_is_answered_in_azure_s_shape():
    with azure() as fake:
        status, document = query(fake, GOOD)
    assert status == 200
    assert sorted(document) == ["id", "name", "properties", "type"]
    properties = document["properties"]
    assert sorted(properties) == ["columns", "nextLink", "rows"]
    names = [column["name"] for column in properties["columns"]]
    assert names == ["Cost", "CostUSD", "ServiceName", "ChargeType", "UsageDate", "Currency"]
    assert all(len(row) == len(names) and isinstance(row[0], Decimal | int) for row in properties["rows"])
    assert {row[4] for row in properties["rows"]} == {20261109 + offset for offset in range(14)}


def test_who_has_an_answer_finds_it_counted_and_may_ask_again_at_once(monkeypatch):
    with azure() as fake:
        count = fake.count

        def slowly(*what):
            time.sleep(0.05)
            count(*what)

        monkeypatch.setattr(fake, "count", slowly)
        for number in range(1, 4):
            query(fake, GOOD)
            assert (fake.counters.pages, fake.counters.by_status["200"]) == (number, number)
        assert set(fake.counters.most_at_once.values()) == {1}


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (changed(type="Costs"), VERSION),
        (changed(timeframe="MonthToDate"), VERSION),
        (changed(timePeriod=None), VERSION),
        (changed(timePeriod={"from": "2026-11-09", "to": "2026-11-01"}), VERSION),
        (changed(timePeriod={"from": "2026-10-01T00:00:00+00:00", "to": "2026-11-01T23:59:59+00:00"}), VERSION),
        (dataset(granularity="None"), VERSION),
        (dataset(aggregation={}), VERSION),
        (dataset(aggregation={name: {"name": "Cost", "function": "Sum"} for name in "abc"}), VERSION),
        (dataset(grouping=[{"type": "Dimension", "name": "ServiceName"}] * 3), VERSION),
        (dataset(grouping=[{"type": "Dimension", "name": "Mood"}]), VERSION),
        (GOOD, ""),
        (GOOD, "?api-version=1999-01-01"),
        ([], VERSION),
    ],
)
def test_what_azure_refuses_is_refused(body, version):
    with azure() as fake:
        status, document = query(fake, body, version)
    assert status == 400
    assert document["error"]["message"]


def test_a_page_s_link_is_of_its_query_alone():
    with azure(page_rows=5) as fake:
        _, first = query(fake, GOOD)
        link = first["properties"]["nextLink"]
        assert "$skiptoken=" in link
        status, second = asked(link, GOOD, fake.token())
        assert status == 200
        assert not set(map(str, first["properties"]["rows"])) & set(map(str, second["properties"]["rows"]))
        status, refused = asked(link, changed(type="AmortizedCost"), fake.token())
        assert (status, refused["error"]["code"]) == (400, "InvalidSkipToken")


def test_quotas_are_buckets_and_whoever_does_not_listen_is_counted():
    quota = Quota(1.0)
    assert [quota.take("t", "c", 1, 100.0).retry_after_s for _ in range(13)] == [None] * 12 + [1]
    assert quota.take("t", "other", 1, 100.0).retry_after_s is None
    assert quota.violations == 0
    assert quota.take("t", "c", 1, 100.5).retry_after_s is not None
    assert quota.violations == 1
    refused = quota.take("t", "c", 1, 100.6)
    assert sorted(name for name in refused.headers if name.endswith("retry-after"))
    assert quota.take("t", "c", 1, 103.0).retry_after_s is None


def test_an_hour_of_sixty_a_minute_is_used_up():
    quota = Quota(1.0)
    now_s, refused = 0.0, 0
    for _ in range(3000):
        now_s += 1.0
        refused += quota.take("t", "c", 1, now_s).retry_after_s is not None
    # 600 to begin with and 600 an hour.
    assert 3000 - refused == pytest.approx(600 + 3000 / 6, abs=12)


def test_it_runs_by_itself_and_is_controlled_over_http():
    command = [sys.executable, "-m", "tests.fakes.azure_query", "--port", "0", "--subscriptions", "2", "--quota", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            _, facts = asked(f"{url}/_control")
            assert len(facts["subscriptions"]) == 2
            today = date(2026, 11, 1)
            period = f"start={today}&end={today + timedelta(days=1)}"
            _, totals = asked(f"{url}/_control/totals?{period}")
            assert {len(days) for days in totals.values()} == {2}
            _, facts = asked(f"{url}/_control", {"faults": [{"kind": "500", "times": 2}]})
            assert [fault["kind"] for fault in facts["faults"]] == ["500"]
            asked(f"{url}/_control", {"restate": {"day": str(today)}, "clear": True})
            _, again = asked(f"{url}/_control/totals?{period}")
            assert {name for name in totals if totals[name] != again[name]} == set(totals)
            assert asked(f"{url}/_control", {"faults": [{"kind": "bad mood"}]})[0] == 400
        finally:
            process.terminate()
        assert process.wait(20) == 0
