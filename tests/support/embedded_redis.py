"""`python -m shared.embedded_redis` as tests start it: on a free port, in a folder of its own, ended by its pid."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.system import ROOT, free_port
from tests.support.waiting import wait_for

STOP_S = 20.0


@dataclass
class Embedded:
    """One embedded Redis: the keeper's process and what it said."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def said(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """A client that leaves no connection behind: the end waits for those."""
        with redis.Redis.from_url(self.url, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
            yield client

    def command(self, *parts: str) -> Any:
        """One command on a connection of its own."""
        with self.client() as client:
            return client.execute_command(*parts)

    def answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.command("PING"))
        return False

    def wait_ready(self) -> "Embedded":
        wait_for(lambda: self.said("Embedded Redis: Ready") and self.answers(), 30, f"a ready Redis at {self.url}")
        return self

    def server(self) -> psutil.Process:
        """The redis-server or valkey-server child."""
        (found,) = [child for child in self.children() if "-server" in child.name()]
        return found

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


@contextlib.contextmanager
def embedded_redis(folder: Path, *, url: str | None = None, **environment: str) -> Iterator[Embedded]:
    """Start one in `folder`; end it and its children, whatever happens in between."""
    url = url or f"redis://127.0.0.1:{free_port()}/0"
    log = folder / f"embedded-{free_port()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "shared.embedded_redis"],
            cwd=folder,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("HONCHO_")},
                "PYTHONPATH": str(ROOT),
                "REDIS_URL": url,
                # Whatever ends by its own is seen to be sooner than what waits for the grace to pass.
                "SHUTDOWN_GRACE_S": "60",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Embedded(process, url, log)
    except BaseException:
        sys.stderr.write(log.read_text(errors="replace"))
        raise
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process and of its children, each by its id."""
    left = []
    with contextlib.suppress(psutil.NoSuchProcess):
        left = psutil.Process(process.pid).children(recursive=True)
    for one in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    if process.poll() is None:
        process.kill()
    process.wait(STOP_S)
