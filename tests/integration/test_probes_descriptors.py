"""Probes of a process that has no descriptor left: answered, from a small reserve."""

import subprocess
import sys

import psutil
import pytest

from tests.support.limits import cannot_limit, without_descriptors
from tests.support.system import ROOT, request
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(cannot_limit() is not None, reason=str(cannot_limit())),
]

SERVER = """
import sys
from shared.probes.server import HttpServer

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]

server = HttpServer(app, "127.0.0.1", 0, threads=2)
server.start()
print(server.port, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def server():
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield process, int(process.stdout.readline())
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def test_a_process_without_a_descriptor_answers_its_probes(server):
    process, port = server
    own = psutil.Process(process.pid)
    assert request(port, "/").status == 200
    before = own.num_fds()
    with without_descriptors([own]):
        for _ in range(40):
            assert request(port, "/", timeout_s=10).status == 200
    wait_for(lambda: request(port, "/").status == 200 and own.num_fds() == before, 20, "the reserve to be full again")
