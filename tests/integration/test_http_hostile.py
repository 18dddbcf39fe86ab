"""Clients that mean harm, on real sockets: they take neither threads, nor places, nor the log, nor the processor."""

import http.client
import json
import resource
import socket
import time
from contextlib import ExitStack, contextmanager

import pytest
from waitress.channel import HTTPChannel

from shared.observability.metrics import HTTP_CLOSED
from shared.probes.limits import HttpLimits, connection_limit
from shared.probes.server import HttpServer
from tests.support.http import get
from tests.support.logs import captured
from tests.support.waiting import pass_time, wait_for

pytestmark = pytest.mark.integration

PIECE = b"x" * 1_000_000
PIECES = 32
ASK = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


def app(environ, start_response):
    """/streamed: more than a server holds for one client; /repeat: 250 KB; /late: takes a while; else the path."""
    path = environ["PATH_INFO"]
    if path == "/late":
        pass_time(1.5)
    pieces = {"/streamed": [PIECE] * PIECES, "/repeat": [PIECE[:250_000]]}.get(path, [path.encode()])
    length = str(sum(len(piece) for piece in pieces))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)])
    return iter(pieces)


@contextmanager
def serving(**limits):
    server = HttpServer(app, "127.0.0.1", 0)
    server._limits = HttpLimits(**limits)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def connected(server, *sent):
    client = socket.create_connection(("127.0.0.1", server.port), 20)
    for data in sent:
        client.sendall(data)
    return client


def answers(client, count):
    stream = client.makefile("rb")
    for _ in range(count):
        head = b"".join(iter(stream.readline, b"\r\n"))
        length = int(next(line for line in head.splitlines() if line.startswith(b"Content-Length")).split()[1])
        yield head.split(b"\r\n", 1)[0], stream.read(length)


def closed(reason):
    return HTTP_CLOSED.labels(reason=reason)._value.get()


def ended(client):
    client.settimeout(0)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(64, 64), (512, 128), (1024, 384), (4096, 1000), (10**6, 1000)]
)
def test_two_listeners_leave_descriptors_for_everything_else(descriptors, connections):
    assert connection_limit(descriptors) == connections


def test_requests_sent_ahead_are_answered_each_in_its_turn():
    with serving() as server, connected(server, b"".join(ASK % b"%d" % number for number in range(300))) as client:
        assert [body for _, body in answers(client, 300)] == [b"/%d" % number for number in range(300)]


def test_a_request_cut_in_two_behind_others_sent_ahead_is_answered_too():
    with serving() as server, connected(server, ASK % b"one" + ASK % b"two" + b"GET /thr") as client:
        assert [body for _, body in answers(client, 2)] == [b"/one", b"/two"]
        client.sendall(b"ee HTTP/1.1\r\nHost: x\r\n\r\n" + ASK % b"four")
        assert [body for _, body in answers(client, 2)] == [b"/three", b"/four"]


def test_who_asks_ahead_and_never_reads_takes_neither_threads_nor_memory():
    with serving(threads=2) as server, ExitStack() as stack:
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(20):
            client = stack.enter_context(connected(server))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall((ASK % b"repeat") * 200)
        for _ in range(20):
            assert get(server.port, "/fine").status == 200
        # 20 clients asked for a gigabyte; each may have one answer made and waiting.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def test_who_takes_nothing_of_an_answer_does_not_keep_the_thread_that_gives_it():
    stalled = closed("stalled")
    with serving(threads=1, channel_timeout_s=1) as server, connected(server, ASK % b"streamed"):
        assert get(server.port, "/fine").status == 200
    assert closed("stalled") > stalled


def test_an_answer_that_was_long_in_coming_is_not_taken_for_one_that_nobody_takes(monkeypatch):
    stalled, flush = closed("stalled"), HTTPChannel._flush_exception  # type: ignore[attr-defined] # not in the stub

    def flush_late(channel, *arguments, **more):
        # Meanwhile the loop turns, for somebody else, and looks who keeps it waiting.
        with socket.create_connection(("127.0.0.1", server.port), 20):
            pass_time(0.2)
        return flush(channel, *arguments, **more)

    with serving(channel_timeout_s=1) as server:
        listener = server._listeners[0]
        listener.adj.cleanup_interval = listener.next_channel_cleanup = 0  # it looks at every turn
        monkeypatch.setattr(HTTPChannel, "_flush_exception", flush_late)
        assert get(server.port, "/late").body == b"/late"
    assert closed("stalled") == stalled


def test_a_slow_reader_is_no_hostile_one():
    with serving(threads=1, channel_timeout_s=1) as server, connected(server, ASK % b"streamed") as client:
        received, until_s = 0, time.monotonic() + 8
        while time.monotonic() < until_s:
            received += len(client.recv(200_000))
            pass_time(0.2)
        while data := client.recv(1_000_000):
            received += len(data)
            if received > len(PIECE) * PIECES:
                break
        assert received > len(PIECE) * PIECES


def test_in_a_crowd_those_who_keep_us_waiting_longest_make_room_and_one_line_says_so():
    crowded = closed("crowded")
    with captured() as lines, serving(connection_limit=64) as server, ExitStack() as stack:
        crowd = []
        for _ in range(300):
            crowd.append(stack.enter_context(connected(server, b"GET / HTTP/1.1\r\nHos")))
            if len(crowd) % 50 == 0:
                assert get(server.port, "/fine").status == 200
        wait_for(lambda: sum(ended(client) for client in crowd) >= 300 - 64, 20, "the oldest to be closed")
        assert ended(crowd[0])
        assert not ended(crowd[-1])
        assert closed("crowded") - crowded >= 300 - 64
        assert ["Too many connections" in line for line in lines.all] == [True]


def test_a_request_at_work_is_not_what_makes_room():
    with serving(connection_limit=64) as server, ExitStack() as stack:
        client = stack.enter_context(connected(server, ASK % b"streamed"))
        received = len(client.recv(1))
        for _ in range(200):
            stack.enter_context(connected(server, b"GET / HTTP/1.1\r\nHos"))
        while received <= len(PIECE) * PIECES and (data := client.recv(1_000_000)):
            received += len(data)
        assert received > len(PIECE) * PIECES


def test_urgent_data_ends_the_connection_and_costs_nothing():
    with captured() as lines, serving() as server, connected(server) as client:
        before_s = time.process_time()
        client.send(b"x", socket.MSG_OOB)
        wait_for(lambda: ended(client), 20, "the connection to be closed")
        pass_time(0.5)
        assert time.process_time() - before_s < 0.4
        assert get(server.port, "/fine").status == 200
        assert lines.all == []


def test_an_answer_that_is_not_read_to_its_end_does_not_keep_a_connection_that_is_to_close():
    with serving(channel_timeout_s=1) as server, ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(connected(server))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /repeat HTTP/1.0\r\n\r\n" + ASK % b"ahead")
        # Whoever came before has been taken in by now.
        assert get(server.port, "/fine").status == 200
        wait_for(lambda: not server._listeners[0].active_channels, 30, "all to be closed")


def test_a_client_is_told_to_go_on_with_its_body():
    with serving() as server:
        head = b"POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        with connected(server, head) as client:
            stream = client.makefile("rb")
            assert stream.readline() + stream.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"body" + ASK % b"next")
            assert [body for _, body in answers(client, 2)] == [b"/body", b"/next"]


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\n\nHost: x\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
    ],
)
def test_whatever_is_malformed_is_a_400_in_json_and_no_line(sent):
    with captured() as lines, serving() as server, connected(server, sent) as client:
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert (answer.status, answer.getheader("Content-Type")) == (400, "application/json; charset=utf-8")
        assert set(json.loads(answer.read())) == {"error", "message"}
        answer.close()
        assert lines.all == []
