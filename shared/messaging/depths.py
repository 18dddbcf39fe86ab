"""How much waits in each queue, asked of Redis."""

from dataclasses import dataclass

from shared.messaging.broker import Link
from shared.messaging.message import QUEUE, queue_namespace


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages waiting, delayed, and set aside because no actor could take them."""

    name: str
    depth: int
    delayed: int
    dead: int


def queue_depths(link: Link, *, namespace: str) -> list[QueueDepth]:
    """Every queue's depth, in one round trip. Raises RedisUnavailableError, or what Redis refuses with."""
    keys = f"{queue_namespace(namespace)}:{QUEUE}"
    pipeline = link.client.pipeline(transaction=False)
    pipeline.llen(keys)
    pipeline.llen(f"{keys}.DQ")
    pipeline.zcard(f"{keys}.XQ")
    depth, delayed, dead = pipeline.execute()
    return [QueueDepth(QUEUE, int(depth), int(delayed), int(dead))]
