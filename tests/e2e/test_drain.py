"""SIGTERM to every process while both Redis and the database are away or hang: exit code 0, within the grace.

How they end in calm, other scenarios show at their ends.
"""

import contextlib
import threading
import time
from http.client import HTTPException

import pytest

from tests.support.exports import month_of_exports
from tests.support.redis_server import RedisServer
from tests.support.system import NAMES, running_system

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

GRACE_S = 2.0


@contextlib.contextmanager
def outage(redis, postgres):
    redis.kill()
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


@contextlib.contextmanager
def hang(redis, postgres):
    redis.freeze()
    postgres.freeze()
    try:
        yield
    finally:
        postgres.thaw()
        redis.thaw()


@pytest.mark.parametrize("trouble", [outage, hang])
def test_every_process_ends_with_zero_within_the_grace(tmp_path, postgres_server, trouble):
    month_of_exports(tmp_path)
    grace = {"SHUTDOWN_GRACE_S": str(GRACE_S)}
    with (
        RedisServer() as redis,
        running_system(
            tmp_path, redis_url=redis.url, database_url=postgres_server.create_database(), environment=grace
        ) as system,
    ):
        system.start()
        system.wait_serving()
        system.wait_status("healthy")
        with contextlib.ExitStack() as stack:
            stack.enter_context(trouble(redis, postgres_server))
            asking = threading.Thread(target=ask, args=(system,), daemon=True)
            asking.start()
            began_s = time.monotonic()
            codes = system.stop()
            took_s = time.monotonic() - began_s
        assert codes == dict.fromkeys(NAMES, 0)
        # Beyond the grace there are only last words; the rest of the margin is for a busy machine.
        assert took_s < GRACE_S + 4


def ask(system):
    """A request in flight: in a hang it waits for the database when the signal comes."""
    with contextlib.suppress(OSError, HTTPException):
        system.api("/api/v1/runs")
