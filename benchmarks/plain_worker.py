"""The peer in `benchmarks.recovery`: a stock Dramatiq worker whose only job writes down when it ran."""

import os
import time
from pathlib import Path

import dramatiq
from dramatiq.brokers.redis import RedisBroker

NAMESPACE = "plain-peer"

broker = RedisBroker(  # type: ignore[no-untyped-call]  # Dramatiq leaves it untyped
    url=os.environ.get("PLAIN_REDIS_URL", "redis://localhost:6379/0"), namespace=NAMESPACE
)


@dramatiq.actor(broker=broker, max_retries=0)
def mark(folder: str, number: int) -> None:
    """Write the time of day into the file of this job."""
    partial = Path(folder, f"plain-{number}.partial")
    partial.write_text(str(time.time()))
    partial.rename(Path(folder, f"plain-{number}"))


def enqueue(redis_url: str, folder: Path, number: int) -> None:
    """Send job `number` from outside the worker, on a connection of its own."""
    sender = RedisBroker(url=redis_url, namespace=NAMESPACE)  # type: ignore[no-untyped-call]  # as above
    sender.declare_queue("default")
    sender.enqueue(mark.message(str(folder), number))
    sender.client.close()
    broker.close()
