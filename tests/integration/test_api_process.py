"""`python -m status_api` as a process: its two listeners, what never reaches the application, its exit codes."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.api import Description
from tests.support.http import request
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    port: int
    probe_port: int
    log: Path

    def serving(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.probe_port)) == 0


@contextmanager
def running(folder: Path, **environment: str):
    """The process without any Redis, on SQLite."""
    (folder / "accounts.toml").write_text('[[account]]\nname = "one"\nprovider = "focus"\npath = "*.csv"\n')
    port, probe_port, log = free_port(), free_port(), folder / "api.log"
    settings = {
        "PORT": str(port),
        "PROBE_PORT": str(probe_port),
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "DATABASE_URL": f"sqlite:///{folder}/holdfast.db",
        "SHUTDOWN_GRACE_S": "4",
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "status_api"],
            cwd=folder,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Running(process, int(environment.get("PORT", port)), int(environment.get("PROBE_PORT", probe_port)), log)
    finally:
        process.kill()
        process.wait(10)


def raw(port: int, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_it_serves_on_both_listeners_without_redis_and_ends_with_zero(tmp_path):
    with running(tmp_path) as api:
        wait_for(api.serving, 20, "the process to serve")
        for path in ("/health/live", "/health/dependencies"):
            for port in (api.port, api.probe_port):
                assert request("GET", port, path).status == 200
        wait_for(lambda: request("GET", api.port, "/api/v1/runs").status == 200, 20, "the schema to be ready")
        assert request("GET", api.probe_port, "/api/v1/runs").status == 404
        assert Description().document["info"]["title"].encode() in request("GET", api.port, "/openapi.yaml").body
        wait_for(lambda: asked(api.port) == (202, "deferred"), 20, "the account to be known")
        assert request("GET", api.port, "/api/v1/queues").status == 503

        large = request("POST", api.port, "/api/v1/runs", body=b"x" * 100_000)
        assert (large.status, set(large.json)) == (413, {"error", "message"})
        chunks = b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        chunks += (
            b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4e20\r\n" + b"x" * 20_000 + b"\r\n0\r\n\r\n"
        )
        assert raw(api.port, chunks).startswith(b"HTTP/1.1 413")
        malformed = raw(api.port, b"NONSENSE\r\n\r\n")
        assert malformed.startswith(b"HTTP/1.0 400")
        assert b"application/json" in malformed
        assert raw(api.port, b"PROPFIND /api/v1/runs HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 405")

        api.process.send_signal(signal.SIGTERM)
        assert api.process.wait(20) == 0
        assert "Traceback" not in api.log.read_text()


def asked(port: int) -> tuple[int, str | None]:
    answer = request("POST", port, "/api/v1/runs", body={"account": "one"})
    return answer.status, answer.json.get("dispatch")


def test_a_taken_port_is_one_clear_line_and_exit_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, PORT=str(port)) as api:
            assert api.process.wait(30) == 2
            (line,) = [line for line in api.log.read_text().splitlines() if line.startswith("PORT")]
            assert str(port) in line
            assert "Traceback" not in api.log.read_text()


def test_a_taken_probe_port_is_an_error_line_and_the_api_goes_on(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, RedisServer() as redis:
        port = taken.getsockname()[1]
        with running(tmp_path, PROBE_PORT=str(port), REDIS_URL=redis.url) as api:
            wait_for(lambda: f"Probe port {port}" in api.log.read_text(), 20, "the line about the probe port")
            assert request("GET", api.port, "/health/live").status == 200
            api.process.send_signal(signal.SIGTERM)
            assert api.process.wait(20) == 0


@pytest.mark.parametrize(
    ("variable", "value"), [("SHUTDOWN_GRACE_S", "long"), ("API_TOKEN", "short"), ("APP_ENV", "staging")]
)
def test_a_mistake_in_the_settings_is_one_line_and_exit_2(tmp_path, variable, value):
    with running(tmp_path, **{variable: value}) as api:
        assert api.process.wait(30) == 2
        lines = api.log.read_text().splitlines()
        assert len(lines) == 1, lines
