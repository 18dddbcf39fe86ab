"""How long until Holdfast works again after an outage, beside a plain Dramatiq worker in the same run.

    python -m benchmarks.recovery [--outages 40] [--seed 1] [--fault kill|freeze] [--proxy]

The real processes run against a real redis-server that is killed (and comes back empty) or frozen for 5, 20 or 60 s,
each outage beginning at a random phase. Time counts from the moment Redis answers PING to the harness: to the moment
the last of the three processes is connected, and to the first job done. Ours is a manual run recorded during the
outage; the plain worker's job is enqueued as soon as Redis answers, since its enqueueing fails before. With --proxy
both stand behind a TCP proxy that accepts for the dead server.
"""

import argparse
import contextlib
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.plain_worker import enqueue
from tests.support.exports import month_of_exports
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT, Running, System, running_system
from tests.support.waiting import wait_for

OUTAGES_S = (5.0, 20.0, 60.0)
# Of 40: as many short as middle ones, fewer of the long, which take most of the time.
SHARE = (5.0, 20.0, 5.0, 20.0, 60.0)
SETTLE_S = (0.0, 3.0)
FIGURES = (("connected", "connected_s"), ("first job done", "job_s"), ("plain Dramatiq job", "plain_s"))


@dataclass(frozen=True)
class Recovery:
    """Seconds from Redis answering PING."""

    outage_s: float
    connected_s: float
    job_s: float
    plain_s: float


def wait_ping(port: int) -> float:
    """Wait until PING is answered on `port`; the wall-clock time of the answer."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(64).startswith(b"+PONG"):
                return time.time()
        time.sleep(0.001)


@contextlib.contextmanager
def plain_worker(folder: Path, redis_url: str) -> Iterator[None]:
    """A stock Dramatiq worker: `RedisBroker(url=...)`, default settings."""
    environment = {**os.environ, "PLAIN_REDIS_URL": redis_url, "PYTHONPATH": str(ROOT)}
    with (folder / "plain.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dramatiq", "benchmarks.plain_worker:broker", "--processes", "1", "--threads", "8"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def connected_at(running: Running, after: float) -> float | None:
    """When this process was connected last, if that is later than `after`."""
    redis: dict[str, Any] = running.redis()
    if redis["connectionState"] != "connected":
        return None
    at = datetime.fromisoformat(redis["transitions"][-1]["at"]).timestamp()
    # The answer has milliseconds; a state that was reached within the one before `after` counts as reached at once.
    return at if at >= after - 0.5 else None


def finished_at(system: System, run_id: str) -> float | None:
    """When the run was finished, None while it is not."""
    run = system.api(f"/api/v1/runs/{run_id}").body
    return datetime.fromisoformat(run["finishedAt"]).timestamp() if run["state"] == "succeeded" else None


def plain_finished_at(folder: Path, number: int) -> float | None:
    """When the plain worker did job `number`."""
    done = folder / f"plain-{number}"
    return float(done.read_text()) if done.exists() and done.read_text() else None


def one_outage(system: System, redis: RedisServer, number: int, *, outage_s: float, fault: str) -> Recovery:
    """Break Redis, mend it after `outage_s`, and take the times."""
    redis.freeze() if fault == "freeze" else redis.kill()
    began = time.monotonic()
    system.wait_each(lambda running: running.redis()["connectionState"] != "connected", 10, "notice")
    run_id = system.api("/api/v1/runs", method="POST", payload={"account": "exports"}).body["runs"][0]["id"]
    time.sleep(max(0.0, outage_s - (time.monotonic() - began)))
    if fault == "freeze":
        redis.thaw()
    else:
        redis.start(wait=False)
    back = wait_ping(redis.port)
    enqueue(redis.url, system.folder, number)
    connected = max(
        wait_for(partial(connected_at, running, back), 30, f"{running.name} to be connected") or 0.0
        for running in system.started.values()
    )
    job = wait_for(partial(finished_at, system, run_id), 60, "the first run to be done") or 0.0
    plain = wait_for(partial(plain_finished_at, system.folder, number), 300, "the plain worker's job") or 0.0
    return Recovery(outage_s, *(max(0.0, at - back) for at in (connected, job, plain)))


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(found: list[Recovery]) -> None:
    """Median, p95 and maximum of each figure, by length of outage and over all."""
    print(f"\n{'outage':>8} {'n':>3}  {'figure':<22} {'median':>8} {'p95':>8} {'max':>8}")
    for length in (*OUTAGES_S, None):
        chosen = [one for one in found if length in {None, one.outage_s}]
        for label, field in (
            ("connected", "connected_s"),
            ("first job done", "job_s"),
            ("plain Dramatiq job", "plain_s"),
        ):
            values = [getattr(one, field) for one in chosen]
            if values:
                name = "all" if length is None else f"{length:g} s"
                print(
                    f"{name:>8} {len(values):>3}  {label:<22} {statistics.median(values):8.3f}"
                    f" {percentile(values, 0.95):8.3f} {max(values):8.3f}"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--outages", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", choices=["kill", "freeze"], default="kill")
    parser.add_argument("--proxy", action="store_true")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    lengths = [SHARE[number % len(SHARE)] for number in range(arguments.outages)]
    chance.shuffle(lengths)
    found = []
    with tempfile.TemporaryDirectory(prefix="holdfast-recovery-") as temporary:
        folder = Path(temporary)
        month_of_exports(folder)
        off = {"DIRECT_AFTER_S": "0"}
        with contextlib.ExitStack() as stack:
            redis = stack.enter_context(RedisServer())
            url = stack.enter_context(TcpProxy(redis.port)).url if arguments.proxy else redis.url
            stack.enter_context(plain_worker(folder, url))
            system = stack.enter_context(running_system(folder, redis_url=url, environment=off))
            system.start()
            system.wait_serving()
            system.wait_runs("succeeded")
            for number, outage_s in enumerate(lengths, start=1):
                time.sleep(chance.uniform(*SETTLE_S))
                one = one_outage(system, redis, number, outage_s=outage_s, fault=arguments.fault)
                found.append(one)
                print(
                    f"{number:>3}/{len(lengths)} outage {outage_s:g} s: connected {one.connected_s:.3f} s,"
                    f" first job {one.job_s:.3f} s, plain {one.plain_s:.3f} s",
                    flush=True,
                )
    print(f"seed {arguments.seed}, fault {arguments.fault}{', behind a proxy' if arguments.proxy else ''}")
    report(found)


if __name__ == "__main__":
    main()
