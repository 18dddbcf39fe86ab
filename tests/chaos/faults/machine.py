"""The machine under the processes: no descriptors, no time on the processor, a worker process that is killed."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil

from tests.chaos.fault import NAMES, Expect, Fault, Way, redis_says
from tests.chaos.rig import Rig
from tests.chaos.ways import DIRECT
from tests.support.limits import cannot_limit, without_descriptors, without_gaps
from tests.support.system import module_command

BUSY_PROCESSES = 8
# The issue's own threshold where the processor is starved.
STARVED_P99_S = 0.050
SERVES = frozenset({200})


def _busy_worker(rig: Rig) -> str:
    rig.commands["worker"] = module_command("worker", "tests.support.busy_worker")
    rig.environment["BUSY"] = f"{rig.folder}/busy"
    return rig.redis.url


BUSY_WORKER = Way("busy worker", "straight to the server; the worker can be kept busy", _busy_worker)


def processes(rig: Rig) -> list[psutil.Process]:
    """Every process of ours, worker processes among them."""
    tops = [psutil.Process(rig.system[name].process.pid) for name in NAMES]
    return [one for top in tops for one in (top, *top.children(recursive=True))]


def worker_process(rig: Rig) -> psutil.Process:
    """The one that collects: below Dramatiq, which is below the launcher."""
    launcher = psutil.Process(rig.system["worker"].process.pid)
    return max(launcher.children(recursive=True), key=lambda one: one.memory_info().rss)


def busy_threads(rig: Rig) -> Iterator[None]:
    flag = rig.folder / "busy"
    flag.touch()
    yield
    flag.unlink()


def busy_processes(_rig: Rig) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(BUSY_PROCESSES):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def no_descriptors(rig: Rig) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name in NAMES:
            running = rig.system[name]
            stack.enter_context(without_gaps(psutil.Process(running.process.pid), running.probe_port))
        stack.enter_context(without_descriptors(processes(rig)))
        yield


def worker_killed(rig: Rig) -> Iterator[None]:
    victim = worker_process(rig)
    rig.requester.ask()
    rig.happens_now()
    victim.send_signal(signal.SIGKILL)
    yield
    said = rig.system["worker"].said("Worker processes ended unexpectedly")
    assert said, "the launcher has not said that its processes ended"


def unnoticed(p99_s: float = STARVED_P99_S) -> Expect:
    """Everything goes on, slower."""
    return Expect(None, None, strict=SERVES, health_p99_s=p99_s)


FAULTS = (
    Fault(
        "busy-threads",
        "eight threads of Python compute in the worker process",
        busy_threads,
        unnoticed(),
        BUSY_WORKER,
        lasts_s=20.0,
    ),
    Fault(
        "busy-processes",
        f"{BUSY_PROCESSES} processes that compute share the processors with ours",
        busy_processes,
        unnoticed(),
        DIRECT,
        lasts_s=20.0,
    ),
    Fault(
        "no-descriptors",
        "no process of ours can open a file or a socket",
        no_descriptors,
        Expect(None, None),
        DIRECT,
        lasts_s=10.0,
        needs=(cannot_limit,),
        # DuckDB ends the process when this strikes in the middle of a file: that is the next row.
        idle=True,
    ),
    Fault(
        "worker-killed",
        "the kernel kills the worker process, as it does when memory runs out",
        worker_killed,
        Expect(
            redis_says("STARTED"),
            None,
            strict=SERVES,
            live=frozenset({200, 503}),
            ready=frozenset({200, 503}),
            tellers=("worker",),
        ),
        DIRECT,
        lasts_s=15.0,
        settings={"RUN_RENEW_S": "1", "RUN_LEASE_S": "4"},
        spoils=True,
    ),
)
