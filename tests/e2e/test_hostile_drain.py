"""SIGTERM to an API that is in the middle of answers, large ones and small: each arrives to its last byte."""

import contextlib
import hashlib
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

import pytest

from tests.support.http import get
from tests.support.large_api import LARGE, digest
from tests.support.redis_server import free_port
from tests.support.system import running_system
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

HELD = 4
READ = 262_144


@pytest.fixture
def system(tmp_path):
    (tmp_path / "accounts.toml").write_text("")
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    modules = {"status_api": "tests.support.large_api"}
    # As long as the reading may take on a busy machine: what ends sooner ends the test sooner.
    environment = {"SHUTDOWN_GRACE_S": "60"}
    with running_system(tmp_path, redis_url=nowhere, modules=modules, environment=environment) as system:
        system.start("status_api").wait_serving()
        yield system


class Reader:
    """Asks for a large answer and reads its first bytes only, until told to read on."""

    def __init__(self, port: int, path: str) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self.connection.request("GET", path)
        self.answer = self.connection.getresponse()
        self.hash, self.length = hashlib.sha256(), 0
        self.take(1)

    def take(self, at_most: int) -> int:
        data = self.answer.read(at_most)
        self.hash.update(data)
        self.length += len(data)
        return len(data)

    def take_all(self) -> tuple[int, str]:
        while self.take(READ):
            pass
        self.connection.close()
        return self.length, self.hash.hexdigest()


def closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionError:
        return True
    return False


def test_large_and_small_answers_in_flight_arrive_to_the_last_byte_and_the_exit_code_is_zero(system, tmp_path):
    api = system["status_api"]
    readers = [Reader(api.port, path) for path in ("/test/large", "/test/pieces")]
    half_open = [socket.create_connection(("127.0.0.1", api.port), 5) for _ in range(50)]
    for client in half_open:
        client.sendall(b"GET / HT")
    with ThreadPoolExecutor(HELD) as pool:
        held = [pool.submit(get, api.port, "/test/held", timeout_s=60) for _ in range(HELD)]
        wait_for(lambda: 'route="/health/live"' in system.api("/metrics").body.decode(), 20, "the API to be asked")
        api.process.send_signal(signal.SIGTERM)
        wait_for(lambda: closed(api.port), 20, "the door to be closed")
        assert api.probe("/health/ready").body["draining"] is True
        assert api.probe("/health/live").status == 200
        (tmp_path / "release").touch()
        assert [answer.result(60).json for answer in held] == [{"held": True}] * HELD
        assert api.process.poll() is None
        assert [reader.take_all() for reader in readers] == [(LARGE, digest())] * 2
    assert api.process.wait(30) == 0
    assert not api.said("Connections were cut")
    assert not api.said("Traceback")
    for client in half_open:
        client.close()


def test_a_client_that_never_takes_its_answer_is_cut_at_the_end_of_the_grace(tmp_path):
    (tmp_path / "accounts.toml").write_text("")
    modules = {"status_api": "tests.support.large_api"}
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    environment = {"SHUTDOWN_GRACE_S": "2"}
    with running_system(tmp_path, redis_url=nowhere, modules=modules, environment=environment) as system:
        system.start("status_api").wait_serving()
        reader = Reader(system["status_api"].port, "/test/pieces")
        began_s = time.monotonic()
        assert system.stop() == {"status_api": 0}
        assert time.monotonic() - began_s < 15
        assert system["status_api"].said("Connections were cut")
        with contextlib.suppress(HTTPException, OSError):
            reader.take_all()
        assert reader.length < LARGE
