"""Dramatiq's Redis broker on the resilient link: its commands fail fast, its consumers never die of Redis."""

from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any, Protocol

import redis
from dramatiq import Message, Middleware
from dramatiq.brokers.redis import RedisBroker

from shared.messaging.consumer import LinkConsumer
from shared.messaging.message import queue_namespace
from shared.observability.pulse import Pulse


class Link(Protocol):
    """What messaging needs of the Redis link."""

    @property
    def client(self) -> redis.Redis:
        """Valid for life; raises RedisUnavailableError at once while not connected."""

    def is_available(self) -> bool:
        """Whether the link is connected, without I/O."""

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until it is; False when it is not in time, or is closed."""


class LinkBroker(RedisBroker):
    """A broker whose client is the link's. Building it touches no Redis; nothing but `call` and `enqueue` does.

    There are no delayed messages here: when a run may be tried again stands in the ledger, where no outage loses it.
    """

    def __init__(self, link: Link, *, namespace: str, middleware: Sequence[Middleware]) -> None:
        super().__init__(  # type: ignore[no-untyped-call] # Dramatiq types this class loosely
            client=link.client, namespace=queue_namespace(namespace), middleware=list(middleware)
        )
        self.link = link
        self._pulses: dict[str, Pulse] = {}
        self._pauses: set[str] = set()
        self._closed = Event()

    @property
    def paused(self) -> bool:
        """Whether consumers take nothing new."""
        return bool(self._pauses)

    @property
    def pulses(self) -> Mapping[str, Pulse]:
        """The sign of life of each queue's consumer."""
        return dict(self._pulses)

    def pause(self, reason: str) -> None:
        """Have consumers take nothing new, and give back what no thread has yet, until each reason is gone."""
        self._pauses.add(reason)

    def resume(self, reason: str) -> None:
        """This reason is gone."""
        self._pauses.discard(reason)

    def close(self) -> None:
        """End the waits of all consumers. Safe to call twice."""
        self._closed.set()

    def rest(self, wait_s: float) -> None:
        """Wait, unless the broker is closed."""
        self._closed.wait(wait_s)

    def call(self, command: str, queue: str, *arguments: object) -> Any:
        """Run one of Dramatiq's commands. Raises redis.RedisError."""
        return self._dispatch(command)(queue, *arguments)  # type: ignore[no-untyped-call] # as in __init__

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue without its delay queue."""
        if queue_name in self.queues:
            return
        self.emit_before("declare_queue", queue_name)
        self.queues.add(queue_name)
        self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 0) -> LinkConsumer:  # noqa: ARG002 - Dramatiq's
        """A consumer of the queue; how long it idles is its own affair."""
        return LinkConsumer(self, queue_name, prefetch, self._pulses.setdefault(queue_name, Pulse()))

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message now. Raises redis.RedisError, and ValueError for a delay: the ledger keeps times."""
        if delay is not None:
            raise ValueError("messages are not delayed: a run's not_before stands in the ledger")
        return super().enqueue(message)


def build_broker(link: Link, *, namespace: str, middleware: Sequence[Middleware] = ()) -> LinkBroker:
    """A broker for sending, or with a worker's `middleware` for consuming. Retries belong to the ledger: none here."""
    return LinkBroker(link, namespace=namespace, middleware=middleware)
