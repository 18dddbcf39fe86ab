"""A server that loses its memory, or takes long to remember."""

import contextlib
from collections.abc import Iterator

import redis as redis_py

from tests.chaos.fault import Expect, Fault, closed
from tests.chaos.rig import ACCOUNTS, Rig
from tests.chaos.ways import DIRECT
from tests.support.waiting import wait_for

KEYS = 20_000
SERVES = frozenset({200})
GONE = ("CONNECTION_REFUSED", "CONNECTION_CLOSED")


def forgets(rig: Rig) -> Iterator[None]:
    last = str(max(day for _, day in rig.expected))
    for account in ACCOUNTS:
        rig.requester.ask(account, start=last, end=last)
    rig.happens_now()
    rig.admin.flushall()
    yield


def loading(rig: Rig) -> Iterator[None]:
    with rig.admin.pipeline(transaction=False) as pipe:
        for number in range(KEYS):
            pipe.set(f"key:{number}", "x" * 200)
        pipe.execute()
    rig.admin.save()
    args = rig.redis.args
    rig.redis.args = (*args, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    rig.happens_now()
    rig.restart_redis(start=False)
    rig.redis.start(wait=False)
    yield
    rig.redis.args = args
    wait_for(lambda: _loads_at_full_speed(rig), 10, "the server to load at full speed")
    rig.redis.wait_ready()


def _loads_at_full_speed(rig: Rig) -> bool:
    with contextlib.suppress(redis_py.ConnectionError, redis_py.BusyLoadingError), rig.redis.admin() as client:
        return bool(client.config_set("key-load-delay", 0))
    return False


def restarted_empty(rig: Rig) -> Iterator[None]:
    rig.restart_redis()
    yield


def restarted_with_data(rig: Rig) -> Iterator[None]:
    rig.admin.save()
    rig.happens_now()
    rig.restart_redis()
    yield


FAULTS = (
    Fault(
        "flushall",
        "every key is removed while runs are queued",
        forgets,
        Expect(None, None, strict=SERVES),
        DIRECT,
        momentary=True,
        settings={"WORKER_THREADS": "1"},
    ),
    Fault(
        "loading",
        f"the server is restarted and takes long to load {KEYS} keys",
        loading,
        closed("LOADING"),
        DIRECT,
    ),
    Fault(
        "restart-empty",
        "the server is killed and started again, without its data",
        restarted_empty,
        closed(*GONE),
        DIRECT,
        momentary=True,
    ),
    Fault(
        "restart-with-data",
        "the server is killed and started again, with its data",
        restarted_with_data,
        closed(*GONE),
        DIRECT,
        momentary=True,
    ),
)
