"""What the link costs: beside bare redis-py in the same run, with the same pool class, options and parser.

python -m benchmarks.link_cost [--quick]
"""

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from loguru import logger
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry
from rich.console import Console
from rich.table import Table

from shared.core.errors import RedisUnavailableError
from shared.redis_link import LinkConfig, RedisLink, get_redis_safe, set_default_link
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).parents[1]
ACCEPTING_S = 3.0
HAMMERS = 50

MEMORY = """
import os, sys, json
from shared.redis_link import init_redis, is_redis_available, close_redis
if sys.argv[1] == "with":
    import time
    init_redis()
    while not is_redis_available():
        time.sleep(0.01)
    time.sleep(3)
for line in open("/proc/self/status"):
    if line.startswith("VmRSS"):
        print(json.dumps(int(line.split()[1]) / 1024))
"""

IDLE = """
import json, sys, time
from shared.redis_link import init_redis
init_redis()
time.sleep(float(sys.argv[1]))
used, began = time.process_time(), time.monotonic()
time.sleep(float(sys.argv[2]))
print(json.dumps(100 * (time.process_time() - used) / (time.monotonic() - began)))
"""


def bare_client(url: str) -> redis.Redis:
    """redis-py alone, with the link's options: no retries, no maintenance notifications, a name."""
    config = LinkConfig()
    pool = redis.ConnectionPool.from_url(
        url,
        max_connections=config.max_connections,
        socket_timeout=config.command_timeout_s,
        socket_connect_timeout=config.connect_timeout_s,
        retry=Retry(NoBackoff(), 0),
        client_name="bare",
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return redis.Redis(connection_pool=pool)


def get_safe_ns(rounds: int) -> float:
    """Median nanoseconds of one get_redis_safe()."""
    found = []
    for _ in range(rounds):
        began_ns = time.perf_counter_ns()
        for _ in range(1000):
            get_redis_safe()
        found.append((time.perf_counter_ns() - began_ns) / 1000)
    return statistics.median(found)


def commands_per_s(client: redis.Redis, count: int) -> float:
    """A GET and a SET in turn."""
    began_s = time.perf_counter()
    for _ in range(count // 2):
        client.set("bench", "x" * 32)
        client.get("bench")
    return count / (time.perf_counter() - began_s)


def pipelines_per_s(client: redis.Redis, count: int) -> float:
    """Pipelines of ten commands."""
    began_s = time.perf_counter()
    for _ in range(count):
        pipe = client.pipeline()
        for _ in range(10):
            pipe.get("bench")
        pipe.execute()
    return count / (time.perf_counter() - began_s)


def ratio(
    link: redis.Redis, bare: redis.Redis, run: Callable[[redis.Redis, int], float], *, rounds: int, count: int
) -> tuple[float, float, float]:
    """Interleaved rounds, each side first in turn: the median of the ratios, and the median rates."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            ours, theirs = run(link, count), run(bare, count)
        else:
            theirs, ours = run(bare, count), run(link, count)
        pairs.append((ours, theirs))
    return (
        statistics.median(ours / theirs for ours, theirs in pairs),
        statistics.median(ours for ours, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
    )


def in_process(program: str, *arguments: str, url: str) -> float:
    """Run `program` in a process of its own; the number it prints."""
    environment = {**os.environ, "REDIS_URL": url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return float(json.loads(done.stdout))


class ResettingPort(threading.Thread):
    """Takes a dead server's port, accepts and resets; counts."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.start()

    def run(self) -> None:
        """Serve until the listener is closed."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join(5)


def connects_in_outage(client: redis.Redis, server: RedisServer) -> int:
    """Connections counted while 50 threads hammer through an outage of 3 s."""
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            try:
                client.get("x")
            except (redis.RedisError, RedisUnavailableError):
                continue

    threads = [threading.Thread(target=hammer, daemon=True) for _ in range(HAMMERS)]
    for thread in threads:
        thread.start()
    stop.wait(0.5)
    server.kill()
    port = ResettingPort(server.port)
    stop.wait(ACCEPTING_S)
    counted = port.accepted
    stop.set()
    for thread in threads:
        thread.join(10)
    port.close()
    return counted


def measure(*, quick: bool) -> list[tuple[str, str, str]]:
    """Every figure: what, how much, what is aimed at."""
    rows: list[tuple[str, str, str]] = []
    with RedisServer() as server:
        link = RedisLink(LinkConfig(url=server.url))
        set_default_link(link)
        link.start()
        link.wait_connected(5)
        bare = bare_client(server.url)
        rows.append(("get_redis_safe(), median", f"{get_safe_ns(200):.0f} ns", "< 1000 ns"))
        rounds, count = (10, 1000) if quick else (40, 4000)
        figures: list[tuple[str, Any, int]] = [
            ("commands/s", commands_per_s, count),
            ("pipelines of 10/s", pipelines_per_s, count // 8),
        ]
        for name, run, times in figures:
            ratio(link.client, bare, run, rounds=2, count=times)
            median, ours, theirs = ratio(link.client, bare, run, rounds=rounds, count=times)
            rows.append((f"{name}, link {ours:,.0f} / bare {theirs:,.0f}", f"{median:.3f}", ">= 0.95"))
        without, with_link = in_process(MEMORY, "without", url=server.url), in_process(MEMORY, "with", url=server.url)
        told = f"{with_link - without:+.1f} MB"
        rows.append(
            (f"resident memory, {without:.1f} MB without and {with_link:.1f} MB with init_redis", told, "<= 5 MB")
        )
        dead = f"redis://localhost:{server.port}/0"
        ours_connects = connects_in_outage(link.client, server)
        link.close()
        share = in_process(IDLE, "5", "10" if quick else "30", url=dead)
        rows.append(("processor time of an idle process in an outage", f"{share:.3f} % of a core", "< 0.5 %"))
        server.start()
        bare.ping()
        theirs_connects = connects_in_outage(bare, server)
        name = (
            f"connects, {HAMMERS} threads through {ACCEPTING_S:.0f} s of accept-and-reset (bare: {theirs_connects:,})"
        )
        rows.append((name, str(ours_connects), "< 50"))
    return rows


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    logger.remove()
    table = Table(title="What the link costs")
    for column in ("figure", "measured", "aim"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for row in measure(quick=parser.parse_args().quick):
        table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
