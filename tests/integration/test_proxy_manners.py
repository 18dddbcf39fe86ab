"""The fault proxy does what it says: what other tests find behind it is the fault's doing."""

import contextlib
import socket
import threading
import time

import pytest

from tests.support.proxy import Manner, TcpProxy
from tests.support.redis_server import free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

WAIT_S = 20
A_MOMENT_S = 0.3


@pytest.fixture
def echo():
    """A port that says back whatever it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener):
    with contextlib.suppress(OSError):
        while True:
            near, _ = listener.accept()
            threading.Thread(target=_repeat, args=(near,), daemon=True).start()


def _repeat(near):
    with near, contextlib.suppress(OSError):
        while said := near.recv(4096):
            near.sendall(said)


@pytest.fixture
def proxy(echo):
    with TcpProxy(echo) as running:
        yield running


@contextlib.contextmanager
def caller(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), WAIT_S) as sock:
        yield sock


def silent(sock):
    sock.settimeout(A_MOMENT_S)
    try:
        return sock.recv(1) == b"never"
    except TimeoutError:
        return True
    finally:
        sock.settimeout(WAIT_S)


def test_it_passes_bytes_on_both_ways(proxy):
    with caller(proxy) as sock:
        sock.sendall(b"hello")
        assert sock.recv(100) == b"hello"


def test_what_it_drops_arrives_when_that_is_over_as_a_network_sends_it_again(proxy):
    with caller(proxy) as sock:
        sock.sendall(b"one")
        assert sock.recv(100) == b"one"
        proxy.behave(Manner.DROP)
        sock.sendall(b"two")
        assert silent(sock)
        with caller(proxy) as another:
            another.sendall(b"three")
            assert silent(another)
            proxy.behave(Manner.PASS)
            assert sock.recv(100) == b"two"
            assert another.recv(100) == b"three"


def test_answers_alone_can_be_dropped(proxy):
    with caller(proxy) as sock:
        proxy.behave(Manner.DROP_ANSWERS)
        sock.sendall(b"one")
        assert silent(sock)
        proxy.behave(Manner.PASS)
        assert sock.recv(100) == b"one"


def test_an_answer_can_be_a_reset(proxy):
    with caller(proxy) as sock:
        proxy.behave(Manner.RESET_ANSWERS)
        sock.sendall(b"one")
        with pytest.raises(ConnectionResetError):
            sock.recv(100)


def test_every_open_connection_can_be_reset_while_it_is_idle(proxy):
    with caller(proxy) as sock:
        sock.sendall(b"one")
        assert sock.recv(100) == b"one"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            sock.recv(100)


def test_answers_trickle_byte_by_byte_until_that_is_over(proxy):
    with caller(proxy) as sock:
        proxy.behave(Manner.TRICKLE)
        sock.sendall(b"abcdef")
        assert sock.recv(100) == b"a"
        assert silent(sock)
        proxy.behave(Manner.PASS)
        found = b""
        while len(found) < 5:
            found += sock.recv(100)
        assert found == b"bcdef"


def test_a_delay_holds_bytes_up_each_way(proxy):
    with caller(proxy) as sock:
        proxy.behave(Manner.DELAY, delay_s=0.2)
        began_s = time.monotonic()
        sock.sendall(b"one")
        assert sock.recv(100) == b"one"
        assert time.monotonic() - began_s >= 0.4


def test_it_can_answer_like_a_web_server(proxy):
    with caller(proxy) as sock:
        proxy.behave(Manner.HTTP)
        sock.sendall(b"PING\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400")
        assert sock.recv(100) == b""


def test_for_a_dead_server_it_accepts_and_closes():
    with TcpProxy(free_port()) as proxy, caller(proxy) as sock:
        assert wait_for(lambda: sock.recv(1) == b"", WAIT_S, "the end")
