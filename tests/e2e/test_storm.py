"""Twenty processes lose one Redis and find it again: all of them, without storming it meanwhile or when it returns."""

import contextlib
import time

import pytest

from tests.support.storm import BUCKET_S, ForkedProxy, Storm
from tests.support.waiting import pass_time

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PROCESSES = 20
AWAY_S = 4.0
# The bounds of docs/operations.md, "Many processes on one Redis", for the default settings.
LOOKS_PER_S = 1 / (0.25 * 0.8)
RETRIES_PER_S = 1.0
# The scheduled attempts that fall into that time, whatever is counted beside them: 1, 2 and 4 s after the loss.
ATTEMPTS = 3


def received(server):
    with contextlib.closing(server.admin()) as admin:
        return int(admin.info("stats")["total_connections_received"])


def away(storm):
    """Let time pass; how many connects each process made in it, on average, and how long it really was."""
    began_s = time.monotonic()
    pass_time(AWAY_S)
    ended_s = time.monotonic()
    return sum(storm.connects(began_s, ended_s)) / PROCESSES, ended_s - began_s + BUCKET_S


def test_a_redis_that_dies_is_looked_for_within_the_bound_and_each_process_comes_back_with_few_connects(server):
    with Storm(server.url, PROCESSES) as storm:
        storm.wait_connected()
        server.kill()
        storm.wait_lost()
        connects, lasted_s = away(storm)
        assert 0 < connects <= lasted_s * LOOKS_PER_S + ATTEMPTS
        server.start()
        storm.wait_connected()
        # One for each, and those that the harness makes itself to learn that it answers and what it counted.
        assert PROCESSES <= received(server) <= 2 * PROCESSES


def test_a_redis_that_hangs_is_awaited_on_the_connections_there_are(server):
    with Storm(server.url, PROCESSES) as storm:
        storm.wait_connected()
        before = received(server)
        server.freeze()
        storm.wait_lost()
        pass_time(1)
        connects, _ = away(storm)
        assert connects <= 1
        server.thaw()
        storm.wait_connected()
        assert received(server) - before <= 4 * PROCESSES


def test_behind_a_proxy_that_accepts_for_a_dead_redis_each_process_tries_once_a_second(server):
    with ForkedProxy(server.port) as proxy, Storm(proxy.url, PROCESSES) as storm:
        storm.wait_connected()
        server.kill()
        storm.wait_lost()
        connects, lasted_s = away(storm)
        assert 0 < connects <= (lasted_s / 0.8) * RETRIES_PER_S + ATTEMPTS
        assert proxy.accepted > PROCESSES
        server.start()
        storm.wait_connected()
