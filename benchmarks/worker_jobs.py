"""No-op jobs a second through Holdfast's broker on the link, beside plain Dramatiq in the same run.

    python -m benchmarks.worker_jobs [--rounds 10] [--jobs 3000]

Rounds alternate between the two, each in a process of its own against the same Redis, with the same middleware, pool
class, connection options and parser. Counted is the time from the start of the worker's threads to the last job done
and acknowledged; all jobs are in the queue by then. Aim: at least 0.9 of plain Dramatiq, in the median.
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

import dramatiq
import redis
from dramatiq import Worker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import TimeLimit

from shared.messaging.broker import build_broker
from shared.redis_link import RedisLink
from shared.redis_link.config import LinkConfig
from tests.support.redis_server import RedisServer

AIM = 0.9
QUEUE = "noop"
THREADS = 8
CONFIG = LinkConfig()


def plain_broker(url: str) -> Any:
    """Dramatiq's own broker, with the timeouts of the link."""
    pool = redis.ConnectionPool.from_url(
        url, socket_timeout=CONFIG.command_timeout_s, socket_connect_timeout=CONFIG.connect_timeout_s
    )
    client = redis.Redis(connection_pool=pool)
    return RedisBroker(client=client, namespace="plain", middleware=[TimeLimit()])  # type: ignore[no-untyped-call] # Dramatiq's


def our_broker(url: str) -> Any:
    """Holdfast's, on a link that is connected."""
    link = RedisLink(LinkConfig(url=url))
    link.start()
    if not link.wait_connected(10):
        raise SystemExit("the link did not connect")
    return build_broker(link, namespace="ours", middleware=[TimeLimit()])


def measure(kind: str, url: str, jobs: int) -> float:
    """Jobs a second of one round."""
    broker = {"ours": our_broker, "plain": plain_broker}[kind](url)
    counted = threading.Semaphore(0)

    def noop() -> None:
        counted.release()

    actor = dramatiq.actor(broker=broker, queue_name=QUEUE)(noop)
    broker.emit_after("process_boot")
    for _ in range(jobs):
        actor.send()
    worker = Worker(broker, worker_threads=THREADS)
    began_s = time.perf_counter()
    worker.start()
    for _ in range(jobs):
        counted.acquire()
    while broker.do_qsize(QUEUE):
        time.sleep(0.001)
    return jobs / (time.perf_counter() - began_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "URL"), help="run a single round and print its figure")
    arguments = parser.parse_args()
    if arguments.one:
        kind, url = arguments.one
        print(measure(kind, url, arguments.jobs), flush=True)
        os._exit(0)
    found: dict[str, list[float]] = {"plain": [], "ours": []}
    with RedisServer() as server:
        for number in range(arguments.rounds):
            # Who goes first alternates too: a noisy neighbour then harms both alike.
            for kind in ("plain", "ours") if number % 2 else ("ours", "plain"):
                command = [sys.executable, "-m", "benchmarks.worker_jobs", "--jobs", str(arguments.jobs)]
                done = subprocess.run(
                    [*command, "--one", kind, server.url], capture_output=True, text=True, check=True, timeout=120
                )
                found[kind].append(float(done.stdout))
    for kind, rates in found.items():
        print(f"{kind:6} median {statistics.median(rates):7.0f} jobs/s  ({min(rates):.0f} to {max(rates):.0f})")
    ratio = statistics.median(found["ours"]) / statistics.median(found["plain"])
    pairs = statistics.median(ours / plain for ours, plain in zip(found["ours"], found["plain"], strict=True))
    print(f"ratio of medians {ratio:.2f}, median of pairs {pairs:.2f}, aim {AIM}")


if __name__ == "__main__":
    main()
