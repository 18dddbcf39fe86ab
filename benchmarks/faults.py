"""How soon the truth is told while Redis hangs or refuses writes, and what it costs those who ask.

    python -m benchmarks.faults [--rounds 10]

For each fault: seconds until every process's readiness says something other than "up", the p99 of `/health/ready`
at 100 requests a second during the fault, how fast a guarded route refuses, and seconds until all are up again after
the fault is lifted. The harness does nothing but plant the fault and lift it.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import redis as redis_py

from tests.support.exports import month_of_exports
from tests.support.redis_server import RedisServer
from tests.support.system import NAMES, System, running_system

PACE_S = 0.01
HOLD_S = 6.0


@dataclass
class Asker:
    """Asks for readiness 100 times a second, on the processes in turn, until stopped; keeps how long each took."""

    system: System
    took_s: list[float] = field(default_factory=list)
    failed: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """The loop of the thread."""
        number = 0
        while not self.stopped.wait(PACE_S):
            started = time.monotonic()
            try:
                self.system.ready(NAMES[number % len(NAMES)])
            except OSError:
                self.failed += 1
            self.took_s.append(time.monotonic() - started)
            number += 1


def told(system: System, name: str) -> bool:
    """Whether this process's readiness says that Redis is not well."""
    return bool(system.ready(name)["checks"]["redis"]["status"] != "up")


def plant_freeze(server: RedisServer) -> Callable[[], None]:
    """SIGSTOP; lifted by SIGCONT."""
    server.freeze()
    return server.thaw


def plant_readonly(server: RedisServer) -> Callable[[], None]:
    """The server becomes the replica of a master that is not there; lifted by becoming a master again."""
    client = redis_py.Redis.from_url(server.url)
    client.replicaof("127.0.0.1", 1)

    def lift() -> None:
        client.replicaof("NO", "ONE")
        client.close()

    return lift


def plant_full_memory(server: RedisServer) -> Callable[[], None]:
    """Memory is full and nothing may be evicted; lifted by raising the limit."""
    client = redis_py.Redis.from_url(server.url)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")

    def lift() -> None:
        client.config_set("maxmemory", "0")
        client.close()

    return lift


FAULTS = {"hang (SIGSTOP)": plant_freeze, "READONLY": plant_readonly, "OOM": plant_full_memory}


@dataclass(frozen=True)
class Round:
    """Seconds."""

    told_s: float
    refused_s: float
    healed_s: float


def one_round(system: System, server: RedisServer, plant: Callable[[RedisServer], Callable[[], None]]) -> Round:
    """Plant, wait until all have told, hold, lift, wait until all are up."""
    began = time.monotonic()
    lift = plant(server)
    system.wait_each(lambda running: told(system, running.name), 20, "tell")
    told_s = time.monotonic() - began
    asked = time.monotonic()
    system.api("/api/v1/queues")
    refused_s = time.monotonic() - asked
    time.sleep(max(0.0, HOLD_S - (time.monotonic() - began)))
    lifted = time.monotonic()
    lift()
    system.wait_each(lambda running: not told(system, running.name), 30, "heal")
    return Round(told_s, refused_s, time.monotonic() - lifted)


def main() -> None:
    parser = argparse.ArgumentParser(description="How soon the truth is told while Redis hangs or refuses writes.")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    print(f"{'fault':<16} {'told med/max':>16} {'refused max':>12} {'healed med/max':>16} {'ready p99/max':>16} failed")
    with tempfile.TemporaryDirectory(prefix="holdfast-faults-") as temporary:
        folder = Path(temporary)
        month_of_exports(folder)
        off = {"DIRECT_AFTER_S": "0"}
        with RedisServer() as server, running_system(folder, redis_url=server.url, environment=off) as system:
            system.start()
            system.wait_serving()
            system.wait_runs("succeeded")
            for label, plant in FAULTS.items():
                asker = Asker(system)
                thread = threading.Thread(target=asker.run)
                thread.start()
                try:
                    found = [one_round(system, server, plant) for _ in range(rounds)]
                finally:
                    asker.stopped.set()
                    thread.join()
                told_s, refused_s, healed_s = ([getattr(one, name) for one in found] for name in Round.__annotations__)
                p99 = statistics.quantiles(asker.took_s, n=100)[98]
                print(
                    f"{label:<16} {statistics.median(told_s):7.2f}/{max(told_s):5.2f} s {max(refused_s) * 1000:8.1f} ms"
                    f" {statistics.median(healed_s):9.2f}/{max(healed_s):4.2f} s"
                    f" {p99 * 1000:7.1f}/{max(asker.took_s) * 1000:5.0f} ms {asker.failed}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
