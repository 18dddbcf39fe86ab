"""What idle processes take of a core: with Redis there, while it refuses, and while it hangs.

    python -m benchmarks.idle [--span 60]

By the kernel's own count of processor time, so that a busy machine changes little. Nothing is collected meanwhile; in
the outages direct mode is on. The aim is less than 0.5% of a core for each process in an outage.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from benchmarks.ledgers import machine
from tests.support.redis_server import RedisServer
from tests.support.system import System, running_system

SETTLE_S: Final = 10.0


def family(system: System) -> dict[str, psutil.Process]:
    """Every process by a name of its own: a launcher's children are numbered."""
    found: dict[str, psutil.Process] = {}
    for name, running in system.started.items():
        top = psutil.Process(running.process.pid)
        below = top.children(recursive=True)
        found |= {name: top, **{f"{name}, below it {number}": one for number, one in enumerate(below, start=1)}}
    return found


def seconds_used(process: psutil.Process) -> float:
    """Of the processor, by the process alone."""
    times = process.cpu_times()
    return float(times.user + times.system)


def shares(system: System, span_s: float) -> dict[str, float]:
    """The share of a core that each process takes over `span_s`."""
    processes = family(system)
    before = {name: seconds_used(process) for name, process in processes.items()}
    began_s = time.monotonic()
    time.sleep(span_s)
    took_s = time.monotonic() - began_s
    return {name: (seconds_used(process) - before[name]) / took_s for name, process in processes.items()}


def nothing() -> None:
    """Redis stays as it is."""


def measure(system: System, span_s: float, what: str, change: Callable[[], object]) -> None:
    """Change Redis, let the processes come to rest, and look."""
    change()
    time.sleep(SETTLE_S)
    for name, share in shares(system, span_s).items():
        print(f"  {what:<12}{name:<24}{share:>8.2%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--span", type=float, default=60.0)
    given = parser.parse_args()
    print(f"{machine()}; share of a core over {given.span:g} s")
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as temporary, RedisServer() as server:
        folder = Path(temporary)
        (folder / "accounts.toml").write_text("")
        environment = {"DIRECT_AFTER_S": "1"}
        with running_system(folder, redis_url=server.url, environment=environment) as system:
            system.start()
            system.wait_serving()
            measure(system, given.span, "connected", nothing)
            measure(system, given.span, "hangs", server.freeze)
            measure(system, given.span, "refuses", server.kill)


if __name__ == "__main__":
    main()
