import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared import redis_link
from shared.core.errors import RedisUnavailableError
from tests.support.links import Port, connected, keeps_silent
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture
def default(server, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.setenv("REDIS_NAMESPACE", "ns")
    redis_link.set_default_link(None)
    redis_link.init_redis()
    redis_link.init_redis()
    wait_for(redis_link.is_redis_available, what="connected")
    yield
    redis_link.close_redis()
    redis_link.set_default_link(None)


@pytest.mark.usefixtures("default")
def test_values_are_text_under_the_namespace(server):
    redis_link.set_redis_value("greeting", "grüß dich", 60)
    redis_link.set_redis_value("for-good", "x")
    assert redis_link.get_redis_value("greeting") == "grüß dich"
    assert redis_link.get_redis_value("absent") is None
    assert redis_link.redis_key_exists("greeting")
    assert not redis_link.redis_key_exists("absent")
    assert 59 <= redis_link.get_redis_key_ttl("greeting") <= 60
    assert redis_link.get_redis_key_ttl("for-good") == -1
    assert redis_link.get_redis_key_ttl("absent") == -2
    assert server.admin().get("ns:greeting") == "grüß dich".encode()
    assert redis_link.delete_redis_value("greeting")
    assert not redis_link.delete_redis_value("greeting")


@pytest.mark.usefixtures("default")
def test_replies_of_the_client_are_bytes():
    redis_link.set_redis_value("k", "v")
    assert redis_link.get_redis().get("ns:k") == b"v"
    assert redis_link.get_redis_safe() is redis_link.get_redis()


@pytest.mark.usefixtures("default")
def test_all_values_raise_our_error_when_redis_has_gone(server):
    server.kill()
    wait_for(lambda: not redis_link.is_redis_available(), what="lost")
    with pytest.raises(RedisUnavailableError):
        redis_link.get_redis_value("k")
    health = redis_link.get_redis_health_status()
    assert (health.status, health.is_open) == ("connecting", False)


@pytest.mark.usefixtures("default")
def test_the_beat_leaves_one_small_key_that_expires(server):
    assert server.admin().keys("ns:*") == [b"ns:beat"]
    assert 0 < server.admin().pttl("ns:beat") <= 10_000


@pytest.mark.usefixtures("default")
def test_asking_for_the_client_costs_no_more_than_a_few_calls_of_a_function():
    # Compared in turns, so that a busy machine slows both down; the least question to Redis costs 500 times as much.
    ask, call = redis_link.get_redis_safe, list.__len__
    asked_ns, called_ns, tracer = [], [], sys.gettrace()
    sys.settrace(None)  # a measurement of coverage would be measured along
    for _ in range(50):
        asked_ns.append(_thousand_ns(ask))
        called_ns.append(_thousand_ns(lambda: call([])))
    sys.settrace(tracer)
    assert statistics.median(asked_ns) < 20 * statistics.median(called_ns)


def _thousand_ns(action: Callable[[], object]) -> int:
    began_ns = time.perf_counter_ns()
    for _ in range(1000):
        action()
    return time.perf_counter_ns() - began_ns


def test_init_works_alone_in_a_fresh_process(server):
    program = (
        "import time; from shared.redis_link import *\n"
        "init_redis()\n"
        "deadline = time.monotonic() + 20\n"
        "while not is_redis_available() and time.monotonic() < deadline: pass\n"
        "set_redis_value('k', 'v', 60); print(get_redis_value('k'))\n"
        "close_redis()\n"
    )
    done = _in_a_fresh_process(program, REDIS_URL=server.url)
    assert (done.returncode, done.stdout) == (0, "v\n"), done.stderr


def test_init_does_not_wait_for_a_redis_that_keeps_silent():
    program = (
        "import time; from shared.redis_link import *\n"
        "began = time.perf_counter(); init_redis(); took = time.perf_counter() - began\n"
        "assert took < 10, took\n"
        "print(get_redis_health_status().status)\n"
        "close_redis()\n"
    )
    with Port(keeps_silent) as port:
        done = _in_a_fresh_process(program, REDIS_URL=port.url, REDIS_CONNECT_TIMEOUT_S="30")
    assert (done.returncode, done.stdout) == (0, "connecting\n"), done.stderr


def _in_a_fresh_process(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


FORKING = """
import os, sys, threading, time
from shared.redis_link import LinkConfig, RedisLink

link = RedisLink(LinkConfig(url=sys.argv[1]))
seen = []
link.on_change(lambda change: seen.append(change.current))
link.start()
assert link.wait_connected(20)
client = link.get()
parent_id = client.client_id()
stop = threading.Event()

def busy():
    while not stop.is_set():
        client.incr("n")

threads = [threading.Thread(target=busy, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
children = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert link.wait_connected(20), "the child connects"
            assert client.ping() and link.get() is client
            assert client.client_id() != parent_id, "on a connection of its own"
            assert link.health().details.transitions[0].previous == "disconnected"
            code = 0
        finally:
            os._exit(code)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
stop.set()
for thread in threads:
    thread.join(20)
assert link.is_available() and client.ping(), "the parent has noticed nothing"
assert [str(state) for state in seen].count("connected") == 1, seen
link.close()
print(codes)
"""


def test_a_forked_child_gets_a_link_of_its_own_and_the_parent_notices_nothing(server):
    done = subprocess.run(
        [sys.executable, "-c", FORKING, server.url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[0, 0, 0, 0, 0]\n"), done.stderr


def test_many_threads_may_start_close_and_use_one_link_at_once(server):
    with connected(server.url) as link:
        odd: list[str] = []

        def churn(number: int) -> None:
            for _ in range(20):
                try:
                    if number == 0:
                        link.close()
                    else:
                        link.start()
                    link.wait_connected(0.05)
                    link.health()
                    link.client.ping()
                except RedisUnavailableError:
                    pass
                except Exception as error:  # noqa: BLE001
                    odd.append(repr(error))

        threads = [threading.Thread(target=churn, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert odd == []
        link.start()
        assert link.wait_connected(20)
        assert link.client.ping()
        link.close()
        wait_for(lambda: not [t for t in threading.enumerate() if t.name == "redis-link"], what="no thread is left")
        wait_for(lambda: len(server.admin().client_list()) == 1, what="no connection is left")
