"""Redis and the database at once: nothing is there of what a process depends on."""

from collections.abc import Iterator

from tests.chaos.fault import CLOSED_S, HANG_S, Expect, Fault, database_says
from tests.chaos.faults.database import AWAY, LASTS_S, OWN_SERVER, POSTGRES, server
from tests.chaos.rig import Rig


def both_away(rig: Rig) -> Iterator[None]:
    rig.restart_redis(start=False)
    rig.happens_now()  # what is judged is what is told of the database
    server(rig).stop()
    yield
    server(rig).start()
    rig.redis.start()


def both_hang(rig: Rig) -> Iterator[None]:
    server(rig).freeze()
    rig.redis.freeze()
    yield
    server(rig).thaw()
    rig.redis.thaw()


def both(told_s: float | None) -> Expect:
    """Nothing of what a process depends on is there."""
    return Expect(database_says("down"), told_s, ready=AWAY, soft=AWAY)


FAULTS = (
    Fault(
        "both-away",
        "Redis is killed and PostgreSQL is stopped",
        both_away,
        both(CLOSED_S),
        OWN_SERVER,
        LASTS_S,
        needs=POSTGRES,
    ),
    Fault(
        "both-hang",
        "Redis and PostgreSQL are stopped (SIGSTOP)",
        both_hang,
        both(HANG_S),
        OWN_SERVER,
        LASTS_S,
        needs=POSTGRES,
    ),
    Fault(
        "both-away-at-start",
        "neither Redis nor PostgreSQL is there when the processes start",
        both_away,
        both(None),
        OWN_SERVER,
        needs=POSTGRES,
        at_start=True,
    ),
)
