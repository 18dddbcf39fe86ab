"""The dead-letter queue of Dramatiq: where it sets aside messages that its actor could not take.

Here they are of no use to anybody: each was a hint, and its run stands in the ledger, which sends another. Left alone
they would stay in Redis for a week.
"""

from shared.messaging.broker import Link
from shared.messaging.message import QUEUE, queue_namespace


def remove_dead(link: Link, *, namespace: str) -> int:
    """Empty the dead-letter queue in one transaction; returns how many messages were in it. Raises redis.RedisError."""
    keys = f"{queue_namespace(namespace)}:{QUEUE}.XQ"
    # Asked first: the small look costs a replica nothing, and mostly that is all.
    if not link.client.exists(keys, f"{keys}.msgs"):
        return 0
    pipeline = link.client.pipeline(transaction=True)
    pipeline.zcard(keys)
    pipeline.unlink(keys, f"{keys}.msgs")
    dead, _ = pipeline.execute()
    return int(dead)
