"""GET /api/v1/costs and /coverage: what is asked of the ledger, how it is shown, what the cache may do."""

import gzip
import json
import random
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import redis

from shared.core.costs import Metric
from shared.core.days import DayRange
from shared.core.errors import RedisUnavailableError
from shared.ledger.revisions import RevisionFilter
from shared.observability import metrics
from status_api.bounded import BoundedCalls
from status_api.cost_cache import MAX_VALUE_BYTES, TTL_S, CostKey
from status_api.kept import COMPRESS_FROM_BYTES
from tests.support.api import LEDGER_ID, NOW, Api, make_api
from tests.support.waiting import wait_for


@pytest.fixture
def api():
    return make_api()


def cached_keys(api: Api) -> list[str]:
    return [key.decode() for key in api.link.redis.scan_iter() if isinstance(key, bytes)]


def test_costs_show_the_request_the_rows_and_how_fresh_they_are(api):
    answer = api.get("/api/v1/costs?start=2026-03-01&end=2026-03-02")
    assert answer.status_code == 200
    assert answer.json == {
        "start": "2026-03-01",
        "end": "2026-03-02",
        "groupBy": ["day", "service"],
        "metric": "billed",
        "rows": [
            {"day": "2026-03-01", "service": "Compute", "currency": "USD", "amount": "12.34"},
            {"day": "2026-03-02", "service": "Compute", "currency": "USD", "amount": "0"},
        ],
        "totals": [{"currency": "USD", "amount": "1000"}],
        "asOf": "2026-03-10T12:30:15.123Z",
    }


def test_left_out_parameters_have_their_defaults(api):
    api.get("/api/v1/costs")
    ((query,),) = api.ledger.calls("costs")
    assert query.days == DayRange(date(2026, 2, 8), date(2026, 3, 9))
    assert (query.group_by, query.metric, query.account) == (("day", "service"), Metric.BILLED, None)


def test_every_parameter_reaches_the_ledger(api):
    api.get("/api/v1/costs?groupBy=provider,subAccount&metric=effective&account=two&start=2026-03-01&end=2026-03-01")
    ((query,),) = api.ledger.calls("costs")
    assert query.group_by == ("provider", "subAccount")
    assert (query.metric, query.account) == (Metric.EFFECTIVE, "two")
    assert query.days == DayRange(date(2026, 3, 1), date(2026, 3, 1))
    assert api.ledger.calls("data_version") == [("two",)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start=2026-02-30", "start"),
        ("end=2026-03-11", "end"),
        ("start=2025-03-01", "end"),
        ("groupBy=", "groupBy"),
        ("groupBy=day&groupBy=service", "groupBy"),
        ("metric=amortised", "metric"),
        ("account=a%00b", "account"),
        ("account=" + "x" * 201, "account"),
    ],
)
def test_a_mistake_is_a_400_that_names_its_field(api, query, field):
    answer = api.get(f"/api/v1/costs?{query}")
    assert (answer.status_code, answer.json["field"]) == (400, field)
    assert answer.json["message"].startswith(field)
    assert answer.json["message"].endswith(f"; allowed: {answer.json['allowed']}")
    assert api.ledger.asked == []


@pytest.mark.parametrize("path", ["/api/v1/costs", "/api/v1/coverage", "/api/v1/revisions", "/api/v1/runs"])
def test_an_unknown_account_is_a_404(api, path):
    answer = api.get(f"{path}?account=nobody")
    assert answer.status_code == 404
    assert "nobody" in answer.json["message"]


def test_the_second_answer_comes_from_the_cache_and_is_the_same(api):
    first, second = api.get("/api/v1/costs"), api.get("/api/v1/costs")
    assert [answer.headers["x-cache"] for answer in (first, second)] == ["miss", "hit"]
    assert first.content == second.content
    assert len(api.ledger.calls("costs")) == 1


def test_new_data_is_a_miss(api):
    api.get("/api/v1/costs")
    api.ledger.version += 1
    assert api.get("/api/v1/costs").headers["x-cache"] == "miss"


def test_an_entry_lies_in_the_namespace_and_expires(api):
    api.get("/api/v1/costs")
    (key,) = cached_keys(api)
    assert key.startswith("holdfast:costs:v1:")
    assert 0 < api.link.redis.ttl(key) <= TTL_S
    entry = api.get(f"/api/v1/cache/{key.removeprefix('holdfast:')}")
    assert entry.status_code == 200
    assert entry.json["value"].startswith("{")


def test_everything_an_answer_depends_on_is_in_its_key():
    def key(**changes: Any) -> str:
        standard: dict[str, Any] = {
            "ledger_id": str(LEDGER_ID),
            "data_version": 1,
            "start": "2026-03-01",
            "end": "2026-03-02",
            "group_by": ("day", "service"),
            "metric": "billed",
            "account": None,
        }
        return CostKey(**{**standard, **changes}).text()

    others = [
        key(ledger_id="other"),
        key(data_version=2),
        key(start="2026-02-28"),
        key(end="2026-03-03"),
        key(group_by=("service", "day")),
        key(group_by=("day,service",)),
        key(metric="effective"),
        key(account="one"),
        key(account="null"),
    ]
    assert len({key(), *others}) == len(others) + 1
    assert key() == key()


def test_without_redis_the_answer_is_the_same_and_redis_is_not_asked(api):
    body = api.get("/api/v1/costs").content
    commands = api.link.commands
    api.link.away()
    answer = api.get("/api/v1/costs")
    assert (answer.status_code, answer.headers["x-cache"], answer.content) == (200, "bypass", body)
    assert api.link.commands == commands


@pytest.mark.parametrize(
    "failure",
    [
        RedisUnavailableError(summary="lost on the way", code="ECONNRESET", sent=True),
        redis.TimeoutError("no answer"),
        redis.ResponseError("WRONGTYPE"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
)
def test_a_command_that_fails_on_the_way_is_a_bypass_and_is_counted(api, failure):
    counted = metrics.COST_CACHE.labels(outcome="bypass")._value.get()
    api.link.failure = failure
    answer = api.get("/api/v1/costs")
    assert (answer.status_code, answer.headers["x-cache"]) == (200, "bypass")
    assert metrics.COST_CACHE.labels(outcome="bypass")._value.get() == counted + 1


def test_an_answer_that_redis_would_not_keep_is_still_an_answer(api, monkeypatch):
    def refuse(key, value, ttl_s=None):
        raise redis.exceptions.OutOfMemoryError("OOM command not allowed")

    monkeypatch.setattr(api.link, "set_value", refuse)
    assert [api.get("/api/v1/costs").headers["x-cache"] for _ in range(2)] == ["miss", "miss"]


@pytest.mark.parametrize("planted", ["", "nonsense", "[]", "17", '{"rows": []}'])
def test_what_a_person_wrote_under_a_key_is_not_served(api, planted):
    api.get("/api/v1/costs")
    (key,) = cached_keys(api)
    api.link.redis.set(key, planted)
    answer = api.get("/api/v1/costs")
    assert (answer.headers["x-cache"], answer.json["metric"]) == ("miss", "billed")
    assert api.get("/api/v1/costs").headers["x-cache"] == "hit"


def long_report(api, service):
    columns = ("day", "service", "currency", "amount")
    return type(api.ledger.report)(columns, [(date(2026, 3, 1), service, "USD", "1")], [], None)


def test_an_answer_too_large_for_redis_even_compressed_is_not_kept(api):
    # Seeded: nothing of it repeats, so that compressing takes away little.
    api.ledger.report = long_report(api, random.Random(1).randbytes(MAX_VALUE_BYTES).hex())
    assert api.get("/api/v1/costs").headers["x-cache"] == "miss"
    assert cached_keys(api) == []


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5", None, "identity", "gzip;q=0"])
def test_a_long_answer_is_kept_compressed_and_is_the_same_from_the_cache(api, accepted):
    api.ledger.report = long_report(api, "x" * COMPRESS_FROM_BYTES)
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    first, second = (api.get("/api/v1/costs", headers=headers) for _ in range(2))
    assert [one.headers["x-cache"] for one in (first, second)] == ["miss", "hit"]
    gzipped = accepted is not None and "gzip" in accepted.lower() and "q=0" not in accepted.replace("q=0.5", "")
    for one in (first, second):
        assert one.headers.get("content-encoding") == ("gzip" if gzipped else None)
        assert one.headers["vary"] == "Accept-Encoding"
        body = gzip.decompress(one.content) if gzipped else one.content
        assert json.loads(body)["rows"][0]["service"] == "x" * COMPRESS_FROM_BYTES
    (key,) = cached_keys(api)
    assert len(api.link.redis.get(key)) < COMPRESS_FROM_BYTES


@pytest.mark.parametrize(
    "damage", [lambda value: value[:-4], lambda value: value[:20] + value[21:], lambda _: "gz:0:="]
)
def test_a_compressed_answer_that_somebody_changed_is_not_served(api, damage):
    api.ledger.report = long_report(api, "x" * COMPRESS_FROM_BYTES)
    api.get("/api/v1/costs")
    (key,) = cached_keys(api)
    kept = api.link.redis.get(key)
    api.link.redis.set(key, damage(kept if isinstance(kept, str) else kept.decode()))
    assert api.get("/api/v1/costs").headers["x-cache"] == "miss"


def test_a_frozen_redis_holds_a_request_for_its_budget_only():
    calls = BoundedCalls(2, name="frozen")
    api = make_api(redis_calls=calls, redis_budget_s=0.05)
    thaw = threading.Event()
    frozen = []

    def hang(_key):
        frozen.append(1)
        thaw.wait(30)

    api.link.get_value = hang  # type: ignore[method-assign]
    try:
        outcomes = [api.get("/api/v1/costs").headers["x-cache"] for _ in range(4)]
        # Two threads are held; the other requests did not even try.
        assert outcomes == ["bypass"] * 4
        assert len(frozen) == 2
    finally:
        thaw.set()
    wait_for(lambda: api.get("/api/v1/costs").headers["x-cache"] == "miss", 20, "a thread to be free again")
    calls.close()


def test_coverage_shows_every_day_of_every_account(api):
    answer = api.get("/api/v1/coverage?start=2026-03-01&end=2026-03-02")
    assert answer.json["accounts"][1] == {
        "account": "two",
        "provider": "focus",
        "paused": False,
        "days": [
            {"day": "2026-03-01", "state": "complete", "rows": 3, "collectedAt": "2026-03-10T12:30:15.123Z"},
            {"day": "2026-03-02", "state": "missing", "rows": 0, "collectedAt": None},
        ],
    }


def test_coverage_is_of_the_last_thirty_complete_days_unless_asked_otherwise(api):
    assert len(api.get("/api/v1/coverage").json["accounts"][0]["days"]) == 30
    assert api.ledger.calls("coverage") == [(DayRange(date(2026, 2, 8), date(2026, 3, 9)), None)]


def test_a_day_ends_at_midnight_utc():
    for moment, last in (
        (NOW.replace(hour=0, minute=0), "2026-03-09"),
        (datetime(2026, 3, 9, 23, 59, tzinfo=UTC), "2026-03-08"),
    ):
        api = make_api(now=lambda moment=moment: moment)
        assert api.get("/api/v1/costs").json["end"] == last
        tomorrow = (moment + timedelta(days=1)).date()
        assert api.get(f"/api/v1/costs?end={tomorrow}").status_code == 400
        assert api.get(f"/api/v1/costs?end={moment.date()}").status_code == 200


def test_revisions_show_what_restated_days_were(api):
    answer = api.get("/api/v1/revisions?account=one&start=2026-03-01&end=2026-03-02&limit=1")
    assert answer.json == {
        "revisions": [
            {
                "id": "2",
                "account": "one",
                "day": "2026-03-01",
                "service": "Compute",
                "currency": "USD",
                "billed": {"before": "10", "after": "12.34"},
                "effective": {"before": "9.5", "after": "0"},
                "changedAt": "2026-03-10T12:30:15.123Z",
                "runId": "7",
            }
        ],
        "next": None,
    }
    assert api.ledger.calls("revisions") == [
        (RevisionFilter("one", date(2026, 3, 1), date(2026, 3, 2), limit=1, cursor=None),)
    ]


def test_a_service_that_is_new_has_no_figure_before(api):
    (_, new) = api.get("/api/v1/revisions").json["revisions"]
    assert (new["billed"], new["effective"]) == ({"before": None, "after": "12.34"}, {"before": None, "after": "0"})


def test_revisions_are_of_every_day_unless_asked_otherwise(api):
    api.get("/api/v1/revisions")
    api.get("/api/v1/revisions?start=2020-01-01")
    assert api.ledger.calls("revisions") == [(RevisionFilter(),), (RevisionFilter(start=date(2020, 1, 1)),)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start=2026-03-11", "start"),
        ("end=2026-02-30", "end"),
        ("start=2026-03-02&end=2026-03-01", "end"),
        ("start=2025-01-01&end=2026-03-01", "end"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("cursor=abc", "cursor"),
        ("service=Compute", "service"),
        ("account=", "account"),
    ],
)
def test_mistakes_in_a_question_about_revisions_name_their_field(api, query, field):
    answer = api.get(f"/api/v1/revisions?{query}")
    assert answer.status_code == 400
    assert answer.json["field"] == field


def test_revisions_of_an_unknown_account_are_404(api):
    assert api.get("/api/v1/revisions?account=nobody").status_code == 404
