"""Sending hints: what certainly did not arrive is told apart from what may have."""

from collections.abc import Sequence

import redis

from shared.core.errors import RedisUnavailableError, SendRefusedError, SendUncertainError
from shared.core.runs import RunReady
from shared.messaging.broker import Link, build_broker
from shared.messaging.message import encode
from shared.observability import failpoints
from shared.observability.failpoints import Point


class DramatiqSender:
    """The ledger's sender. Building it touches no Redis."""

    def __init__(self, link: Link, *, namespace: str) -> None:
        self._broker = build_broker(link, namespace=namespace)

    def send(self, messages: Sequence[RunReady]) -> None:
        """Enqueue all, in order. Raises SendRefusedError or SendUncertainError at the first that fails."""
        for sent, ready in enumerate(messages):
            try:
                failpoints.reached(Point.SEND_BEFORE)
                self._broker.enqueue(encode(ready))
                failpoints.reached(Point.SEND_AFTER)
            except redis.RedisError as error:
                raise send_error(error, sent=sent) from error


def send_error(error: redis.RedisError, *, sent: int) -> SendRefusedError | SendUncertainError:
    """What a failed enqueue means for the message after the first `sent`.

    Refused: the link had nothing connected, or the server answered with an error, and Redis runs the script that
    enqueues as a whole or not at all. Anything else may have arrived.
    """
    never_sent = isinstance(error, RedisUnavailableError) and not error.sent
    if never_sent or isinstance(error, (redis.ResponseError, redis.exceptions.MaxConnectionsError)):
        return SendRefusedError(summary=str(error), sent=sent)
    return SendUncertainError(summary=str(error), sent=sent)
