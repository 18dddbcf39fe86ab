"""Health answers as functions of facts."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from shared.bootstrap.health import HealthSources, ProcessHealth
from shared.core.credentials import Credential, CredentialsAnswer, CredentialStatus, Finding
from shared.core.health import CheckResult, CheckStatus, ErrorFacts, RedisDetails, RedisHealth, Transition
from shared.probes.bodies import (
    CREDENTIALS,
    LISTED,
    FleetMember,
    Live,
    Moment,
    dependencies_body,
    iso,
    live_body,
    ready_answer,
    redis_body,
    redis_check,
)
from shared.probes.facts import (
    check_from_json,
    check_to_json,
    member_from_json,
    member_to_json,
    redis_from_json,
    redis_to_json,
    worst_check,
    worst_redis,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = Moment(AT, 123.45)
UP = CheckResult(CheckStatus.UP, 5.1, vital=True)
DOWN = CheckResult(CheckStatus.DOWN, message="Connection refused", vital=True)
UNUSED = CheckResult(CheckStatus.UNUSED, message="Not configured")
ERROR = ErrorFacts("REFUSED", "Nothing listens at redis:6379", "Start Redis", AT)
CONNECTED = RedisHealth(
    "connected",
    is_open=True,
    details=RedisDetails(
        uptime=123.9,
        url="redis://***@host:6379/0",
        response_ms=0.4,
        server_version="7.0.15",
        server_role="master",
        transitions=(Transition(AT, "connecting", "connected", "CONNECTED"),),
    ),
)
CONNECTING = RedisHealth(
    "connecting",
    is_open=False,
    details=RedisDetails(
        retry_count=4, attempt=5, last_error=ERROR.summary, error=ERROR, next_attempt_at=AT + timedelta(seconds=15)
    ),
)
FAILED = RedisHealth("failed", is_open=False, details=replace(CONNECTING.details, attempt=21))
REFUSING_WRITES = replace(
    CONNECTED, details=replace(CONNECTED.details, degraded=ErrorFacts("OOM", "Memory full", "x", AT))
)
MEMBER = FleetMember("worker", "host", 7, "1.0.0", AT, AT, "connected")
CHECKS = {"database": UP, "redis": redis_check(CONNECTED), "azureCredentials": UNUSED, "awsCredentials": UNUSED}


def test_instants_are_utc_with_milliseconds_and_z():
    assert iso(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == "2026-01-01T00:00:00.000Z"


def test_alive_tells_time_and_uptime_and_stuck_tells_why():
    assert live_body(Live(), MOMENT) == {"status": "alive", "timestamp": "2026-01-01T00:00:00.000Z", "uptime": 123.45}
    assert live_body(Live(("a thread ended",)), MOMENT) == {"status": "stuck", "reasons": ["a thread ended"]}


def test_ready_and_healthy_has_exactly_the_documented_shape():
    ready = ready_answer(CHECKS, MOMENT, version="1.0.0")
    assert ready.ok
    assert ready.body == {
        "status": "healthy",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "uptime": 123.45,
        "version": "1.0.0",
        "checks": {
            "database": {"status": "up", "responseTime": 5.1},
            "redis": {"status": "up", "responseTime": 0.4, "message": "Connected for 123s"},
            "azureCredentials": {"status": "unused", "message": "Not configured"},
            "awsCredentials": {"status": "unused", "message": "Not configured"},
        },
    }


@pytest.mark.parametrize(
    ("health", "status", "message"),
    [
        (CONNECTED, "up", "Connected for 123s"),
        (CONNECTING, "degraded", "Connecting (attempt 5)"),
        (FAILED, "down", "Nothing listens at redis:6379"),
        (REFUSING_WRITES, "degraded", "Memory full"),
        (RedisHealth("disconnected", is_open=False), "down", "Not started"),
    ],
)
def test_redis_is_told_by_its_state_and_never_makes_the_whole_unhealthy(health, status, message):
    check = redis_check(health)
    assert (check.status, check.message) == (status, message)
    ready = ready_answer({**CHECKS, "redis": check}, MOMENT, version="1")
    assert ready.ok
    assert ready.body["status"] == ("healthy" if status == "up" else "degraded")


def test_without_the_database_the_whole_is_unhealthy():
    ready = ready_answer({**CHECKS, "database": DOWN}, MOMENT, version="1")
    assert (ready.ok, ready.body["status"]) == (False, "unhealthy")


def test_draining_is_not_ready_and_says_so():
    ready = ready_answer(CHECKS, MOMENT, version="1", draining=True)
    assert (ready.ok, ready.body["draining"], ready.body["status"]) == (False, True, "healthy")


def test_dependencies_have_exactly_the_documented_shape():
    body = dependencies_body(CONNECTING, {"dialect": "sqlite"}, CHECKS, [MEMBER])
    assert body["redis"] == {
        "status": "disconnected",
        "connectionState": "connecting",
        "retryCount": 4,
        "uptime": None,
        "responseTime": None,
        "url": "",
        "lastError": {
            "code": "REFUSED",
            "summary": "Nothing listens at redis:6379",
            "hint": "Start Redis",
            "at": "2026-01-01T00:00:00.000Z",
        },
        "nextAttemptAt": "2026-01-01T00:00:15.000Z",
        "server": {"version": None, "role": None},
        "transitions": [],
    }
    assert body["database"] == {"status": "up", "responseTime": 5.1, "dialect": "sqlite"}
    unused = {"status": "unused", "message": "Not configured", "accounts": [], "omitted": 0}
    assert body["awsCredentials"] == body["azureCredentials"] == unused
    assert body["processes"] == [
        {
            "name": "worker",
            "host": "host",
            "pid": 7,
            "version": "1.0.0",
            "startedAt": "2026-01-01T00:00:00.000Z",
            "seenAt": "2026-01-01T00:00:00.000Z",
            "redis": "connected",
        }
    ]


def test_a_connected_redis_shows_its_server_and_history_and_no_error():
    body = redis_body(CONNECTED)
    assert (body["status"], body["lastError"], body["nextAttemptAt"]) == ("connected", None, None)
    assert body["server"] == {"version": "7.0.15", "role": "master"}
    assert body["transitions"] == [
        {"at": "2026-01-01T00:00:00.000Z", "from": "connecting", "to": "connected", "reason": "CONNECTED"}
    ]


def test_in_production_errors_are_codes_only():
    checks = {**CHECKS, "database": DOWN}
    body = dependencies_body(CONNECTING, {}, checks, [], production=True)
    assert body["redis"]["lastError"] == {"code": "REFUSED", "at": "2026-01-01T00:00:00.000Z"}
    assert body["database"]["message"] == "DATABASE_UNAVAILABLE"
    assert "6379" not in json.dumps(body)


@pytest.mark.parametrize("health", [CONNECTED, CONNECTING, FAILED, REFUSING_WRITES])
def test_facts_of_redis_survive_the_way_through_json(health):
    assert redis_from_json(json.loads(json.dumps(redis_to_json(health)))) == health


def test_checks_and_members_survive_the_way_through_json():
    for check in (UP, DOWN, UNUSED):
        assert check_from_json(json.loads(json.dumps(check_to_json(check)))) == check
    assert member_from_json(json.loads(json.dumps(member_to_json(MEMBER)))) == MEMBER


def test_of_several_processes_the_worst_is_shown():
    assert worst_check([UP, DOWN, UNUSED]) is DOWN
    assert worst_redis([CONNECTED, FAILED, CONNECTING]) is FAILED


REFUSED = Finding(CredentialStatus.DOWN, "AWS_EXPIRED", "The session has expired", "Renew it")


def dependencies_of(*found: Credential, production: bool = False) -> Any:
    checks = {**CHECKS, "awsCredentials": CheckResult(CheckStatus.DEGRADED, message="payer: refused, renew it")}
    body = dependencies_body(CONNECTED, {}, checks, [], credentials={"awsCredentials": found}, production=production)
    return body["awsCredentials"]


def test_dependencies_list_each_account_of_a_provider():
    assert dependencies_of(Credential(1, "payer", "aws", REFUSED, AT, AT)) == {
        "status": "degraded",
        "message": "payer: refused, renew it",
        "accounts": [
            {
                "account": "payer",
                "status": "down",
                "code": "AWS_EXPIRED",
                "summary": "The session has expired",
                "hint": "Renew it",
                "since": iso(AT),
                "checkedAt": iso(AT),
            }
        ],
        "omitted": 0,
    }


def test_in_production_accounts_are_told_by_codes_only():
    body = dependencies_of(Credential(1, "payer", "aws", REFUSED, AT, None), production=True)
    assert body["message"] == "AWS_EXPIRED"
    told = {"account": "payer", "status": "down", "code": "AWS_EXPIRED", "since": iso(AT), "checkedAt": None}
    assert body["accounts"] == [told]


def test_accounts_beyond_what_fits_are_counted():
    body = dependencies_of(*(Credential(n, f"a{n}", "aws", REFUSED, AT, AT) for n in range(LISTED + 7)))
    assert (len(body["accounts"]), body["omitted"]) == (LISTED, 7)


def sources(**more: Any) -> HealthSources:
    given: dict[str, Any] = {
        "redis": lambda: CONNECTED,
        "database": lambda: UP,
        "database_facts": dict,
        "credentials": lambda: {name: CredentialsAnswer(UNUSED) for name in CREDENTIALS},
        "fleet": list,
        "draining": lambda: False,
        **more,
    }
    return HealthSources(**given)


def test_a_process_adds_its_own_checks_after_those_that_all_have():
    health = ProcessHealth(sources())
    health.add_check("scheduler", lambda: UP)
    assert list(health.ready().body["checks"]) == [
        "database",
        "redis",
        "azureCredentials",
        "awsCredentials",
        "scheduler",
    ]
    assert set(health.dependencies()) == {"redis", "database", "awsCredentials", "azureCredentials", "processes"}


def test_a_process_is_stuck_for_as_long_as_a_reason_is_named():
    reasons = ["the loop has stopped"]
    health = ProcessHealth(sources())
    health.add_liveness(lambda: reasons[0] if reasons else None)
    assert health.live() == Live(("the loop has stopped",))
    reasons.clear()
    assert health.live().ok
