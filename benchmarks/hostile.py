"""What probes and everybody else get while clients mean harm to the API.

    python -m benchmarks.hostile [--seconds 10]

A real status_api (SQLite, a real Redis) and beside it a second one, which is attacked first by the same means: what the
probes of the first one lose meanwhile is the machine's doing, what they lose more when it is attacked itself is ours.
Probes are GET /health/live on PROBE_PORT, each on a connection of its own, a hundred a second at most; "asked" is the
same on PORT, the attacked one. Memory is the process's, descriptors those it had open at most.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from tests.support.flood import flooding
from tests.support.http import request
from tests.support.redis_server import RedisServer
from tests.support.siege import besieging
from tests.support.system import Running, System, running_system

PACE_S = 0.01
SETTLE_S = 2.0
ACCOUNTS = '[[account]]\nname = "one"\nprovider = "focus"\npath = "*.csv"\n'


@dataclass(frozen=True)
class Attack:
    """How many ask without a pause, and how many keep the server waiting."""

    name: str
    asking: int = 0
    waiting: int = 0


ATTACKS = (
    Attack("nothing"),
    Attack("8 ask without a pause", asking=8),
    Attack("32 ask without a pause", asking=32),
    Attack("64 ask without a pause", asking=64),
    Attack("3,000 keep it waiting", waiting=3000),
    Attack("32 ask, 3,000 keep it waiting", asking=32, waiting=3000),
)


@dataclass
class Asker:
    """Asks one port again and again, on a thread, until stopped."""

    port: int
    took_s: list[float] = field(default_factory=list)
    failed: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """The thread's work."""
        while not self.stopped.wait(PACE_S):
            began_s = time.monotonic()
            try:
                request("GET", self.port, "/health/live", timeout_s=5)
            except OSError:
                self.failed += 1
            else:
                self.took_s.append(time.monotonic() - began_s)


@contextlib.contextmanager
def asking(*ports: int) -> Iterator[list[Asker]]:
    """One asker for each port."""
    askers = [Asker(port) for port in ports]
    threads = [threading.Thread(target=asker.run) for asker in askers]
    for thread in threads:
        thread.start()
    try:
        yield askers
    finally:
        for asker in askers:
            asker.stopped.set()
        for thread in threads:
            thread.join()


@dataclass
class Measured:
    """One row of the table."""

    probes: Asker
    asked: Asker
    rate: float
    memory: int
    descriptors: int

    def cells(self) -> list[str]:
        """As text."""
        rate = f"{self.rate:,.0f}" if self.rate else ""
        return [_times(self.probes), _times(self.asked), rate, f"{self.memory / 1e6:.0f}", str(self.descriptors)]


def _times(asker: Asker) -> str:
    if len(asker.took_s) < 2:
        return f"none ({asker.failed} failed)"
    cuts = statistics.quantiles(asker.took_s, n=100, method="inclusive")
    found = " / ".join(f"{value * 1000:.1f}" for value in (cuts[49], cuts[98], max(asker.took_s)))
    return f"{found} ({asker.failed} failed)" if asker.failed else found


def measure(attack: Attack, *, on: Running, watched: Running, seconds: float) -> Measured:
    """Attack one process, ask the other (or the same)."""
    process, rate, memory, descriptors = psutil.Process(watched.process.pid), 0.0, 0, 0
    with contextlib.ExitStack() as stack:
        lasts_s = seconds + 2 * SETTLE_S
        flood: Any = None
        if attack.waiting:
            stack.enter_context(besieging(on.port, connections=attack.waiting, seconds=lasts_s))
        if attack.asking:
            flood = stack.enter_context(flooding(on.port, connections=attack.asking, seconds=lasts_s))
        time.sleep(SETTLE_S)
        with asking(watched.probe_port, watched.port) as (probes, asked):
            until_s = time.monotonic() + seconds
            while time.monotonic() < until_s:
                memory, descriptors = max(memory, process.memory_info().rss), max(descriptors, process.num_fds())
                time.sleep(0.1)
        if flood is not None:
            found = flood.result()
            rate = found["answered"] / found["seconds"]
    time.sleep(SETTLE_S)
    return Measured(probes, asked, rate, memory, descriptors)


def api(folder: Path, stack: contextlib.ExitStack, redis_url: str) -> System:
    """A status_api that serves."""
    folder.mkdir()
    (folder / "accounts.toml").write_text(ACCOUNTS)
    system = stack.enter_context(running_system(folder, redis_url=redis_url))
    system.start("status_api").wait_serving()
    return system


def main() -> None:
    parser = argparse.ArgumentParser(description="What probes get while clients mean harm.")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each situation is measured")
    seconds = parser.parse_args().seconds
    table = Table("attack", "on", "probes p50 / p99 / max, ms", "asked p50 / p99 / max, ms", "answers/s", "MB", "fds")
    with tempfile.TemporaryDirectory(prefix="holdfast-hostile-") as temporary, contextlib.ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        ours, neighbour = (api(Path(temporary) / name, stack, redis.url)["status_api"] for name in ("one", "two"))
        process = psutil.Process(ours.process.pid)
        before = (process.num_threads(), process.num_fds())
        for attack in ATTACKS:
            for label, on in (("the neighbour", neighbour), ("itself", ours)):
                if attack.asking or attack.waiting or on is ours:
                    found = measure(attack, on=on, watched=ours, seconds=seconds)
                    table.add_row(attack.name, label, *found.cells())
                    print(f"{attack.name}, {label}: {' | '.join(found.cells())}", flush=True)
        after = (process.num_threads(), process.num_fds())
        lines = len(ours.lines())
    Console(width=160).print(table)
    print(f"threads and descriptors before {before}, after {after}; {lines} log lines; load {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()
