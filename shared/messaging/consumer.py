"""A Dramatiq consumer that outlives every failure of Redis: it waits for the link, and is back when the link is."""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import redis
from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.common import compute_backoff
from dramatiq.errors import DecodeError
from loguru import logger

from shared.observability import events, failpoints
from shared.observability.failpoints import Point
from shared.observability.pulse import Pulse

if TYPE_CHECKING:
    from shared.messaging.broker import LinkBroker

# An idle consumer looks this often, so that a job starts within a quarter of a second of its enqueue.
IDLE_POLL_MS: Final = 200
# Short against the 15 s after which a silent consumer counts as stuck.
LINK_WAIT_S: Final = 1.0
FIRST_RETRY_S: Final = 0.02
RETRY_S: Final = 1.0
PAUSED_WAIT_S: Final = 0.1
# A link that is closed answers without waiting.
CLOSED_WAIT_S: Final = 0.05
GATHER_S: Final = 0.002


class LinkConsumer(Consumer):
    """One queue's messages. No method raises for anything Redis does; losing a hint is cheap, losing a thread is not.

    Acknowledgements that could not be sent are kept and sent when the link is back.
    """

    def __init__(self, broker: "LinkBroker", queue: str, prefetch: int, pulse: Pulse) -> None:
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._pulse = pulse
        self._cache: deque[bytes | None] = deque()
        self._held: set[str] = set()
        self._owed: deque[tuple[str, str]] = deque()
        self._done = Event()
        self._misses = 0
        self._refused = False
        self._failures = 0

    def __next__(self) -> MessageProxy | None:
        self._pulse.beat()
        if self._broker.paused:
            self._give_back()
            if self._connected():
                self._broker.rest(PAUSED_WAIT_S)
            return None
        if not self._cache and not self._refill():
            return None
        return self._deliver()

    def ack(self, message: MessageProxy) -> None:
        """Remove a processed message from the queue, now or when the link is back."""
        self._settle("ack", message)

    def nack(self, message: MessageProxy) -> None:
        """Move a message that no actor can take among the dead ones, now or when the link is back."""
        self._settle("nack", message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give messages back for others; when Redis is away the ledger sends their hints again anyway."""
        ids = [str(message.options["redis_message_id"]) for message in messages]
        self._held.difference_update(ids)
        if ids and self._broker.link.is_available():
            with suppress(redis.RedisError):  # as when it is away
                failpoints.reached(Point.REQUEUE_BEFORE)
                self._broker.call("requeue", self._queue, *ids)
                failpoints.reached(Point.REQUEUE_AFTER)

    def _refill(self) -> bool:
        """Fetch what there is room for; False after a wait when nothing came."""
        if not self._connected():
            return False
        try:
            with self._pulse.outside():
                self._pay()
                self._fetch()
        except redis.RedisError as error:
            self._on_failure(error)
            return False
        self._refused, self._failures = False, 0
        if self._cache:
            self._misses = 0
            return True
        self._misses, wait_ms = compute_backoff(self._misses, max_backoff=IDLE_POLL_MS)
        self._broker.rest(wait_ms / 1000)
        return False

    def _connected(self) -> bool:
        """Whether the link is, or is so within a second."""
        if self._broker.link.wait_connected(LINK_WAIT_S):
            return True
        self._broker.rest(CLOSED_WAIT_S)
        return False

    def _fetch(self) -> None:
        """Take what there is room for. Without room, wait for a thread to finish first."""
        self._done.clear()
        if len(self._held) >= self._prefetch and self._done.wait(IDLE_POLL_MS / 1000):
            # Threads mostly finish close together: one fetch for all of them.
            self._broker.rest(GATHER_S)
        room = self._prefetch - len(self._held)
        if room > 0:
            self._cache.extend(self._broker.call("fetch", self._queue, room))

    def _on_failure(self, error: redis.RedisError) -> None:
        """Wait a little. What the server itself answers is told once; a lost connection is the link's to report."""
        if isinstance(error, redis.ResponseError) and not self._refused:
            self._refused = True
            logger.bind(event=events.CONSUMER_FAILED, queue=self._queue, error=type(error).__name__).warning(
                "Redis refuses to serve the queue; the worker keeps asking"
            )
        # Short at first: the link has mostly noticed by the next turn, and then it is the link that is waited for.
        self._failures += 1
        self._broker.rest(min(FIRST_RETRY_S * 2 ** min(self._failures - 1, 16), RETRY_S))

    def _deliver(self) -> MessageProxy | None:
        data = self._cache.popleft()
        if data is None:
            return None  # Redis lost the message and kept its id: the ledger sends the hint again
        message = decoded(data, self._queue)
        if message is None:
            logger.bind(event=events.CONSUMER_DROPPED, queue=self._queue, size_bytes=len(data)).error(
                "A message that Holdfast did not write was dropped"
            )
            return None
        self._held.add(str(message.options["redis_message_id"]))
        return MessageProxy(message)

    def _give_back(self) -> None:
        waiting = [decoded(data, self._queue) for data in self._cache if data is not None]
        self._cache.clear()
        self.requeue(MessageProxy(message) for message in waiting if message is not None)

    def _settle(self, command: str, message: MessageProxy) -> None:
        message_id = str(message.options["redis_message_id"])
        self._held.discard(message_id)
        self._done.set()
        try:
            failpoints.reached(Point.ACK_BEFORE)
            self._broker.call(command, self._queue, message_id)
            failpoints.reached(Point.ACK_AFTER)
        except redis.RedisError:
            self._owed.append((command, message_id))

    def _pay(self) -> None:
        """Send the acknowledgements an outage held up. Raises what Redis raises, with the rest still owed."""
        while self._owed:
            command, message_id = self._owed[0]
            self._broker.call(command, self._queue, message_id)
            self._owed.popleft()


def decoded(data: bytes, queue: str) -> Message[Any] | None:
    """The message in `data`, None when nothing Holdfast runs can have written it.

    Dramatiq's threads index by the queue's name and by the Redis id, and hold back whatever has an eta: a message
    that breaks these expectations would end a thread.
    """
    try:
        message = Message.decode(data)
        usable = "redis_message_id" in message.options and "eta" not in message.options
    except (DecodeError, TypeError):
        return None
    return message if usable and message.queue_name == queue else None
