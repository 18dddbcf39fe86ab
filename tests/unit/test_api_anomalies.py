"""/api/v1/anomalies and /api/v1/budgets: what they answer, and how they ask the ledger."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from shared.core.anomalies import AnomalyKind
from shared.core.budgets import Budget, BudgetStatus
from shared.core.days import DayRange
from shared.ledger.anomaly_queries import AnomalyQuery, KnownAnomaly
from tests.support.api import CURSOR, NOW, make_api

DAY = date(2026, 3, 5)
ONE = KnownAnomaly(
    id=7,
    account="one",
    provider="focus",
    day=DAY,
    service="Compute",
    currency="USD",
    kind=AnomalyKind.SPIKE,
    expected=Decimal("100.7"),
    actual=Decimal("495.7719240000"),
    score=31.1,
    found_at=NOW,
    cleared_at=None,
)


@pytest.fixture
def api():
    return make_api()


def test_a_page_of_anomalies(api):
    api.ledger.unusual = [ONE, replace(ONE, id=8, cleared_at=NOW)]
    answer = api.get("/api/v1/anomalies").json
    assert answer["anomalies"][0] == {
        "id": "7",
        "account": "one",
        "provider": "focus",
        "day": "2026-03-05",
        "service": "Compute",
        "currency": "USD",
        "kind": "spike",
        "expected": "100.7",
        "actual": "495.771924",
        "score": 31.1,
        "foundAt": "2026-03-10T12:30:15.123Z",
        "clearedAt": None,
    }
    assert answer["anomalies"][1]["clearedAt"] == "2026-03-10T12:30:15.123Z"
    assert answer["next"] is None


def test_every_filter_reaches_the_ledger(api):
    url = f"/api/v1/anomalies?start=2026-03-01&end=2026-03-05&account=two&kind=vanished&limit=7&cursor={CURSOR}"
    api.ledger.unusual = [ONE] * 8
    assert api.get(url).json["next"] == CURSOR
    days = DayRange(date(2026, 3, 1), DAY)
    wanted = AnomalyQuery(days=days, account="two", kind=AnomalyKind.VANISHED, limit=7, cursor=CURSOR)
    assert api.ledger.calls("anomalies") == [(wanted,)]


def test_left_out_the_days_are_the_newest_ninety_complete_ones(api):
    api.get("/api/v1/anomalies")
    ((wanted,),) = api.ledger.calls("anomalies")
    assert (wanted.days.end, len(wanted.days), wanted.limit) == (date(2026, 3, 9), 90, 50)


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("kind=odd", 400, "kind"),
        ("limit=0", 400, "limit"),
        ("start=2026-03-11", 400, "start"),
        ("cursor=another", 400, "cursor"),
        ("colour=red", 400, "colour"),
        ("account=nobody", 404, None),
    ],
)
def test_a_mistake_is_named(api, query, status, field):
    answer = api.get(f"/api/v1/anomalies?{query}")
    assert (answer.status_code, answer.json.get("field")) == (status, field)


def test_budgets_tell_how_far_they_are_used_up(api):
    days = {date(2026, 3, 1) + timedelta(days=number): Decimal("20.25") for number in range(4)}
    api.ledger.limits = [
        BudgetStatus(Budget("one", Decimal("100.00"), "USD"), date(2026, 3, 1), days, 2, ("EUR",)),
        BudgetStatus(Budget("two", Decimal(5), "EUR"), date(2026, 3, 1), {}),
    ]
    one, two = api.get("/api/v1/budgets").json["budgets"]
    assert one == {
        "account": "one",
        "month": "2026-03",
        "currency": "USD",
        "budget": "100",
        "spent": "81",
        "percent": 81.0,
        "reached": [80],
        "forecast": "627.75",
        "through": "2026-03-04",
        "days": 4,
        "estimatedDays": 2,
        "otherCurrencies": ["EUR"],
    }
    assert (two["spent"], two["forecast"], two["through"], two["days"]) == ("0", None, None, 0)
    assert [each["account"] for each in api.get("/api/v1/budgets?account=two").json["budgets"]] == ["two"]
    assert api.get("/api/v1/budgets?account=nobody").status_code == 404
