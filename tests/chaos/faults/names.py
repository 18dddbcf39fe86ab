"""The name in REDIS_URL: it does not resolve, the resolver hangs, it leads elsewhere."""

from collections.abc import Iterator

from tests.chaos.fault import HANG_S, Expect, Fault, closed, redis_says
from tests.chaos.rig import Rig
from tests.chaos.ways import BY_NAME
from tests.support.redis_server import RedisServer


def unknown(rig: Rig) -> Iterator[None]:
    rig.names.unknown()
    yield
    rig.names.leads_to("127.0.0.1")


def resolver_hangs(rig: Rig) -> Iterator[None]:
    rig.names.hangs()
    yield
    rig.names.leads_to("127.0.0.1")


def resolver_hangs_at_a_loss(rig: Rig) -> Iterator[None]:
    rig.names.hangs()
    rig.happens_now()
    rig.restart_redis(start=False)
    yield
    rig.redis.start()
    rig.names.leads_to("127.0.0.1")


def moves(rig: Rig) -> Iterator[None]:
    heir = rig.keep(RedisServer(rig.redis.port, host="127.0.0.2"))
    rig.happens_now()
    rig.restart_redis(start=False)
    yield
    rig.names.leads_to(heir.host)


def moves_from_a_frozen_one(rig: Rig) -> Iterator[None]:
    heir = rig.keep(RedisServer(rig.redis.port, host="127.0.0.2"))
    rig.happens_now()
    rig.redis.freeze()
    yield
    rig.names.leads_to(heir.host)


def moves_from_a_replica(rig: Rig) -> Iterator[None]:
    heir = rig.keep(RedisServer(rig.redis.port, host="127.0.0.2"))
    rig.happens_now()
    rig.admin.execute_command("REPLICAOF", heir.host, heir.port)
    yield
    rig.names.leads_to(heir.host)


FAULTS = (
    Fault(
        "name-unknown",
        "the name of Redis does not resolve when the processes start",
        unknown,
        Expect(redis_says("UNKNOWN_HOST"), None, strict=frozenset({503})),
        BY_NAME,
        at_start=True,
        spoils=True,
    ),
    Fault(
        "resolver-hangs",
        "the name service does not answer when the processes start",
        resolver_hangs,
        Expect(redis_says("NAME_TIMEOUT"), None, strict=frozenset({503})),
        BY_NAME,
        at_start=True,
        spoils=True,
    ),
    Fault(
        "resolver-hangs-at-loss",
        "the server is killed and the name service does not answer any more",
        resolver_hangs_at_a_loss,
        closed("NAME_TIMEOUT", "CONNECTION_REFUSED"),
        BY_NAME,
    ),
    Fault(
        "name-moves",
        "the server dies; its name then leads to another one, which is empty",
        moves,
        closed("CONNECTION_REFUSED"),
        BY_NAME,
        spoils=True,
    ),
    Fault(
        "name-moves-from-frozen",
        "the server is stopped where it stands; its name then leads to another one, which is empty",
        moves_from_a_frozen_one,
        Expect(redis_says("TIMEOUT"), HANG_S),
        BY_NAME,
        spoils=True,
    ),
    Fault(
        "name-moves-after-failover",
        "the server becomes the replica of another one; its name then leads to that one",
        moves_from_a_replica,
        Expect(redis_says("READONLY"), HANG_S),
        BY_NAME,
        spoils=True,
    ),
)
