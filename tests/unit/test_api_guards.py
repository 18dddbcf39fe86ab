"""The routes that need Redis: strict when it is away, and when a command fails on the way."""

import pytest
import redis

from shared.core.errors import RedisUnavailableError
from shared.core.health import RedisDetails, RedisHealth
from status_api.errors import redis_away
from tests.support.api import make_api

MESSAGE = "Redis cache is currently unavailable. Please retry in a few seconds."
STRICT = [("GET", "/api/v1/queues"), ("GET", "/api/v1/cache/greeting"), ("DELETE", "/api/v1/cache/greeting")]


@pytest.fixture
def api():
    made = make_api()
    made.link.set_value("greeting", "hello")
    made.link.commands = 0
    return made


@pytest.mark.parametrize(
    ("retry_in_s", "seconds"),
    [(None, 30), (0.0, 1), (-3.0, 1), (0.2, 1), (1.0, 1), (1.01, 2), (14.2, 15), (30.0, 30), (99.0, 30)],
)
def test_retry_after_is_whole_seconds_to_the_next_attempt(retry_in_s, seconds):
    answer = redis_away(RedisHealth(status="connecting", is_open=False, details=RedisDetails()), retry_in_s)
    assert answer.headers == {"Retry-After": str(seconds)}
    assert answer.body["retryAfter"] == seconds


@pytest.mark.parametrize(
    ("state", "retrying"), [("connecting", True), ("failed", True), ("disconnected", False), ("connected", True)]
)
def test_a_refusal_shows_the_state_and_whether_it_is_tried_again(state, retrying):
    answer = redis_away(RedisHealth(status=state, is_open=False, details=RedisDetails()), 3.0)
    assert answer.body == {
        "error": "Service Temporarily Unavailable",
        "message": MESSAGE,
        "status": state,
        "retryAfter": 3,
        "details": {"connectionState": state, "retrying": retrying},
    }


@pytest.mark.parametrize(("method", "path"), STRICT)
def test_a_strict_route_refuses_at_once_while_redis_is_away(api, method, path):
    api.link.away(retry_in_s=7.4)
    answer = api.request(method, path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "8")
    assert answer.json == {
        "error": "Service Temporarily Unavailable",
        "message": MESSAGE,
        "status": "connecting",
        "retryAfter": 8,
        "details": {"connectionState": "connecting", "retrying": True},
    }
    assert api.link.commands == 0


@pytest.mark.parametrize(("method", "path"), STRICT[1:])
@pytest.mark.parametrize(
    "failure",
    [
        RedisUnavailableError(summary="lost", code="ECONNRESET", retry_in_s=2.0, sent=True),
        redis.TimeoutError("no answer"),
        redis.ConnectionError("reset"),
        redis.exceptions.ReadOnlyError("READONLY"),
        redis.exceptions.NoPermissionError("NOPERM"),
    ],
)
def test_a_command_that_fails_on_the_way_gets_the_same_answer(api, method, path, failure):
    api.link.failure = failure
    api.link.next_attempt_s = 2.0
    answer = api.request(method, path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json["message"] == MESSAGE


def test_queues_that_fail_on_the_way_get_it_too():
    def fail():
        raise RedisUnavailableError(summary="lost", code="ECONNRESET")

    assert make_api(queues=fail).get("/api/v1/queues").status_code == 503


def test_queues_show_their_depths(api):
    assert api.get("/api/v1/queues").json == {"queues": [{"name": "collect", "depth": 3, "delayed": 1, "dead": 0}]}


def test_an_entry_shows_its_value_and_what_it_has_left(api):
    assert api.get("/api/v1/cache/greeting").json == {"key": "greeting", "value": "hello", "ttl": -1}
    api.link.redis.expire("holdfast:greeting", 100)
    assert 0 < api.get("/api/v1/cache/greeting").json["ttl"] <= 100


def test_an_entry_is_dropped_once(api):
    answer = api.delete("/api/v1/cache/greeting")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers
    assert api.delete("/api/v1/cache/greeting").status_code == 404
    assert api.get("/api/v1/cache/greeting").status_code == 404


@pytest.mark.parametrize(
    "failure",
    [redis.ResponseError("WRONGTYPE Operation against a key"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")],
)
def test_what_is_no_text_is_no_entry(api, failure):
    api.link.failure = failure
    assert api.get("/api/v1/cache/greeting").status_code == 404


@pytest.mark.parametrize("key", ["ledger", "queues:collect", "queues", "beat:abc"])
def test_what_else_holdfast_keeps_in_redis_is_no_cache(api, key):
    api.link.redis.set(f"holdfast:{key}", "planted")
    assert api.get(f"/api/v1/cache/{key}").status_code == 404
    assert api.delete(f"/api/v1/cache/{key}").status_code == 404
    assert api.link.redis.get(f"holdfast:{key}") == b"planted"


@pytest.mark.parametrize("key", ["a%20b", "a*", "%C3%BC", "x" * 201, "a%0Ab", "%FF"])
def test_a_bad_key_is_a_400_also_while_redis_is_away(api, key):
    for away in (False, True):
        if away:
            api.link.away()
        answer = api.get(f"/api/v1/cache/{key}")
        assert (answer.status_code, answer.json["field"]) == (400, "key")


def test_bad_parameters_come_before_the_guard(api):
    api.link.away()
    assert api.get("/api/v1/queues?x=1").status_code == 400


@pytest.mark.parametrize("path", ["/api/v1/coverage", "/api/v1/revisions", "/api/v1/runs", "/api/v1/costs"])
def test_data_is_served_while_redis_is_away(api, path):
    api.link.away()
    assert api.get(path).status_code == 200
