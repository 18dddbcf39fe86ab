"""The real API under clients that mean harm: probes are answered beside them, and nothing is left of them."""

import json
import resource
import socket
import statistics
import time
from contextlib import contextmanager

import psutil
import pytest

from shared.probes.limits import HttpLimits
from tests.support.api import Description
from tests.support.flood import flooding
from tests.support.http import request
from tests.support.malformed import HOSTILE
from tests.support.redis_server import RedisServer
from tests.support.siege import besieging
from tests.support.system import running_system
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

ACCOUNTS = '[[account]]\nname = "one"\nprovider = "focus"\npath = "*.csv"\n'
ASKED_S = 4.0
# To tell a hang from a slow machine; `benchmarks/hostile.py` has the figures.
HANG_S = 5.0


@contextmanager
def serving(folder, **environment):
    (folder / "accounts.toml").write_text(ACCOUNTS)
    with RedisServer() as redis, running_system(folder, redis_url=redis.url, environment=environment) as system:
        system.start("status_api").wait_serving()
        wait_for(lambda: system.api("/api/v1/runs").status == 200, 20, "the schema to be ready")
        wait_for(lambda: "one" in str(system.api("/api/v1/coverage").body), 20, "the account to be known")
        yield system, psutil.Process(system["status_api"].process.pid)


def probed(port, seconds=ASKED_S):
    """How long each of the probes of so many seconds took."""
    took, until_s = [], time.monotonic() + seconds
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        assert request("GET", port, "/health/live", timeout_s=HANG_S).json["status"] == "alive"
        took.append(time.monotonic() - began_s)
    return took


def settled(process, threads, descriptors):
    wait_for(lambda: process.num_fds() <= descriptors, 30, f"no more than {descriptors} descriptors")
    assert process.num_threads() <= threads


def serves_normally(system):
    for path in ("/health/live", "/health/ready", "/api/v1/costs", "/api/v1/coverage", "/api/v1/runs", "/openapi.yaml"):
        assert system.api(path).status == 200, path
    assert system.api("/api/v1/runs", method="POST", payload={"account": "one"}).status == 202


def test_probes_are_answered_beside_a_flood_and_a_siege_and_all_is_as_before_afterwards(tmp_path):
    with serving(tmp_path) as (system, process):
        api = system["status_api"]
        serves_normally(system)
        threads, descriptors = process.num_threads(), process.num_fds()
        memory, places = process.memory_info().rss, HttpLimits().connection_limit
        with (
            besieging(api.port, connections=3000, seconds=2.5 * ASKED_S) as siege,
            flooding(api.port, connections=32, seconds=2.5 * ASKED_S) as flood,
        ):
            wait_for(lambda: process.num_fds() > descriptors + places / 2, 20, "the besiegers to be there")
            took = probed(api.probe_port)
            besieged_memory = process.memory_info().rss
            flooded, besieged = flood.result(), siege.result()
        assert flooded["answered"] > 500, flooded
        assert besieged["opened"] > places, besieged
        # 32 ask without a pause: each waits for the others. Whoever probes waits for none of them.
        waited_s = 32 * flooded["seconds"] / flooded["answered"]
        assert statistics.median(took) < waited_s, (statistics.median(took), waited_s)
        assert max(took) < HANG_S
        assert besieged_memory - memory < 200_000_000
        settled(process, threads + 1, descriptors + 5)
        serves_normally(system)
        assert not api.said("Traceback")
        assert len(api.lines()) < 40, api.lines()
        assert system.stop() == {"status_api": 0}


def test_a_crowd_leaves_descriptors_for_everything_else(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        with serving(tmp_path) as (system, process):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            api = system["status_api"]
            with besieging(api.port, connections=1000, seconds=6) as siege:
                wait_for(lambda: process.num_fds() > 100, 20, "the besiegers to be there")
                for _ in range(20):
                    assert api.probe("/health/ready").status == 200
                    assert api.probe("/health/ready").body["checks"]["database"]["status"] == "up"
                assert process.num_fds() < 400
                siege.result()
            serves_normally(system)
            assert not api.said("Traceback")
            assert not api.said("no further connection")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def raw(port: int, sent: bytes) -> bytes:
    """All that comes back until the server closes, or keeps silent because it waits for more."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), HANG_S) as client:
        client.settimeout(1.0)
        try:
            client.sendall(sent)
            while len(received) < 500_000 and (data := client.recv(65_536)):
                received += data
        except (TimeoutError, ConnectionError):
            pass
    return received


def test_whatever_is_sent_each_answer_is_json_without_a_traceback_and_the_log_has_none(tmp_path):
    with serving(tmp_path) as (system, process):
        api = system["status_api"]
        threads, descriptors = process.num_threads(), process.num_fds()
        for port in (api.port, api.probe_port):
            for name, sent in HOSTILE.items():
                received = raw(port, sent)
                if name in {"a length that never comes", "a chunk of any size"}:
                    assert received == b""
                    continue
                head, _, body = received.partition(b"\r\n\r\n")
                status = int(head.split()[1])
                assert status in {400, 403, 404, 405, 411, 413, 414, 415, 431, 501, 505}, (name, received[:300])
                assert b"application/json" in head, name
                assert b"Traceback" not in received, name
                if b"HEAD" not in sent[:5]:
                    assert set(json.loads(body)) >= {"error", "message"}, name
        settled(process, threads + 1, descriptors + 5)
        serves_normally(system)
        assert not [line for line in api.lines() if "Traceback" in line or " ERROR " in line]


REBOUND = {"Host": "rebound.example:4000"}


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("GET", REBOUND, None, 403),
        ("POST", REBOUND, {"account": "one"}, 403),
        ("GET", {"Host": "127.0.0.1.rebound.example"}, None, 403),
        ("GET", {"Host": "localhost"}, None, 200),
        ("GET", {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, None, 200),
        ("POST", {"Origin": "https://evil.example"}, {"account": "one"}, 403),
        ("POST", {"Origin": "null"}, {"account": "one"}, 403),
        ("POST", {"Origin": "https://evil.example", "Content-Type": "text/plain"}, {"account": "one"}, 403),
        ("POST", {"Referer": "https://evil.example/page"}, {"account": "one"}, 403),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, {"account": "one"}, 403),
        ("POST", {"Sec-Fetch-Site": "same-site"}, {"account": "one"}, 403),
        ("POST", {"Content-Type": "text/plain"}, {"account": "one"}, 415),
        ("POST", {"Content-Type": "application/x-www-form-urlencoded"}, b"account=one", 415),
        ("POST", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", 415),
        ("POST", {"Sec-Fetch-Site": "none"}, {"account": "one"}, 202),
        ("POST", {}, {"account": "one"}, 202),
    ],
)
def test_a_page_of_another_site_gets_nothing_through_the_browser_of_somebody_here(
    shared_api, method, headers, body, status
):
    answer = request(method, shared_api.port, "/api/v1/runs", headers=headers, body=body)
    assert answer.status == status, answer.body
    if status >= 400:
        assert set(answer.json) >= {"error", "message"}
    allowed = [name for name in answer.headers if name.startswith("access-control-")]
    assert allowed == []


def test_a_browser_is_told_of_no_permission_to_ask_across_sites(shared_api):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = request("OPTIONS", shared_api.port, "/api/v1/runs", headers=asked)
    assert answer.status == 405
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_the_host_in_the_request_line_counts_before_the_header(shared_api):
    for target, status in (("rebound.example", b"403"), ("127.0.0.1", b"200")):
        line = b"GET http://%s/api/v1/runs HTTP/1.1\r\n" % target.encode()
        assert raw(shared_api.port, line + b"Host: localhost\r\nConnection: close\r\n\r\n").split()[1] == status


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("api")) as (system, _):
        assert Description().document["openapi"]
        yield system["status_api"]
