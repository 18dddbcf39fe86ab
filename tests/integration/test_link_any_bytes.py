"""Whatever bytes a port answers: a documented code, no storm, nothing left behind, and it heals."""

import gc
import socket
import threading
import time
from collections.abc import Callable

import psutil
import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.core.classify import failure_of
from shared.core.codes import CODES, Code
from tests.support.links import Port, error_code, linked, resets
from tests.support.need import skip_or_fail
from tests.support.redis_server import RedisServer, find_binary, free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

# Soon again, so that a test need not wait for the design's 15 s.
FAST = {"first_delay_s": 0.05, "max_delay_s": 0.3, "connect_timeout_s": 0.3, "beat_timeout_s": 0.3}
LINE = st.binary(max_size=40)
SIZES = st.sampled_from([b"0", b"1", b"3", b"-1", b"99", b"4000000000", b"", b"x"])
ITEMS = st.one_of(
    st.builds(
        lambda kind, line: kind + line + b"\r\n", st.sampled_from([bytes([n]) for n in b"+-:$*_,#!=(%~>|"]), LINE
    ),
    st.builds(
        lambda kind, size: kind + size + b"\r\n", st.sampled_from([b"$", b"*", b"%", b"~", b">", b"!", b"="]), SIZES
    ),
    st.sampled_from([b"+OK\r\n", b"+PONG\r\n", b"$4\r\nPONG\r\n", b"%1\r\n$5\r\nproto\r\n:3\r\n", b"\r\n", b"\0"]),
    st.sampled_from(
        [b"-ERR no\r\n", b"-LOADING x\r\n", b"-MOVED\r\n", b"-ASK 1\r\n", b"-ERR max number of clients\r\n"]
    ),
    st.binary(max_size=100),
)
ANSWERS = st.lists(ITEMS, max_size=8).map(b"".join)


def speaks(data: bytes, *, closes: bool) -> Callable[[socket.socket], None]:
    """Say `data` to whoever connects, and then nothing, or goodbye."""

    def manner(sock: socket.socket) -> None:
        sock.sendall(data)
        if closes:
            sock.shutdown(socket.SHUT_WR)

    return manner


def speaks_without_end(data: bytes) -> Callable[[socket.socket], None]:
    def manner(sock: socket.socket) -> None:
        while True:
            sock.sendall(data)

    return manner


@settings(max_examples=60, deadline=None)
@given(data=ANSWERS, closes=st.booleans())
@example(data=b"*1\r\n" * 3000, closes=True)
@example(data=b"%1\r\n*0\r\n:1\r\n", closes=True)
def test_whatever_redis_py_raises_for_any_bytes_is_given_a_documented_code(data, closes):
    with Port(speaks(data, closes=closes)) as port:
        connection = redis.connection.Connection(
            host="127.0.0.1", port=port.port, socket_timeout=0.05, retry=Retry(NoBackoff(), 0)
        )
        try:
            connection.connect()
            connection.send_command("PING", check_health=False)
            connection.read_response()
        except Exception as error:  # noqa: BLE001 - what the parser raises for any bytes is what is asked about
            failure = failure_of(error)
            assert failure.code in CODES
            assert failure.summary
        finally:
            connection.disconnect()


@pytest.fixture(scope="module")
def resources():
    """What this process holds before: each link must give back what it took."""
    return psutil.Process()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=ANSWERS, closes=st.booleans())
@example(data=b"+OK\r\n" * 9, closes=False)
@example(data=b"-ERR upstream\r\n-ERR upstream\r\n", closes=True)
def test_whatever_a_port_answers_the_link_lives_names_a_cause_and_leaves_nothing_behind(resources, data, closes):
    threads, files = threading.active_count(), resources.num_fds()
    with Port(speaks(data, closes=closes)) as port:
        with linked(port.url, **FAST) as link:
            wait_for(lambda: error_code(link), what="a failed attempt")
            assert error_code(link) in CODES
            assert link.supervisor_alive(15)
        wait_for(lambda: threading.active_count() <= threads + 1, what="no thread but the port's own is left")
    wait_for(lambda: resources.num_fds() <= files, what="no descriptor is left")


@pytest.mark.parametrize(
    "data",
    [
        b"-ERR upstream failure\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-LOADING x\r\n" * 20_000,
    ],
)
@pytest.mark.parametrize("closes", [True, False])
def test_a_server_that_goes_on_or_hangs_up_after_an_error_reply_is_not_stormed(data, closes):
    began_s = time.monotonic()
    with Port(speaks(data, closes=closes)) as port, linked(port.url) as link:
        # Attempts 1 to 3 are due after 0, 1 and 3 s; a look in between makes one a second at most.
        wait_for(lambda: link.health().details.retry_count >= 3, what="three scheduled attempts")
        assert port.accepted <= 6 + 2 * (time.monotonic() - began_s)
        assert error_code(link) in {"SERVER_ERROR", "LOADING", "READONLY"}


@pytest.mark.parametrize(
    "data",
    [b"a" * 65_536, b">2\r\n+message\r\n+x\r\n" * 2000, b"-LOADING x\r\n" * 5000, b"+OK\r\n" * 9000, b"|1\r\n" * 9000],
)
def test_a_port_that_speaks_without_end_holds_neither_the_supervisor_nor_the_memory(data):
    before_bytes = psutil.Process().memory_info().rss
    with Port(speaks_without_end(data)) as port, linked(port.url, **FAST) as link:
        wait_for(lambda: link.health().details.retry_count >= 3, what="three attempts have ended")
        assert link.supervisor_alive(15)
        assert error_code(link) in CODES
        assert psutil.Process().memory_info().rss - before_bytes < 100_000_000


def test_a_stream_that_is_reset_before_tls_begins_leaves_no_socket_open():
    # One left to the collector is a ResourceWarning, and those fail tests.
    with Port(resets) as port, linked(port.url.replace("redis://", "rediss://"), **FAST) as link:
        wait_for(lambda: link.health().details.retry_count >= 8, what="eight attempts")
        assert error_code(link) == "CONNECTION_CLOSED"
    gc.collect()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a mail server", b"+OK POP3 server ready\r\n"),
        ("a file server", b"220 FTP ready\r\n"),
        ("a shell", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("a number that is none", b"*many\r\n"),
        ("nesting without end", b"*1\r\n" * 5000),
        ("a map with a list for a key", b"%1\r\n*1\r\n:1\r\n:1\r\n"),
        ("redirected to nowhere", b"-MOVED\r\n"),
        ("an old protocol", b"%1\r\n$5\r\nproto\r\n:2\r\n"),
        ("agrees to everything", b"%1\r\n$5\r\nproto\r\n:3\r\n" + b"+OK\r\n" * 9),
    ],
)
def test_what_is_no_redis_is_called_so(name, data):
    with Port(speaks(data, closes=False)) as port, linked(port.url, **FAST) as link:
        wait_for(lambda: error_code(link), what=f"a cause for {name}")
        assert error_code(link) == Code.NOT_REDIS
        assert link.health().status == "failed"


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR no\r\n", b"", b"+OK\r\n" * 9, b"*1\r\n" * 3000]
)
@pytest.mark.parametrize("closes", [True, False])
def test_a_port_that_becomes_a_redis_is_connected_to(data, closes):
    if find_binary() is None:
        skip_or_fail("no redis-server")
    number = free_port()
    with linked(f"redis://127.0.0.1:{number}/0", **FAST) as link:
        with Port(speaks(data, closes=closes), port=number) as port:
            wait_for(lambda: port.accepted and error_code(link), what="an attempt there has failed")
        with RedisServer(port=number):
            assert link.wait_connected(20), link.health()
            assert link.client.ping()
