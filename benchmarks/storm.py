"""Many processes that lose one Redis and find it again: connects a second, and how long until the last is connected.

    python -m benchmarks.storm [--processes 200] [--away 20] [--faults kill,hang,proxy] [--settings TEXT]

Each process is a fork of this one with a real link (`shared.redis_link`) of its own. The Redis dies and comes back, is
stopped (SIGSTOP) and goes on, or stands dead behind a proxy that accepts for it. The links look every 0.25 s (the
default) and every 1 s, or not at all, without and with jitter. Connects are counted where they are made, by an audit
hook in each process, those of the return also by the server (`total_connections_received`) and the proxy. Times count
from the moment the server answers PING.
"""

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.support.redis_server import RedisServer
from tests.support.storm import BUCKET_S, ForkedProxy, Storm
from tests.support.waiting import pass_time

SETTINGS: Mapping[str, Mapping[str, float]] = {
    "look 0.25 s": {},
    "look 0.25 s, jitter 0.5": {"jitter": 0.5},
    "look 1 s": {"wake_interval_s": 1.0},
    "no looks": {"wake_interval_s": 0.0},
    "no looks, jitter 0.5": {"wake_interval_s": 0.0, "jitter": 0.5},
}
FAULTS = ("kill", "hang", "proxy")
SECOND = round(1 / BUCKET_S)
# What follows the loss itself: attempt 0, and the first retries.
SETTLED_S = 5.0
HEADS = (
    "fault", "settings", "away: connects/s mean", "peak", "return: connects", "peak/s", "peak/0.1 s", "seen by server",
    "connected: median s", "p95 s", "last s", "CPU away, % of a core each", "load",
)  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """One run: connects by tenths of a second while Redis was away and from its return on, and the rest."""

    away: list[int]
    back: list[int]
    server: int
    connected_s: list[float]
    cpu_share: float
    memory_mb: float


def peak(counts: list[int], width: int) -> int:
    """The most in any `width` tenths of a second in a row."""
    return max((sum(counts[at : at + width]) for at in range(max(1, len(counts) - width + 1))), default=0)


@contextlib.contextmanager
def reached(server: RedisServer, fault: str) -> Iterator[str]:
    """The URL that the links use."""
    if fault != "proxy":
        yield server.url
        return
    with ForkedProxy(server.port) as proxy:
        yield proxy.url


def received(server: RedisServer) -> int:
    """Connections that the server has accepted since its start."""
    with contextlib.closing(server.admin()) as admin:
        return int(admin.info("stats")["total_connections_received"])


def measure(fault: str, settings: Mapping[str, float], *, processes: int, away_s: float) -> Figures:
    """One outage."""
    with (
        RedisServer(args=("--maxclients", "10000")) as server,
        reached(server, fault) as url,
        Storm(url, processes, **settings) as storm,
    ):
        storm.wait_connected()
        memory_mb, before = storm.memory_mb(), received(server)
        (server.freeze if fault == "hang" else server.kill)()
        storm.wait_lost()
        pass_time(SETTLED_S)
        settled_s, cpu_s = time.monotonic(), storm.cpu_s()
        pass_time(away_s)
        cpu_share = (storm.cpu_s() - cpu_s) / (time.monotonic() - settled_s) / processes
        back_s = time.monotonic()
        if fault == "hang":
            server.thaw()
            server.wait_ready()
        else:
            server.start()
        ready_s = time.monotonic()
        storm.wait_connected()
        pass_time(1)
        return Figures(
            storm.connects(settled_s, back_s),
            storm.connects(back_s, time.monotonic()),
            received(server) - (before if fault == "hang" else 0),
            [max(0.0, at_s - ready_s) for at_s in storm.connected_at_s()],
            cpu_share,
            memory_mb,
        )


def row(fault: str, name: str, figures: Figures) -> str:
    """A line of the table."""
    mean = sum(figures.away) * SECOND / len(figures.away)
    times = figures.connected_s
    cells = (
        fault, name, f"{mean:.0f}", f"{peak(figures.away, SECOND)}", f"{sum(figures.back)}",
        f"{peak(figures.back, SECOND)}", f"{peak(figures.back, 1)}", f"{figures.server}",
        f"{statistics.median(times):.2f}", f"{times[int(len(times) * 0.95) - 1]:.2f}", f"{times[-1]:.2f}",
        f"{figures.cpu_share * 100:.2f}", f"{os.getloadavg()[0]:.1f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--away", type=float, default=20.0, metavar="SECONDS")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--settings", default="", metavar="TEXT", help="only those whose name begins with it")
    options = parser.parse_args()
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}", flush=True)
    memory_mb = 0.0
    for fault in options.faults.split(","):
        for name, settings in SETTINGS.items():
            if not name.startswith(options.settings):
                continue
            figures = measure(fault, settings, processes=options.processes, away_s=options.away)
            memory_mb = max(memory_mb, figures.memory_mb)
            print(row(fault, name, figures), flush=True)
    each_mb = memory_mb / options.processes
    print(f"\n{options.processes} processes took {memory_mb:.0f} MB together, {each_mb:.1f} MB each")


if __name__ == "__main__":
    main()
