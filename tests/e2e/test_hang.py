"""A Redis that hangs (SIGSTOP): everybody notices, health answers from memory all the while, and SIGCONT heals."""

import statistics
import time
from functools import partial

import pytest

from tests.support.exports import month_of_exports
from tests.support.redis_server import RedisServer
from tests.support.system import NAMES, running_system
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

REQUESTS = 300
PACE_S = 0.01


def is_due(at_s):
    return time.monotonic() >= at_s


def response_times_s(system):
    """Ask for readiness 100 times a second for three seconds; how long each answer took."""
    took = []
    for number in range(REQUESTS):
        started = time.monotonic()
        assert system["status_api"].probe("/health/ready").status == 200
        took.append(time.monotonic() - started)
        wait_for(partial(is_due, started + PACE_S), 20, f"request {number + 1} to be due")
    return took


def test_a_hanging_redis_is_noticed_holds_nobody_up_and_heals(tmp_path):
    month_of_exports(tmp_path)
    with (
        RedisServer() as redis,
        running_system(tmp_path, redis_url=redis.url, environment={"DIRECT_AFTER_S": "0"}) as system,
    ):
        system.start()
        system.wait_serving()
        system.wait_runs("succeeded")
        system.wait_status("healthy")
        calm = statistics.quantiles(response_times_s(system), n=100)[98]
        redis.freeze()
        hung = statistics.quantiles(response_times_s(system), n=100)[98]
        # Compared within one run, since the machine may be slow: a hang must not show in the answers.
        assert hung < max(10 * calm, 0.5), (calm, hung)
        system.wait_each(lambda it: system.ready(it.name)["checks"]["redis"]["status"] != "up", 20, "notice")
        refused_at = time.monotonic()
        for _ in range(20):
            assert system.api("/api/v1/queues").status == 503
        assert time.monotonic() - refused_at < 20, "a connection each would have waited for 20 times 2 s"
        soft = system.api("/api/v1/costs")
        assert (soft.status, soft.headers["x-cache"]) == (200, "bypass")
        asked = system.api("/api/v1/runs", method="POST", payload={"account": "exports"})
        assert (asked.status, asked.body["dispatch"]) == (202, "deferred")
        redis.thaw()
        system.wait_status("healthy")
        system.wait_runs("succeeded", at_least=2)
        assert system.api("/api/v1/queues").status == 200
        assert system.stop() == dict.fromkeys(NAMES, 0)


def test_sigterm_while_redis_hangs_ends_every_process_with_zero(tmp_path):
    month_of_exports(tmp_path)
    with RedisServer() as redis, running_system(tmp_path, redis_url=redis.url) as system:
        system.start()
        system.wait_serving()
        system.wait_status("healthy")
        redis.freeze()
        try:
            assert system.stop() == dict.fromkeys(NAMES, 0)
        finally:
            redis.thaw()
