import time
from contextlib import closing

import pytest

from shared.core.errors import RedisUnavailableError
from shared.redis_link import LinkConfig, RedisLink, StateChange
from tests.support.links import FAR, Port, captured, connected, error_code, found_by_a_look, keeps_silent, linked
from tests.support.redis_server import free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

FAST = {"first_delay_s": 0.05, "max_delay_s": 0.2}


def test_a_server_that_is_there_is_connected_to_at_once_and_its_facts_are_known(server):
    with captured() as lines, connected(server.url) as link:
        health = link.health()
        assert (health.status, health.is_open) == ("connected", True)
        assert health.details.server_version
        assert health.details.server_role == "master"
        assert health.details.server_run_id == server.admin().info("server")["run_id"]
        assert health.details.url == server.url
        assert link.retry_in_s() is None
        assert (health.details.response_ms or 0) > 0
    assert lines.texts[:3] == [
        "Redis: Initializing client",
        "Redis: Connection initiated",
        "Redis: Ready to accept commands",
    ]
    assert lines.texts[3].startswith("Redis: Connected successfully (retryCount: 0, totalAttemptTime: ")
    assert lines.texts[4:] == ["Redis: Connection closed"]


def test_starting_waits_neither_for_an_answer_nor_for_a_redis_that_is_not_there():
    with Port(keeps_silent) as port:
        for url in (port.url, f"redis://127.0.0.1:{free_port()}/0"):
            link = RedisLink(LinkConfig(url=url, connect_timeout_s=30, first_delay_s=30, max_delay_s=30))
            began_s = time.monotonic()
            link.start()
            assert time.monotonic() - began_s < 10
            link.close()


def test_while_nothing_listens_commands_fail_at_once_and_say_when_to_try_again():
    with linked(f"redis://127.0.0.1:{free_port()}/0", first_delay_s=30, max_delay_s=30) as link:
        wait_for(lambda: link.health().details.retry_count == 1, what="the first attempt failed")
        with pytest.raises(RedisUnavailableError) as caught:
            link.client.get("x")
        assert (caught.value.code, caught.value.sent) == ("CONNECTION_REFUSED", False)
        assert 0 < (caught.value.retry_in_s or 0) <= 30
        assert link.get_safe() is None
        with pytest.raises(RedisUnavailableError):
            link.get()
        health = link.health()
        assert (health.status, health.details.attempt) == ("connecting", 2)
        assert health.details.error is not None
        assert health.details.error.hint


def test_the_start_up_waits_are_logged_as_1000_2000_4000_ms(server):
    server.kill()
    with captured() as lines, linked(server.url) as link:
        wait_for(lambda: link.health().details.retry_count == 3, timeout_s=20, what="three attempts failed")
        server.start()
        assert link.wait_connected(20)
    assert lines.saying("Connection attempt") == [
        "Redis: Connection attempt 1/20 failed, retrying in 1000ms",
        "Redis: Connection attempt 2/20 failed, retrying in 2000ms",
        "Redis: Connection attempt 3/20 failed, retrying in 4000ms",
    ]
    assert lines.saying("(retryCount: 3,")


def test_a_server_that_comes_late_is_connected_by_a_look_long_before_the_next_attempt(server):
    server.kill()
    with linked(server.url, **FAR) as link, found_by_a_look(link):
        server.start()


def test_when_the_budget_is_spent_the_link_fails_and_goes_on_trying(server):
    server.kill()
    with captured() as lines, linked(server.url, startup_attempts=4, **FAST) as link:
        wait_for(lambda: link.health().status == "failed", what="failed")
        wait_for(lambda: link.health().details.retry_count >= 8, what="attempts go on")
        assert link.retry_in_s() is not None
        server.start()
        assert link.wait_connected(20)
    assert lines.texts[2:6] == [
        "Redis: Connection attempt 1/4 failed, retrying in 50ms",
        "Redis: Connection attempt 2/4 failed, retrying in 100ms",
        "Redis: Connection attempt 3/4 failed, retrying in 200ms",
        "Redis: Max startup retries reached, continuing without Redis",
    ]
    assert lines.texts[6] == "Redis: Ready to accept commands"


def test_without_wake_ups_only_the_scheduled_attempts_look(server):
    server.kill()
    with linked(server.url, wake_interval_s=0, first_delay_s=3) as link:
        wait_for(lambda: link.health().details.retry_count == 1, what="the first attempt failed")
        due_s = time.monotonic() + (link.retry_in_s() or 0)
        server.start()
        assert link.wait_connected(20)
        assert time.monotonic() >= due_s


def test_an_unknown_name_is_told_and_does_not_stop_the_supervisor():
    with linked("redis://no-such-host.invalid:6379/0", **FAST) as link:
        wait_for(lambda: link.health().details.retry_count >= 2, timeout_s=15, what="attempts failed")
        assert error_code(link) in {"UNKNOWN_HOST", "NAME_TIMEOUT"}
        assert link.supervisor_alive(10)


def test_a_unix_socket_that_is_missing_is_told_and_found_when_it_comes(server, tmp_path):
    server.kill()
    path = tmp_path / "redis.sock"
    server.args = ("--unixsocket", str(path))
    with linked(f"unix://{path}?db=1", **FAR) as link:
        with found_by_a_look(link):
            assert error_code(link) == "SOCKET_MISSING"
            server.start()
        link.set_value("k", "v")
        assert link.get_value("k") == "v"


def test_starting_twice_and_closing_twice_is_the_same_as_once(server):
    link = RedisLink(LinkConfig(url=server.url))
    link.close()
    link.start()
    link.start()
    assert link.wait_connected(20)
    assert len([client for client in server.admin().client_list() if client["name"].endswith("-beat")]) == 1
    link.close()
    link.close()
    assert link.health().status == "disconnected"
    assert not link.is_available()
    wait_for(lambda: len(server.admin().client_list()) == 1, what="no connection is left")


def test_a_closed_link_can_be_started_again(server):
    with connected(server.url) as link:
        client = link.get()
        link.close()
        with pytest.raises(RedisUnavailableError) as caught:
            client.ping()
        assert caught.value.code == "CLOSED"
        link.start()
        assert link.wait_connected(20)
        assert client.ping()


def test_closing_in_the_middle_of_an_attempt_ends_it(monkeypatch):
    monkeypatch.setattr("shared.redis_link.link.STOP_S", 30)
    with Port(keeps_silent) as port, linked(port.url, connect_timeout_s=30) as link:
        wait_for(lambda: port.accepted == 1, what="the attempt is under way")
        began_s = time.monotonic()
        link.close()
        assert time.monotonic() - began_s < 10
        assert link.health().status == "disconnected"


def test_waiting_for_a_connection_ends_early_when_the_link_is_closed():
    with linked(f"redis://127.0.0.1:{free_port()}/0") as link:
        link.on_change(lambda change: link.close() if change.current == "connecting" else None)
        link.close()
        began_s = time.monotonic()
        assert not link.wait_connected(30)
        assert time.monotonic() - began_s < 10


def test_changes_are_told_in_order(server):
    seen: list[StateChange] = []
    with closing(RedisLink(LinkConfig(url=server.url))) as link:
        link.on_change(seen.append)
        link.on_change(seen.append)  # once is enough
        link.start()
        assert link.wait_connected(20)
        server.kill()
        wait_for(lambda: not link.is_available(), what="lost")
        server.start()
        assert link.wait_connected(20)
    wait_for(lambda: seen[-1:] and seen[-1].current == "disconnected", what="the last change was told")
    steps = [(str(change.previous), str(change.current)) for change in seen if change.reason_code != "STARTED"]
    assert steps[-4:] == [
        ("connecting", "connected"),
        ("connected", "connecting"),
        ("connecting", "connected"),
        ("connected", "disconnected"),
    ]
    assert all(change.at.tzinfo is not None for change in seen)
