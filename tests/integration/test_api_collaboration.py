"""The API over a real Redis and a real ledger on both databases, with Redis present, frozen and gone."""

import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from shared.bootstrap.dispatching import Dispatch
from shared.core.days import DayRange
from shared.ledger.database import Database
from shared.ledger.migrate import Migrator, MigratorState
from shared.messaging.depths import queue_depths
from shared.messaging.sender import DramatiqSender
from shared.redis_link import LinkConfig, RedisLink
from status_api.bounded import BoundedCalls
from status_api.ledger import DatabaseLedger
from tests.support.api import NOW, Client, Description, make_api
from tests.support.ledger import collected, cost_row, with_accounts
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

MARCH = DayRange(date(2026, 3, 1), date(2026, 3, 9))
# A link that would wait for a minute, so that an answer within seconds is one that did not wait for it.
PATIENT = {"beat_timeout_s": 60.0, "connect_timeout_s": 60.0, "command_timeout_s": 60.0}
EXACT = "0.123456789012345678"


@pytest.fixture
def redis_server():
    with RedisServer() as server:
        yield server


@pytest.fixture
def link(redis_server, request):
    config = LinkConfig(url=redis_server.url, namespace="apitest", **getattr(request, "param", {}))
    with closing(RedisLink(config, name="api-test")) as made:
        made.start()
        assert made.wait_connected(20)
        yield made


def migrated(database: Database) -> Migrator:
    migrator = Migrator(database)
    migrator.start()
    assert migrator.wait_ready(30)
    return migrator


def api_over(link: RedisLink, ledger: DatabaseLedger, dispatch: Dispatch, calls: BoundedCalls) -> Client:
    standard = make_api().collaborators
    given = replace(
        standard,
        link=link,
        ledger=ledger,
        queues=lambda: queue_depths(link, namespace="apitest"),
        dispatch=lambda run_ids: frozenset(dispatch.due(only=run_ids, deadline_s=0.5).sent),
        redis_calls=calls,
        monotonic_s=time.monotonic,
    )
    return Client(given, Description())


@pytest.fixture
def api(link, database):
    ledger = DatabaseLedger(database, migrated(database))
    dispatch = Dispatch(database, link, DramatiqSender(link, namespace="apitest"), namespace="apitest", window=1000)
    with closing(BoundedCalls(8, name="api-test-redis")) as calls:
        with_accounts(database, "one", "two")
        yield api_over(link, ledger, dispatch, calls)


def rows_of(*amounts: str):
    return [cost_row(date(2026, 3, 1), billed=amount, service=f"s{number}") for number, amount in enumerate(amounts)]


def test_costs_are_summed_exactly_and_the_cache_follows_the_data(api, database):
    collected(database, "one", MARCH, rows_of("12.340", EXACT, "-0.5"))
    asked = "/api/v1/costs?start=2026-03-01&end=2026-03-09&groupBy=day,service"
    first = api.get(asked)
    assert first.headers["x-cache"] == "miss"
    assert [row["amount"] for row in first.json["rows"]] == ["12.34", EXACT, "-0.5"]
    assert Decimal(first.json["totals"][0]["amount"]) == Decimal("12.34") + Decimal(EXACT) - Decimal("0.5")
    assert first.json["asOf"]
    second = api.get(asked)
    assert (second.headers["x-cache"], second.content) == ("hit", first.content)

    collected(database, "one", MARCH, rows_of("1"))
    third = api.get(asked)
    assert third.headers["x-cache"] == "miss"
    assert third.json["rows"] == [{"day": "2026-03-01", "service": "s0", "currency": "USD", "amount": "1"}]


@pytest.mark.parametrize(
    "group_by", ["day", "account", "subAccount", "service", "provider", "chargeCategory", "service,account,day"]
)
def test_every_group_is_answered_in_the_order_asked_for(api, database, group_by):
    collected(database, "one", MARCH, [cost_row(date(2026, 3, 1), billed="2"), cost_row(date(2026, 3, 2), billed="3")])
    answer = api.get(f"/api/v1/costs?start=2026-03-01&end=2026-03-09&groupBy={group_by}")
    assert list(answer.json["rows"][0]) == [*group_by.split(","), "currency", "amount"]
    assert answer.json["totals"] == [{"currency": "USD", "amount": "5"}]


def test_currencies_are_never_added_together(api, database):
    rows = [cost_row(date(2026, 3, 1), billed="2"), cost_row(date(2026, 3, 1), billed="3", currency="EUR")]
    collected(database, "one", MARCH, rows)
    answer = api.get("/api/v1/costs?start=2026-03-01&end=2026-03-09&groupBy=account")
    assert [(row["currency"], row["amount"]) for row in answer.json["rows"]] == [("EUR", "3"), ("USD", "2")]
    assert [total["currency"] for total in answer.json["totals"]] == ["EUR", "USD"]


def test_coverage_shows_collected_and_missing_days(api, database):
    collected(database, "one", MARCH, rows_of("1"))
    answer = api.get("/api/v1/coverage?start=2026-02-28&end=2026-03-02")
    one, two = answer.json["accounts"]
    assert [(day["state"], day["rows"]) for day in one["days"]] == [("missing", 0), ("complete", 1), ("complete", 0)]
    assert {day["state"] for day in two["days"]} == {"missing"}
    assert len(api.get("/api/v1/coverage?account=two").json["accounts"]) == 1


@pytest.mark.parametrize("path", ["costs", "coverage", "revisions", "runs"])
def test_an_unknown_account_is_a_404_everywhere(api, path):
    assert api.get(f"/api/v1/{path}?account=nobody").status_code == 404
    assert api.post("/api/v1/runs", {"account": "nobody"}).status_code == 404


def test_runs_are_asked_for_sent_listed_page_by_page_and_cancelled(api):
    asked = api.post("/api/v1/runs", {"start": "2026-03-01", "end": "2026-03-02"})
    assert (asked.status_code, asked.json["dispatch"]) == (202, "queued")
    assert [(run["account"], run["state"], run["kind"]) for run in asked.json["runs"]] == [
        ("one", "queued", "manual"),
        ("two", "queued", "manual"),
    ]
    assert api.get("/api/v1/queues").json["queues"] == [{"name": "collect", "depth": 2, "delayed": 0, "dead": 0}]
    ids = [run["id"] for run in asked.json["runs"]]
    seen: list[str] = []
    path = "/api/v1/runs?limit=1"
    while path:
        page = api.get(path).json
        seen += [run["id"] for run in page["runs"]]
        path = f"/api/v1/runs?limit=1&cursor={page['next']}" if page["next"] else ""
    assert seen == sorted(ids, key=int, reverse=True)
    assert api.get(f"/api/v1/runs/{ids[0]}").json == api.get("/api/v1/runs?account=one").json["runs"][0]

    cancelled = api.delete(f"/api/v1/runs/{ids[0]}")
    assert (cancelled.status_code, cancelled.json["state"]) == (200, "cancelled")
    assert api.delete(f"/api/v1/runs/{ids[0]}").status_code == 409
    assert api.get("/api/v1/runs/999999").status_code == 404
    assert [run["id"] for run in api.get("/api/v1/runs?state=queued").json["runs"]] == ids[1:]


@pytest.mark.parametrize("cursor", ["nonsense", "%2F", "1", "YmVmb3JlOjA", "x" * 200])
def test_a_cursor_that_no_page_gave_is_a_400(api, cursor):
    answer = api.get(f"/api/v1/runs?cursor={cursor}")
    assert (answer.status_code, answer.json["field"]) == (400, "cursor")


def test_a_repeated_request_is_answered_with_the_same_runs(api):
    body = {"account": "one", "start": "2026-03-01", "end": "2026-03-02"}
    first = api.post("/api/v1/runs", body, headers={"Idempotency-Key": "nightly"})
    for headers in ({"Idempotency-Key": "nightly"}, {}):
        again = api.post("/api/v1/runs", body, headers=headers)
        assert [run["id"] for run in again.json["runs"]] == [run["id"] for run in first.json["runs"]]
        assert again.json["dispatch"] == "queued"
    other = api.post("/api/v1/runs", {**body, "end": "2026-03-03"}, headers={"Idempotency-Key": "nightly"})
    assert other.status_code == 409


def test_a_repeated_request_without_days_is_the_same_after_midnight(api):
    headers = {"Idempotency-Key": "whatever the day"}
    first = api.post("/api/v1/runs", {"account": "one"}, headers=headers)
    api.collaborators = replace(api.collaborators, now=lambda: NOW + timedelta(days=1))
    again = api.post("/api/v1/runs", {"account": "one"}, headers=headers)
    assert again.status_code == 202
    assert again.json["runs"][0]["id"] == first.json["runs"][0]["id"]


def test_the_cache_routes_show_values_and_nothing_else_that_lies_in_redis(api, link, redis_server):
    link.set_value("greeting", "h\u00e4llo", 60)
    entry = api.get("/api/v1/cache/greeting").json
    assert (entry["value"], 0 < entry["ttl"] <= 60) == ("h\u00e4llo", True)
    api.post("/api/v1/runs", {"account": "one"})
    with closing(redis_server.admin()) as admin:
        wait_for(lambda: admin.exists("apitest:beat"), 20, "a beat that writes")
        keys = [key.decode() for key in admin.scan_iter() if isinstance(key, bytes)]
        assert {"apitest:ledger", "apitest:queues:collect"} <= set(keys)
        for key in keys:
            name = key.removeprefix("apitest:")
            if name != "greeting":
                assert api.get(f"/api/v1/cache/{name}").status_code == 404, key
                assert api.delete(f"/api/v1/cache/{name}").status_code == 404, key
        assert api.delete("/api/v1/cache/greeting").status_code == 204
        assert not admin.exists("apitest:greeting")


def test_a_value_of_another_kind_is_no_entry(api, redis_server):
    with closing(redis_server.admin()) as admin:
        admin.lpush("apitest:list", "x")
        admin.set("apitest:bytes", b"\xff\xfe")
    for key in ("list", "bytes"):
        assert api.get(f"/api/v1/cache/{key}").status_code == 404


@pytest.mark.parametrize("link", [PATIENT], ids=["patient"], indirect=True)
def test_a_frozen_redis_does_not_hold_soft_answers_nor_requests_for_runs(api, database, redis_server):
    collected(database, "one", MARCH, rows_of("7"))
    api.collaborators = replace(api.collaborators, redis_budget_s=0.25)
    redis_server.freeze()
    began_s = time.monotonic()
    answer = api.get("/api/v1/costs")
    assert (answer.status_code, answer.headers["x-cache"]) == (200, "bypass")
    assert answer.json["totals"] == [{"currency": "USD", "amount": "7"}]
    asked = api.post("/api/v1/runs", {"account": "one"})
    assert (asked.status_code, asked.json["dispatch"]) == (202, "deferred")
    assert time.monotonic() - began_s < 20
    redis_server.thaw()
    wait_for(lambda: "dispatch-call" not in {thread.name for thread in threading.enumerate()}, what="the late send")
    assert api.get(f"/api/v1/runs/{asked.json['runs'][0]['id']}").json["state"] == "queued"


def test_once_a_hang_is_noticed_no_answer_waits_for_redis_and_all_heals(api, link, redis_server):
    redis_server.freeze()
    wait_for(lambda: not link.is_available(), 20, "the link to notice")
    began_s = time.monotonic()
    for _ in range(20):
        assert api.get("/api/v1/queues").status_code == 503
        assert api.get("/api/v1/costs").headers["x-cache"] == "bypass"
    assert time.monotonic() - began_s < 20, "a connection each would have waited for 40 times 2 s"
    redis_server.thaw()
    wait_for(lambda: api.get("/api/v1/queues").status_code == 200, 20, "the strict route to serve again")
    assert api.get("/api/v1/costs").headers["x-cache"] == "miss"


def test_a_killed_redis_is_a_503_that_says_when_to_come_back_and_data_goes_on(api, link, redis_server):
    redis_server.kill()
    wait_for(lambda: not link.is_available(), 20, "the link to notice")
    for method, path in (("GET", "/api/v1/queues"), ("GET", "/api/v1/cache/a"), ("DELETE", "/api/v1/cache/a")):
        answer = api.request(method, path)
        assert answer.status_code == 503
        assert 1 <= answer.json["retryAfter"] <= 30
        assert answer.headers["retry-after"] == str(answer.json["retryAfter"])
        assert answer.json["status"] == answer.json["details"]["connectionState"] == "connecting"
    assert api.get("/api/v1/costs").headers["x-cache"] == "bypass"
    for path in ("/api/v1/coverage", "/api/v1/revisions", "/api/v1/runs"):
        assert api.get(path).status_code == 200
    assert api.post("/api/v1/runs", {"account": "one"}).json["dispatch"] == "deferred"


def test_a_redis_that_is_full_still_lets_costs_be_read(api, redis_server):
    with closing(redis_server.admin()) as admin:
        admin.config_set("maxmemory", "1")
    answer = api.get("/api/v1/costs")
    assert (answer.status_code, answer.headers["x-cache"]) == (200, "miss")


def test_an_entry_of_another_ledger_is_not_served(api, link, sqlite_url, postgres_url):
    assert [api.get("/api/v1/costs").headers["x-cache"] for _ in range(2)] == ["miss", "hit"]
    for url in (sqlite_url + "2", postgres_url):
        with closing_database(url) as other:
            ledger = DatabaseLedger(other, migrated(other))
            neighbour = Client(replace(api.collaborators, ledger=ledger), api.described)
            if ledger.identity() != api.collaborators.ledger.identity():
                assert neighbour.get("/api/v1/costs").headers["x-cache"] == "miss"


def closing_database(url: str):
    made = Database(url)
    made.close = made.dispose  # type: ignore[attr-defined]
    return closing(made)


def test_a_schema_that_is_too_new_is_a_503(api):
    migrator = Migrator(Database("sqlite:///unused.db"))
    migrator.state, migrator.message = MigratorState.TOO_NEW, "planted-revision"
    lost = Client(
        replace(api.collaborators, ledger=DatabaseLedger(Database("sqlite:///unused.db"), migrator)), api.described
    )
    answer = lost.get("/api/v1/runs")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "planted" not in answer.text


@pytest.mark.parametrize("started", [False, True])
def test_a_database_that_is_away_is_a_503_on_data_routes_and_redis_routes_go_on(api, started):
    nowhere = Database(f"postgresql://nobody:planted@127.0.0.1:{free_port()}/nothing")
    migrator = Migrator(nowhere)
    if started:
        migrator.start()
    try:
        lost = Client(replace(api.collaborators, ledger=DatabaseLedger(nowhere, migrator)), api.described)
        for path in ("/api/v1/costs", "/api/v1/coverage", "/api/v1/revisions", "/api/v1/runs", "/api/v1/runs/1"):
            answer = lost.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "planted" not in answer.text
        assert lost.post("/api/v1/runs").status_code == 503
        assert lost.delete("/api/v1/runs/1").status_code == 503
        assert lost.get("/api/v1/queues").status_code == 200
    finally:
        migrator.stop()
        nowhere.dispose()
