import threading
import time
from collections.abc import Callable

import pytest
import redis
from redis.client import Pipeline

from shared.core.errors import RedisUnavailableError
from shared.redis_link import RedisLink
from tests.support.links import FAR, captured, connected, found_by_a_look, limit_code
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


class Caller(threading.Thread):
    """Runs `call` until it raises; keeps what it raised, and when."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.error: BaseException | None = None
        self.calls = 0
        self.start()

    def run(self) -> None:
        try:
            while True:
                self.call()
                self.calls += 1
        except BaseException as error:  # noqa: BLE001
            self.error = error


def test_a_server_that_dies_is_noticed_by_the_end_of_its_stream_long_before_the_next_beat(server):
    with connected(server.url, beat_interval_s=60) as link:
        noticed = threading.Event()
        link.on_change(lambda change: noticed.set() if change.previous == "connected" else None)
        process = server.process
        assert process is not None
        process.kill()
        process.wait(10)
        assert noticed.wait(20)
        assert not link.is_available()


def test_the_lines_of_a_loss_count_from_attempt_0(server):
    with captured() as lines, connected(server.url) as link:
        server.kill()
        wait_for(lambda: link.health().details.retry_count == 3, timeout_s=20, what="three attempts failed")
        assert link.health().details.attempt == 3
        server.start()
        assert link.wait_connected(20)
    # A server that is dying may refuse in more than one way, which has a line of its own.
    assert [text for text in lines.texts if "econnecting" in text] == [
        "Redis: Reconnecting after connection loss",
        "Redis: Runtime reconnecting in 1000ms (attempt 0)",
        "Redis: Runtime reconnecting in 2000ms (attempt 1)",
        "Redis: Runtime reconnecting in 4000ms (attempt 2)",
    ]
    assert lines.saying("(retryCount: 3,")


def test_a_server_that_comes_back_is_connected_by_a_look_long_before_the_next_attempt(server):
    with connected(server.url, **FAR) as link:
        server.kill()
        wait_for(lambda: not link.is_available(), what="lost")
        with found_by_a_look(link):
            server.start()


def test_a_client_handed_out_is_valid_for_life(server):
    with connected(server.url) as link:
        client = link.get()
        for _ in range(3):
            server.kill()
            wait_for(lambda: not link.is_available(), what="lost")
            with pytest.raises(RedisUnavailableError):
                client.ping()
            server.start()
            assert link.wait_connected(20)
            assert client.ping()
        assert link.get() is client


def test_a_hanging_server_is_left_by_the_beat_its_threads_are_freed_and_it_heals_when_it_answers(server):
    with connected(server.url, command_timeout_s=60, **FAR) as link:
        client = link.get()
        pubsub = client.pubsub()
        pubsub.subscribe("news")
        callers = [Caller(lambda: client.get("x")) for _ in range(8)]
        callers.append(Caller(lambda: _set_and_get(client, "1")))
        callers.append(Caller(lambda: client.eval("return 1", 0)))
        callers.append(Caller(lambda: client.blpop("nothing", timeout=50)))
        callers.append(Caller(lambda: pubsub.get_message(timeout=None)))
        wait_for(lambda: all(caller.calls > 3 for caller in callers[:10]), what="all are at work")
        server.freeze()
        wait_for(lambda: not link.is_available(), timeout_s=20, what="left, though a command may take 60 s")
        for caller in callers:
            caller.join(10)
        errors = [caller.error for caller in callers]
        assert all(isinstance(error, RedisUnavailableError) for error in errors), errors
        assert all(error.code == "TIMEOUT" for error in errors if isinstance(error, RedisUnavailableError))
        assert any(error.sent for error in errors if isinstance(error, RedisUnavailableError))
        began_s = time.monotonic()
        for _ in range(100):
            with pytest.raises(RedisUnavailableError):
                client.get("x")
        assert time.monotonic() - began_s < 20, "a connection each would have waited for 100 times 2 s"
        with found_by_a_look(link):
            assert link.health().details.retry_count >= 2
            server.thaw()
        assert client.ping()


def test_a_frozen_server_is_not_sent_connection_after_connection(server):
    with connected(server.url) as link:
        before = server.admin().info("stats")["total_connections_received"]
        server.freeze()
        wait_for(lambda: link.health().details.retry_count >= 3, timeout_s=30, what="attempts failed")
        server.thaw()
        assert link.wait_connected(20)
        assert server.admin().info("stats")["total_connections_received"] - before <= 4


def test_a_command_that_times_out_is_an_outage_only_if_the_beat_says_so(server):
    with connected(server.url, command_timeout_s=0.1) as link:
        client = link.get()
        with pytest.raises(RedisUnavailableError) as caught:
            client.blpop("nothing", timeout=1)
        assert (caught.value.code, caught.value.sent) == ("TIMEOUT", True)
        assert link.is_available()
        assert client.ping()


def test_a_watched_transaction_that_loses_its_connection_says_so(server):
    with connected(server.url) as link, link.get().pipeline() as pipe:
        pipe.watch("k")
        server.kill()
        with pytest.raises(RedisUnavailableError):
            pipe.get("k")
    with connected(server.start().url) as link, link.get().pipeline() as pipe:
        pipe.watch("k")
        pipe.multi()
        pipe.set("k", 1)
        server.kill()
        with pytest.raises(RedisUnavailableError):
            pipe.execute()


def test_nothing_but_our_own_error_leaves_the_link_however_often_the_server_dies(server):
    with connected(server.url) as link:
        client, stop, odd, refusals = link.client, threading.Event(), [], []

        def hammer(number: int) -> None:
            while not stop.is_set():
                try:
                    if number % 3 == 0:
                        client.incr("n")
                    elif number % 3 == 1:
                        _set_and_get(client, "b" * 20_000)
                    else:
                        client.transaction(_increment, "t")
                except RedisUnavailableError as error:
                    refusals.append(error.code)
                    stop.wait(0.001)
                except BaseException as error:  # noqa: BLE001
                    odd.append(repr(error))

        threads = [threading.Thread(target=hammer, args=(number,), daemon=True) for number in range(12)]
        for thread in threads:
            thread.start()
        for _ in range(6):
            server.kill()
            wait_for(lambda: not link.is_available(), what="lost")
            server.start()
            assert link.wait_connected(20)
        stop.set()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        assert odd == []
        assert refusals


def test_connections_that_the_server_closed_while_idle_are_replaced_unnoticed(server):
    with connected(server.url) as link:
        client = link.get()
        client.ping()
        server.admin().client_kill_filter(_type="normal", skipme=True)
        wait_for(lambda: link.is_available() and _pings(link), what="usable again")


def _set_and_get(client: redis.Redis, value: str) -> None:
    pipe = client.pipeline()
    pipe.set("a", value)
    pipe.get("a")
    pipe.execute()


def _increment(pipe: Pipeline) -> None:
    pipe.multi()
    pipe.incr("t")


def _pings(link: RedisLink) -> bool:
    try:
        return bool(link.client.ping())
    except redis.ConnectionError:
        return False


def test_one_callers_missing_permission_is_its_own_affair(server):
    server.admin().execute_command("ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all", "-flushall")
    with connected(server.url.replace("redis://", "redis://bob:pw@")) as link:
        with pytest.raises(redis.exceptions.NoPermissionError):
            link.get().flushall()
        with pytest.raises(redis.ResponseError):
            link.get().execute_command("NOSUCHCOMMAND")
        assert link.is_available()


def test_a_full_pool_is_told_at_once_and_shown_as_a_limit(server):
    with connected(server.url, max_connections=2) as link:
        client = link.get()
        held = [client.connection_pool.get_connection() for _ in range(2)]
        with pytest.raises(RedisUnavailableError) as caught:
            client.get("x")
        assert (caught.value.code, caught.value.sent) == ("POOL_EXHAUSTED", False)
        wait_for(lambda: link.health().details.degraded, what="shown")
        assert limit_code(link) == "POOL_EXHAUSTED"
        assert link.is_available()
        for connection in held:
            client.connection_pool.release(connection)
        assert client.ping()
        wait_for(lambda: link.health().details.degraded is None, timeout_s=20, what="forgotten")


def test_closing_the_link_frees_threads_that_wait(server):
    with connected(server.url, command_timeout_s=60) as link:
        client = link.get()
        caller = Caller(lambda: client.blpop("nothing", timeout=50))
        wait_for(lambda: any(c["cmd"] == "blpop" for c in server.admin().client_list()), what="it waits")
        link.close()
        caller.join(20)
        assert isinstance(caller.error, RedisUnavailableError)
        assert caller.error.code == "CLOSED"
