"""Faults that apply to any queue on Redis, and the rows of the matrix that plant the same under Holdfast."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.redis_server import RedisServer
from tests.support.system import free_port

LASTS_S = 20.0
QUEUED = 200
KEEPS = ("--appendonly", "yes", "--appendfsync", "always")
Send = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class PeerFault:
    """`ours` names the row of the matrix that is the same, or longer. `plant` is as in the matrix."""

    name: str
    ours: str
    plant: Callable[[RedisServer, Send], Iterator[None]]
    lasts_s: float = LASTS_S
    redis_args: tuple[str, ...] = ()
    job_s: float = 0.1


def refused(redis: RedisServer, _send: Send) -> Iterator[None]:
    redis.kill()
    yield
    redis.start()


def frozen(redis: RedisServer, _send: Send) -> Iterator[None]:
    redis.freeze()
    yield
    redis.thaw()


def read_only(redis: RedisServer, _send: Send) -> Iterator[None]:
    with redis.admin() as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    yield
    with redis.admin() as admin:
        admin.execute_command("REPLICAOF", "NO", "ONE")


def out_of_memory(redis: RedisServer, _send: Send) -> Iterator[None]:
    with redis.admin() as admin:
        admin.config_set("maxmemory", 1)
    yield
    with redis.admin() as admin:
        admin.config_set("maxmemory", 0)


def forgets(redis: RedisServer, send: Send) -> Iterator[None]:
    for _ in range(QUEUED):
        send()
    with contextlib.closing(redis.admin()) as admin:
        admin.flushall()
    yield


def restarted_empty(redis: RedisServer, send: Send) -> Iterator[None]:
    for _ in range(QUEUED):
        send()
    redis.kill()
    redis.start()
    yield


FAULTS = (
    PeerFault("refused for 20 s, data kept", "refused", refused, redis_args=KEEPS),
    PeerFault("frozen for 20 s", "frozen", frozen),
    PeerFault("read-only for 20 s", "read-only-short", read_only),
    PeerFault("out of memory for 20 s", "oom", out_of_memory),
    PeerFault(f"FLUSHALL with up to {QUEUED} jobs queued", "flushall", forgets, lasts_s=5.0, job_s=1.0),
    PeerFault(
        f"restarted empty with up to {QUEUED} jobs queued", "restart-empty", restarted_empty, lasts_s=5.0, job_s=1.0
    ),
)
