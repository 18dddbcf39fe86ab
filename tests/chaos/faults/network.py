"""The way to Redis: closed, silent, slow, or leading somewhere else."""

from collections.abc import Iterator

from tests.chaos.fault import CLOSED_S, HANG_S, Expect, Fault, Plant, closed, redis_says
from tests.chaos.rig import Rig
from tests.chaos.ways import DIRECT, NETWORK, PROXY
from tests.support import netns
from tests.support.proxy import Manner

TWO_MINUTES_S = 121.0
# What happens at the next answer happens at the next beat at the latest, half a second on.
BEAT_S = 0.5


def silent() -> Expect:
    """A connection on which nothing comes any more."""
    return Expect(redis_says("TIMEOUT", "CONNECT_TIMEOUT"), HANG_S)


def refused(rig: Rig) -> Iterator[None]:
    rig.restart_redis(start=False)
    yield
    rig.redis.start()


def frozen(rig: Rig) -> Iterator[None]:
    rig.redis.freeze()
    yield
    rig.redis.thaw()


def behaving(manner: Manner, **more: float) -> Plant:
    """The proxy in between does this with every byte."""

    def plant(rig: Rig) -> Iterator[None]:
        rig.proxy.behave(manner, **more)
        yield
        rig.proxy.behave(Manner.PASS)

    return plant


def packets_dropped(rig: Rig) -> Iterator[None]:
    rig.namespace.block(rig.redis.port)
    yield
    rig.namespace.unblock()


def packets_rejected(rig: Rig) -> Iterator[None]:
    rig.namespace.block(rig.redis.port, netns.REJECT)
    yield
    rig.namespace.unblock()


FAULTS = (
    Fault(
        "proxy-without-server",
        "redis-server is killed behind a proxy that goes on accepting, and closes at once",
        refused,
        closed("CONNECTION_CLOSED"),
        PROXY,
    ),
    Fault("trickle", "answers come one byte a second", behaving(Manner.TRICKLE), silent(), PROXY),
    Fault("latency", "every byte takes 2 s, each way", behaving(Manner.DELAY, delay_s=2.0), silent(), PROXY),
    Fault(
        "refused",
        "redis-server is killed, nothing listens any more",
        refused,
        closed("CONNECTION_REFUSED"),
        DIRECT,
        lasts_s=TWO_MINUTES_S,
    ),
    Fault("frozen", "redis-server is stopped where it stands (SIGSTOP)", frozen, silent(), DIRECT, TWO_MINUTES_S),
    Fault(
        "reset-in-command",
        "every connection is reset as soon as an answer is due on it, and so is every new one",
        behaving(Manner.RESET_ANSWERS),
        closed("CONNECTION_CLOSED", closed_s=BEAT_S + CLOSED_S),
        PROXY,
        short=True,
    ),
    Fault(
        "dropped-idle",
        "no byte passes any more, while nobody but the beats uses Redis",
        behaving(Manner.DROP),
        silent(),
        PROXY,
        idle=True,
    ),
    Fault(
        "dropped-in-command",
        "commands arrive, their answers do not",
        behaving(Manner.DROP_ANSWERS),
        silent(),
        PROXY,
        short=True,
    ),
    Fault(
        "packets-dropped",
        "a firewall drops every packet to the server",
        packets_dropped,
        Expect(redis_says("TIMEOUT", "CONNECT_TIMEOUT"), HANG_S),
        NETWORK,
        lasts_s=8.0,
        needs=(netns.missing,),
    ),
    Fault(
        "packets-rejected",
        "a firewall answers every packet to the server with a reset",
        packets_rejected,
        closed("CONNECTION_REFUSED", "CONNECTION_CLOSED", closed_s=BEAT_S + CLOSED_S),
        NETWORK,
        needs=(netns.missing,),
    ),
)
