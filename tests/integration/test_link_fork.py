"""A process that forks while its link is connecting: the child gets a link of its own, the parent connects as ever."""

import os
import subprocess
import sys

import pytest

from tests.support.redis_server import RedisServer
from tests.support.system import ROOT

pytestmark = pytest.mark.integration

# Forks while the first attempt is under way, then lets it go on, and asks parent and children whether they connect.
FORKING = """
import os, signal, socket, sys, threading
import psutil
from shared.redis_link import LinkConfig, RedisLink

url, server, where = sys.argv[1], int(sys.argv[2]), sys.argv[3]
go_on, moment = threading.Event(), threading.Event()
resolving = []
real = socket.getaddrinfo

def resolve(*given, **more):
    if where == "resolving" and not go_on.is_set():
        resolving.append(given)
        go_on.wait(60)
    return real(*given, **more)

def there():
    "Whether the attempt is where it is to be: asking the name service, or waiting for the server's first answer."
    if where == "resolving":
        return resolving
    return [one for one in psutil.Process().net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED]

socket.getaddrinfo = resolve
if where == "greeting":
    os.kill(server, signal.SIGSTOP)
link = RedisLink(LinkConfig(url=url))
link.start()
while not there():
    moment.wait(0.005)
assert link.health().status == "connecting"
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            go_on.set()
            assert link.wait_connected(40), link.health()
            assert link.client.ping()
            code = 0
        finally:
            os._exit(code)
    children.append(pid)
go_on.set()
if where == "greeting":
    os.kill(server, signal.SIGCONT)
assert link.wait_connected(40), link.health()
assert link.client.ping()
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
link.close()
"""


@pytest.mark.parametrize("where", ["resolving", "greeting"])
def test_a_fork_in_the_middle_of_connecting_harms_neither_side(where):
    with RedisServer() as server:
        assert server.process is not None
        url = f"redis://localhost:{server.port}/0"
        done = subprocess.run(
            [sys.executable, "-c", FORKING, url, str(server.process.pid), where],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        server.thaw()
        assert (done.returncode, done.stdout) == (0, "[0, 0, 0, 0]\n"), done.stderr
