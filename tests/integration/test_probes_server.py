"""The HTTP server on real sockets: two in one process, a drain that loses nothing, hostile and careless clients."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from shared.probes.server import HttpServer, ProbeServer
from tests.support.http import get, post, request
from tests.support.logs import captured
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

LARGE = b"x" * 8_000_000


class SlowApp:
    """Holds requests for /slow until released, and answers /large with 8 MB."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path in {"/slow", "/slow-large"}:
            self.entered.release()
            self.release.wait(30)
        if path == "/fails":
            raise RuntimeError("redis://:planted-password@host")
        body = LARGE if "large" in path else b"fine"
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]


@contextmanager
def serving(app=None, **more):
    app = app or SlowApp()
    server = HttpServer(app, "127.0.0.1", 0, **more)
    server.start()
    try:
        yield server, app
    finally:
        app.release.set()
        server.stop()
        server.stop()


@pytest.mark.parametrize("path", ["/slow", "/slow-large"])
def test_a_request_in_flight_is_answered_whole_in_a_drain(path):
    with serving() as (server, app), ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(get, server.port, path) for _ in range(3)]
        for _ in answers:
            assert app.entered.acquire(timeout=20)
        server.stop_accepting()
        wait_for(lambda: refused(server.port), 20, "new connections refused")
        assert not server.drain(0.1)
        app.release.set()
        assert server.drain(20)
        for answer in answers:
            found = answer.result(20)
            assert (found.status, len(found.body)) == (200, 4 if path == "/slow" else len(LARGE))
            assert found.headers["connection"] == "close"


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except ConnectionError:
        return True
    return False


def test_a_slow_reader_gets_all_of_a_large_answer_in_a_drain():
    with serving() as (server, _):
        with socket.create_connection(("127.0.0.1", server.port), 20) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            received = len(client.recv(1000))
            server.stop_accepting()
            wait_for(lambda: refused(server.port), 20, "new connections refused")
            assert not server.drain(0)
            while data := client.recv(65_536):
                received += len(data)
        assert received > len(LARGE)
        assert server.drain(20)


def test_an_idle_connection_does_not_hold_up_a_drain(monkeypatch):
    # What a request that is still coming in would be given.
    monkeypatch.setattr("shared.probes.listener.DRAIN_PARTIAL_S", 60)
    with serving() as (server, _):
        idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        idle.request("GET", "/")
        assert idle.getresponse().read() == b"fine"
        assert server.drain(20)
        idle.close()


def test_a_connection_that_never_asks_does_not_hold_up_a_drain_for_long(monkeypatch):
    monkeypatch.setattr("shared.probes.listener.REQUEST_DEADLINE_S", 60)
    with serving() as (server, _), socket.create_connection(("127.0.0.1", server.port)) as mute:
        mute.sendall(b"GET / HT")
        assert server.drain(20)


def test_a_request_sent_just_before_the_drain_is_answered():
    with serving() as (server, _), socket.create_connection(("127.0.0.1", server.port), 20) as client:
        server.stop_accepting()
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_two_servers_in_one_process_do_not_share_threads():
    with serving(threads=1) as (busy, app), serving(threads=1) as (free, _), ThreadPoolExecutor(2) as pool:
        held = pool.submit(get, busy.port, "/slow")
        assert app.entered.acquire(timeout=20)
        assert get(free.port, "/").status == 200
        assert busy.port != free.port
        app.release.set()
        assert held.result(20).status == 200


def test_half_open_connections_in_hundreds_do_not_stop_it():
    with serving() as (server, _):
        half_open = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        for client in half_open:
            client.sendall(b"GET / HTTP/1.1\r\nHos")
        assert get(server.port, "/").status == 200
        for client in half_open:
            client.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
def test_what_never_reaches_the_application_is_answered_in_json(sent, status):
    with serving() as (server, _), socket.create_connection(("127.0.0.1", server.port), 20) as client:
        client.sendall(sent)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == status
        assert answer.getheader("Content-Type") == "application/json; charset=utf-8"
        assert set(json.loads(answer.read())) == {"error", "message"}
        answer.close()


def test_an_error_in_the_application_is_a_json_500_and_a_redacted_line():
    with captured() as lines, serving() as (server, _):
        answer = get(server.port, "/fails")
        assert answer.status == 500
        assert answer.json["error"] == "Internal Server Error"
    assert "planted-password" not in str(answer.body) + lines.text
    assert "RuntimeError" in lines.text


def test_no_answer_names_the_server_software():
    with serving() as (server, _):
        assert "server" not in get(server.port, "/").headers


def test_head_and_post_reach_the_application():
    with serving() as (server, _):
        assert request("HEAD", server.port, "/").body == b""
        assert post(server.port, "/", {"a": 1}).status == 200


def test_a_taken_port_is_an_error_at_the_start_and_leaves_nothing_open():
    with serving() as (server, app):
        second = HttpServer(app, "127.0.0.1", server.port)
        with pytest.raises(OSError, match="in use"):
            second.start()
        second.stop()


def test_an_address_that_is_none_is_an_error_at_the_start():
    with pytest.raises(OSError, match="no address"):
        HttpServer(SlowApp(), "no.such.host.invalid", 0).start()


def test_stopping_before_the_start_keeps_it_from_starting():
    server = HttpServer(SlowApp(), "127.0.0.1", 0)
    server.stop()
    server.start()
    assert not server.alive()
    assert server.drain(0)


def test_a_probe_listener_says_once_that_its_port_is_taken_and_takes_it_when_free():
    with captured() as lines, serving() as (holder, app):
        probes = ProbeServer(app, "127.0.0.1", holder.port, retry_s=0.02)
        probes.start()
        assert not probes.listening()
        holder.stop()
        wait_for(probes.listening, 20, "the port to be taken over")
        assert get(probes.port, "/").status == 200
        probes.stop()
        probes.stop()
    assert sum("cannot be used" in line for line in lines.all) == 1


def test_requests_that_wait_for_a_thread_write_no_line_each():
    with captured() as lines, serving(threads=1) as (server, app), ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(get, server.port, "/slow") for _ in range(20)]
        assert app.entered.acquire(timeout=20)
        app.release.set()
        assert {answer.result(20).status for answer in answers} == {200}
    assert [line for line in lines.all if "queue" in line] == []
