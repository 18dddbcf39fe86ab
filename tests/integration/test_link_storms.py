import contextlib
import socket
import sys
import threading
import time
from functools import partial

import psutil
import pytest

from shared.core.errors import RedisUnavailableError
from shared.redis_link import RedisLink
from tests.support.links import (
    FAR,
    Port,
    captured,
    closes,
    connected,
    error_code,
    found_by_a_look,
    keeps_silent,
    linked,
    resets,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import pass_time, wait_for

pytestmark = pytest.mark.integration


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
            pass_time(3)
            accepted = port.accepted
            wait_for(lambda: min(refused) > 0, timeout_s=20, what="each was refused")
        server.start()
        wait_for(link.is_available, timeout_s=30, what="healed while they go on")
        stop.set()
        for thread in threads:
            thread.join(20)
        assert 1 <= accepted < 50


def test_callers_that_try_again_without_a_pause_do_not_starve_the_link(server, slow_turns):
    """Callers that kept the interpreter for their whole turns would hold up healing for a minute and more."""
    with connected(server.url) as link:
        stop = threading.Event()

        def hammer() -> None:
            while not stop.is_set():
                with contextlib.suppress(RedisUnavailableError):
                    link.client.get("x")

        threads = [threading.Thread(target=hammer, daemon=True) for _ in range(50)]
        for thread in threads:
            thread.start()
        began_s = time.monotonic()
        server.kill()
        wait_for(lambda: not link.is_available(), what="lost")
        server.start()
        link.wait_connected(60)
        healed_s = time.monotonic() - began_s
        stop.set()
        for thread in threads:
            thread.join(20)
        assert healed_s < 20


@pytest.fixture
def slow_turns():
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(0.1)
    yield
    sys.setswitchinterval(usual_s)


def test_behind_a_proxy_that_closes_it_is_connected_long_before_the_next_attempt(server):
    server.kill()
    began_s = time.monotonic()
    with (
        Port(closes, port=server.port) as port,
        captured() as lines,
        linked(server.url, **FAR) as link,
        found_by_a_look(link),
    ):
        assert error_code(link) == "CONNECTION_CLOSED"
        pass_time(3)
        assert port.accepted <= 6 + 2 * (time.monotonic() - began_s), "a whole attempt now and then, no storm"
        port.close()
        server.start()
    assert len(lines.saying("Connection attempt")) == 2


def test_a_port_that_accepts_and_stays_silent_is_asked_on_the_connection_there_is():
    with Port(keeps_silent) as port, linked(port.url, connect_timeout_s=0.3) as link:
        wait_for(lambda: link.health().details.retry_count == 3, timeout_s=20, what="three attempts failed")
        assert error_code(link) == "TIMEOUT"
        assert port.accepted == 1


def test_looks_at_a_port_that_refuses_are_spread_and_do_not_count(server):
    server.kill()
    with linked(server.url, **FAR) as link:
        wait_for(lambda: link.health().details.retry_count == 2, timeout_s=20, what="two attempts failed")
        assert link.health().details.attempt == 3
        pass_time(1.5)  # several looks
        assert link.health().details.retry_count == 2


def test_a_link_that_flaps_says_so_once_in_place_of_further_lines(server):
    with captured() as lines, connected(server.url) as link:
        for _ in range(7):
            before = len(link.health().details.transitions)
            server.admin().client_kill_filter(_type="normal", skipme=True)
            wait_for(partial(_changed, link, before + 2), what="lost and back")
            assert link.wait_connected(20)
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
        pass_time(3)
        stop.set()
        thread.join(20)
        assert server.admin().info("stats")["total_connections_received"] - before < 40
        assert link.wait_connected(20)


def test_an_idle_process_in_an_outage_needs_almost_no_processor_time(server):
    server.kill()
    with linked(server.url) as link:
        wait_for(lambda: link.health().details.retry_count == 1, what="the first attempt failed")
        used_s = time.process_time()
        pass_time(3)
        idle_s = time.process_time() - used_s
        # What a loop without a wait gets of this machine, however busy it is. The passing of time above polls as well,
        # 100 times a second; benchmarks/link_cost.py measures the link alone.
        used_s, until_s = time.process_time(), time.monotonic() + 3
        while time.monotonic() < until_s:
            pass
        assert idle_s < (time.process_time() - used_s) / 4


def test_a_connection_to_a_hanging_server_is_kept_while_others_have_filled_its_backlog(monkeypatch):
    monkeypatch.setattr("shared.redis_link.lookout.SILENT_FOR_S", 1.0)
    options = {**FAR, "first_delay_s": 0.5, "multiplier": 1, "max_delay_s": 0.5, "connect_timeout_s": 0.3}
    with RedisServer(args=("--tcp-backlog", "8")) as server, connected(server.url, **options) as link:
        server.freeze()
        with contextlib.ExitStack() as others:
            wait_for(lambda: error_code(link) == "TIMEOUT", 20, "the hang to be noticed")
            fill_backlog(server.port, others)
            wait_for(lambda: error_code(link) == "CONNECT_TIMEOUT", 20, "no room for another connection")
            # The other one is that of an attempt, or of a look, that is under way.
            assert 1 <= len(connections_to(server.port, "ESTABLISHED")) <= 2
            pass_time(2)
            assert len(connections_to(server.port, "ESTABLISHED")) >= 1
        server.thaw()
        wait_for(link.is_available, 20, "healed")


def fill_backlog(port, stack):
    """Connect until nothing is accepted any more."""
    while True:
        sock = stack.enter_context(socket.socket())
        sock.settimeout(0.3)
        try:
            sock.connect(("127.0.0.1", port))
        except TimeoutError:
            return
        sock.shutdown(socket.SHUT_RDWR)


def connections_to(port, state):
    """This process's connections to that port in that state."""
    found = psutil.Process().net_connections("tcp")
    return [one for one in found if tuple(one.raddr)[1:] == (port,) and one.status == state]


@pytest.mark.parametrize("interval_s", [0.25, 30.0])
def test_a_longer_interval_of_looks_also_slows_the_retries_against_a_port_that_accepts_and_closes(interval_s):
    with Port(closes) as port, linked(port.url, **FAR, wake_interval_s=interval_s) as link:
        wait_for(lambda: (link.retry_in_s() or 0) > 30, 20, "the attempts that come soon to be over")
        before = port.accepted
        pass_time(4)
        assert (port.accepted - before >= 2) == (interval_s == 0.25)
        assert (port.accepted == before) == (interval_s == 30.0)
