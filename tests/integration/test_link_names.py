"""Names and addresses: what the resolver says, and what happens when it says nothing."""

import socket
import threading
import time
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from shared.observability import metrics
from shared.redis_link import LinkConfig, RedisLink
from shared.redis_link.dialer import Dialer
from tests.support.links import FAR, captured, connected, error_code, found_by_a_look, linked
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

real_getaddrinfo = socket.getaddrinfo


class Names:
    """Stands for the name service: `redis.test` leads to `ports`, or nowhere while `stuck`."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.asked_at_s: list[float] = []
        self.stuck = False
        self.release = threading.Event()

    def getaddrinfo(self, host: str, *rest: Any) -> Any:
        if host != "redis.test":
            return real_getaddrinfo(host, *rest)
        self.asked_at_s.append(time.monotonic())
        if self.stuck:
            self.release.wait(60)
        if not self.ports:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in self.ports]


@pytest.fixture
def names(monkeypatch):
    service = Names()
    monkeypatch.setattr(socket, "getaddrinfo", service.getaddrinfo)
    yield service
    service.release.set()


def test_a_stuck_resolver_blocks_neither_the_supervisor_nor_close(names, monkeypatch):
    monkeypatch.setattr("shared.redis_link.link.STOP_S", 60)
    names.stuck = True
    with linked("redis://redis.test/0", connect_timeout_s=0.3) as link:
        wait_for(lambda: link.health().details.retry_count >= 2, timeout_s=20, what="attempts failed")
        assert error_code(link) == "NAME_TIMEOUT"
        assert link.supervisor_alive(10)
        assert len(names.asked_at_s) == 1, "one lookup at a time"
        began_s = time.monotonic()
        link.close()
        assert time.monotonic() - began_s < 10


def test_a_name_is_looked_up_at_most_once_a_second(names):
    with linked("redis://redis.test/0") as link:
        wait_for(lambda: len(names.asked_at_s) >= 4, timeout_s=30, what="four lookups")
        assert error_code(link) == "UNKNOWN_HOST"
    gaps = [later - earlier for earlier, later in zip(names.asked_at_s, names.asked_at_s[1:], strict=False)]
    assert min(gaps) >= 0.99


def test_a_name_that_begins_to_resolve_is_found_long_before_the_next_attempt(names, server):
    with linked("redis://redis.test/0", **FAR) as link, found_by_a_look(link):
        names.ports = [server.port]


def test_an_address_that_refuses_does_not_hide_the_next_one(names, server):
    names.ports = [free_port(), server.port]
    with connected("redis://redis.test/0") as link:
        assert link.client.ping(), "the pool goes where the supervisor went"
        assert len(names.asked_at_s) == 1, "and resolves nothing itself"


def test_after_a_failover_the_name_is_resolved_again_and_every_connection_follows(names, server):
    with RedisServer() as heir:
        names.ports = [server.port]
        with connected("redis://redis.test/0") as link:
            link.set_value("who", "old")
            names.ports = [heir.port]
            server.admin().execute_command("REPLICAOF", "127.0.0.1", str(heir.port))
            run_id = heir.admin().info("server")["run_id"]
            wait_for(lambda: link.health().details.server_run_id == run_id, timeout_s=20, what="moved")
            assert [seen.reason for seen in link.health().details.transitions][2] == "READONLY"
            link.set_value("who", "new")
            assert heir.admin().get("holdfast:who") == b"new"


def test_a_name_that_leads_away_from_a_server_that_hangs_is_followed_long_before_the_next_attempt(names, server):
    with RedisServer() as heir:
        names.ports = [server.port]
        with connected("redis://redis.test/0", **FAR) as link:
            server.freeze()
            wait_for(lambda: error_code(link) == "TIMEOUT", timeout_s=20, what="left")
            with found_by_a_look(link):
                names.ports = [heir.port]
            link.set_value("who", "new")
            assert heir.admin().get("holdfast:who") == b"new"


def test_a_mistake_of_our_own_is_told_counted_and_survived(server, monkeypatch):
    real_dial = Dialer.dial
    failed: list[bool] = []

    def dial(self: Dialer, *arguments: Any) -> Any:
        if not failed:
            failed.append(True)
            raise RuntimeError("a mistake of our own")
        return real_dial(self, *arguments)

    monkeypatch.setattr(Dialer, "dial", dial)
    labels = {"where": "redis_link"}
    before = metrics.REGISTRY.get_sample_value("holdfast_unexpected_errors_total", labels) or 0
    with captured() as lines, linked(server.url) as link:
        assert link.wait_connected(20)
    assert metrics.REGISTRY.get_sample_value("holdfast_unexpected_errors_total", labels) == before + 1
    assert lines.saying("The supervisor met an error of its own")


def _reached(answers: list[object], count: int) -> bool:
    return len(answers) >= count


def test_whoever_hears_of_a_connection_may_use_it(server):
    answers: list[object] = []
    with closing(RedisLink(LinkConfig(url=server.url))) as link:
        link.on_change(lambda change: answers.append(link.get().ping()) if change.current == "connected" else None)
        link.start()
        for expected in range(1, 4):
            assert link.wait_connected(20)
            wait_for(partial(_reached, answers, expected), what="used")
            server.kill()
            wait_for(lambda: not link.is_available(), what="lost")
            server.start()
    assert answers[:3] == [True, True, True]
