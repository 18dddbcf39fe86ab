"""What is not Redis's doing: our own pool, our own clock."""

import subprocess
import sys
from collections.abc import Iterator

from tests.chaos.fault import Expect, Fault, redis_says
from tests.chaos.rig import Rig
from tests.chaos.ways import CLOCK, DIRECT
from tests.support.system import ROOT
from tests.support.waiting import pass_time
from tests.support.wall_clock import compiler

THREADS = 200


def pool_exhausted(rig: Rig) -> Iterator[None]:
    where = [str(rig.system["status_api"].port), "/api/v1/queues", str(THREADS)]
    with subprocess.Popen([sys.executable, "-m", "tests.support.callers", *where], cwd=ROOT) as callers:
        try:
            yield
        finally:
            callers.kill()


def clock_set(rig: Rig) -> Iterator[None]:
    rig.clock.set(+1)
    pass_time(5)
    rig.clock.set(-1)
    yield
    rig.clock.set(0)


def no_clock() -> str | None:
    """Why the clock cannot be set for some processes alone."""
    return None if compiler() else "no C compiler"


FAULTS = (
    Fault(
        "pool-exhausted",
        f"{THREADS} threads ask the API for what needs Redis, which has a pool of two connections",
        pool_exhausted,
        Expect(redis_says("POOL_EXHAUSTED"), None, tellers=("status_api",)),
        DIRECT,
        lasts_s=8.0,
        settings={"REDIS_MAX_CONNECTIONS": "2"},
    ),
    Fault(
        "clock",
        "the system's clock is set an hour forth, then an hour back",
        clock_set,
        Expect(None, None, strict=frozenset({200})),
        CLOCK,
        lasts_s=10.0,
        needs=(no_clock,),
    ),
)
