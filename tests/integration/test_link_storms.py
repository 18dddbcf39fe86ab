import threading
import time
from functools import partial

import pytest

from shared.core.errors import RedisUnavailableError
from shared.redis_link import RedisLink
from tests.support.links import Port, captured, closes, connected, error_code, keeps_silent, linked, resets, took_s
from tests.support.need import skip_or_fail
from tests.support.redis_server import RedisServer, find_binary
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def server():
    if find_binary() is None:
        skip_or_fail("no redis-server")
    with RedisServer() as running:
        yield running


def test_50_threads_through_an_outage_of_3_s_make_fewer_than_50_connections(server):
    with connected(server.url) as link:
        client, stop, refused = link.client, threading.Event(), [0] * 50

        def hammer(number: int) -> None:
            while not stop.is_set():
                try:
                    client.get("x")
                except RedisUnavailableError:
                    refused[number] += 1

        threads = [threading.Thread(target=hammer, args=(number,), daemon=True) for number in range(50)]
        for thread in threads:
            thread.start()
        wait_for(lambda: server.admin().info("clients")["connected_clients"] > 10, what="all are at work")
        server.kill()
        with Port(resets, port=server.port) as port:
            began_s = time.monotonic()
            wait_for(lambda: time.monotonic() - began_s > 3, what="3 s have passed")
            accepted = port.accepted
        server.start()
        assert took_s(link.is_available, 5, "healed while they go on") < 1.5
        stop.set()
        for thread in threads:
            thread.join(5)
        assert 1 <= accepted < 50
        assert min(refused) > 0


def test_behind_a_proxy_that_closes_it_is_connected_within_a_second_and_a_half(server):
    server.kill()
    with Port(closes, port=server.port) as port, captured() as lines, linked(server.url) as link:
        wait_for(lambda: link.health().details.retry_count == 3, timeout_s=8, what="the waits have grown to 4 s")
        assert error_code(link) == "CONNECTION_CLOSED"
        assert port.accepted <= 12
        port.close()
        server.start()
        assert took_s(link.is_available, 3, "connected") < 1.5
    assert len(lines.saying("Connection attempt")) == 3


def test_a_port_that_accepts_and_stays_silent_is_asked_on_the_connection_there_is():
    with Port(keeps_silent) as port, linked(port.url, connect_timeout_s=0.3) as link:
        wait_for(lambda: link.health().details.retry_count == 3, timeout_s=8, what="three attempts failed")
        assert error_code(link) == "TIMEOUT"
        assert port.accepted == 1


def test_looks_at_a_port_that_refuses_are_spread_and_do_not_count(server):
    server.kill()
    with linked(server.url) as link:
        wait_for(lambda: link.health().details.retry_count == 2, timeout_s=5, what="two attempts failed")
        assert link.health().details.attempt == 3
        before = link.retry_in_s()
        assert before is not None
        wait_for(lambda: (link.retry_in_s() or 9) < before - 0.6, what="several looks later")
        assert link.health().details.retry_count == 2


def test_a_link_that_flaps_says_so_once_in_place_of_further_lines(server):
    with captured() as lines, connected(server.url) as link:
        for _ in range(7):
            before = len(link.health().details.transitions)
            server.admin().client_kill_filter(_type="normal", skipme=True)
            wait_for(partial(_changed, link, before + 2), what="lost and back")
            assert link.wait_connected(3)
    assert lines.saying("Unstable") == ["Redis: Unstable (4 losses in 60s)"]
    assert len(lines.saying("Reconnecting after connection loss")) == 3
    assert len(lines.texts) <= 12 + 4, lines.texts  # the start and the close are no outage


def _changed(link: RedisLink, count: int) -> bool:
    return len(link.health().details.transitions) >= count


def test_a_server_that_drops_us_at_once_is_not_stormed(server):
    stop = threading.Event()

    def assassin() -> None:
        admin = server.admin()
        while not stop.is_set():
            admin.client_kill_filter(_type="normal", skipme=True)
            stop.wait(0.005)

    with linked(server.url) as link:
        before = server.admin().info("stats")["total_connections_received"]
        thread = threading.Thread(target=assassin, daemon=True)
        thread.start()
        began_s = time.monotonic()
        wait_for(lambda: time.monotonic() - began_s > 3, what="3 s have passed")
        stop.set()
        thread.join(5)
        assert server.admin().info("stats")["total_connections_received"] - before < 40
        assert link.wait_connected(3)


def test_an_idle_process_in_an_outage_needs_almost_no_processor_time(server):
    server.kill()
    with linked(server.url) as link:
        wait_for(lambda: link.health().details.retry_count == 1, what="the first attempt failed")
        began_s, used_s = time.monotonic(), time.process_time()
        wait_for(lambda: time.monotonic() - began_s > 3, what="3 s have passed")
        share = (time.process_time() - used_s) / (time.monotonic() - began_s)
        # The waiting above polls as well, 100 times a second; benchmarks/link_cost.py measures the link alone.
        assert share < 0.05
