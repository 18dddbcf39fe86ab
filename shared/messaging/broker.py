"""Dramatiq's Redis broker on the resilient link: its commands fail fast, its consumers never die of Redis."""

from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any, Protocol
from uuid import uuid4

import redis
from dramatiq import Message, Middleware
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis

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
    """A broker whose client is the link's. Building it touches no Redis: only what calls or enqueues does.

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

    def enqueue_all(self, messages: Sequence[Message[Any]]) -> list[redis.RedisError | None]:
        """Send messages in their order, in one round trip; what Redis answered to each, None for a success.

        Raises redis.RedisError when the answers did not come: then any of them may have arrived.
        """
        pipeline = self.link.client.pipeline(transaction=False)
        for message in messages:
            message_id = str(uuid4())
            stamped = message.copy(options={"redis_message_id": message_id})
            arguments: list[Any] = ["enqueue", current_millis(), message.queue_name, *self._fixed("enqueue")]
            arguments += [message_id, stamped.encode()]
            self.scripts["dispatch"](keys=[self.namespace], args=arguments, client=pipeline)
        answers = pipeline.execute(raise_on_error=False)
        return [answer if isinstance(answer, redis.RedisError) else None for answer in answers]

    def _fixed(self, command: str) -> tuple[object, ...]:
        """What Dramatiq hands to its script with every command."""
        ages = (self.heartbeat_timeout, self.dead_message_ttl)
        chores = (self._should_do_maintenance(command), self._max_unpack_size())  # type: ignore[no-untyped-call] # as in __init__
        return (self.broker_id, *ages, *chores)


def build_broker(link: Link, *, namespace: str, middleware: Sequence[Middleware] = ()) -> LinkBroker:
    """A broker for sending, or with a worker's `middleware` for consuming. Retries belong to the ledger: none here."""
    return LinkBroker(link, namespace=namespace, middleware=middleware)
