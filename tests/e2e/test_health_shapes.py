"""Every health answer of the three processes, connected and not, field by field."""

import re
from datetime import datetime, timedelta

import pytest

from shared.core.version import VERSION
from tests.support.exports import month_of_exports
from tests.support.redis_server import RedisServer
from tests.support.system import NAMES, free_port, request, running_system
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
BASE_CHECKS = {"database", "redis", "azureCredentials", "awsCredentials"}
CHECKS = {
    "status_api": BASE_CHECKS,
    "scheduler": BASE_CHECKS | {"scheduler"},
    "worker": BASE_CHECKS | {"consumers"},
}
REDIS_KEYS = {
    "status",
    "connectionState",
    "retryCount",
    "uptime",
    "responseTime",
    "url",
    "lastError",
    "nextAttemptAt",
    "server",
    "transitions",
}


def assert_instant(text):
    assert INSTANT.fullmatch(text), text
    assert datetime.fromisoformat(text).utcoffset() == timedelta(0)


def assert_common(answer):
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


def assert_live(running):
    answer = running.probe("/health/live")
    assert_common(answer)
    assert answer.status == 200
    assert set(answer.body) == {"status", "timestamp", "uptime"}
    assert answer.body["status"] == "alive"
    assert_instant(answer.body["timestamp"])
    assert answer.body["uptime"] > 0


def assert_ready(running, status):
    answer = running.probe("/health/ready")
    assert_common(answer)
    assert answer.status == 200
    assert {"status", "timestamp", "uptime", "version", "checks"} <= set(answer.body)
    assert answer.body["status"] == status
    assert answer.body["version"] == VERSION
    assert_instant(answer.body["timestamp"])
    assert set(answer.body["checks"]) == CHECKS[running.name]
    assert answer.body["checks"]["database"]["status"] == "up"
    assert answer.body["checks"]["database"]["responseTime"] >= 0
    for name in ("azureCredentials", "awsCredentials"):
        assert answer.body["checks"][name] == {"status": "unused", "message": "Not configured"}
    return answer.body["checks"]["redis"]


def assert_dependencies(running):
    answer = running.probe("/health/dependencies")
    assert_common(answer)
    assert answer.status == 200
    assert {"redis", "database", "awsCredentials", "azureCredentials", "processes"} <= set(answer.body)
    redis = answer.body["redis"]
    assert set(redis) >= REDIS_KEYS
    for transition in redis["transitions"]:
        assert set(transition) == {"at", "from", "to", "reason"}
        assert_instant(transition["at"])
    return answer.body


def assert_head_and_slash(running):
    for path in ("/health/live", "/health/ready", "/health/dependencies", "/metrics"):
        head = request(running.probe_port, path, method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert request(running.probe_port, path + "/").status == 200
        refused = request(running.probe_port, path, method="POST")
        assert refused.status == 405
        assert "GET" in refused.headers["allow"]
        assert {"error", "message"} <= set(refused.body)
    lost = request(running.probe_port, "/health/nothing", headers={"Accept": "text/html"})
    assert lost.status == 404
    assert {"error", "message"} <= set(lost.body)


def test_every_health_answer_connected_and_not(tmp_path):
    month_of_exports(tmp_path)
    port = free_port()
    url = f"redis://:planted-password@127.0.0.1:{port}/0"
    with (
        RedisServer(port=port, args=("--requirepass", "planted-password")) as redis,
        running_system(tmp_path, redis_url=url) as system,
    ):
        system.start()
        system.wait_serving()
        system.wait_status("healthy")
        for name in NAMES:
            assert_live(system[name])
            redis_check = assert_ready(system[name], "healthy")
            assert redis_check["status"] == "up"
            assert re.fullmatch(r"Connected for \d+s", redis_check["message"])
            assert redis_check["responseTime"] >= 0
            found = assert_dependencies(system[name])["redis"]
            assert (found["status"], found["connectionState"]) == ("connected", "connected")
            assert found["lastError"] is None
            assert found["nextAttemptAt"] is None
            assert found["uptime"] >= 0
            assert found["server"]["role"] == "master"
            assert re.match(r"\d+\.\d+\.\d+", found["server"]["version"])
            assert "planted-password" not in found["url"]
            assert_head_and_slash(system[name])
            metrics = system[name].probe("/metrics")
            assert metrics.status == 200
            assert metrics.headers["content-type"].startswith("text/plain")

        def fleet():
            beats = system["status_api"].probe("/health/dependencies").body["processes"]
            return beats if {beat["name"] for beat in beats} == set(NAMES) else None

        for beat in wait_for(fleet, 20, "three beats in the fleet"):
            assert set(beat) == {"name", "host", "pid", "version", "startedAt", "seenAt", "redis"}
            assert beat["redis"] in {"connected", "connecting"}
            assert_instant(beat["seenAt"])

        redis.kill()
        system.wait_status("degraded")
        system.wait_each(lambda running: running.redis()["retryCount"], 10, "count its first failed attempt")
        for name in NAMES:
            assert_live(system[name])
            redis_check = assert_ready(system[name], "degraded")
            assert redis_check["status"] == "degraded"
            assert re.fullmatch(r"Connecting \(attempt \d+\)", redis_check["message"])
            found = assert_dependencies(system[name])["redis"]
            assert (found["status"], found["connectionState"]) == ("disconnected", "connecting")
            assert set(found["lastError"]) == {"code", "summary", "hint", "at"}
            assert all(found["lastError"].values())
            assert found["uptime"] is None
            assert [found["transitions"][-1][key] for key in ("from", "to")] == ["connected", "connecting"]
            assert_head_and_slash(system[name])
        assert all("planted-password" not in line for name in NAMES for line in system[name].lines())


def test_a_database_that_is_away_makes_every_process_unhealthy_and_none_end(tmp_path):
    month_of_exports(tmp_path)
    nowhere = f"postgresql://nobody:planted-password@127.0.0.1:{free_port()}/nothing"
    with RedisServer() as redis, running_system(tmp_path, redis_url=redis.url, database_url=nowhere) as system:
        system.start()
        system.wait_serving()
        system.wait_status("unhealthy")
        for name in NAMES:
            assert_live(system[name])
            answer = system[name].probe("/health/ready")
            assert answer.status == 503
            assert answer.body["checks"]["database"]["status"] == "down"
        data = system.api("/api/v1/runs")
        assert (data.status, data.headers["retry-after"]) == (503, "5")
        assert {"error", "message"} <= set(data.body)
        assert all("planted-password" not in line for name in NAMES for line in system[name].lines())
        assert system.stop() == dict.fromkeys(NAMES, 0)
