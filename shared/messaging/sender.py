"""Sending hints: what certainly did not arrive is told apart from what may have."""

from collections.abc import Sequence
from typing import Final

import redis

from shared.core.errors import RedisUnavailableError, SendRefusedError, SendUncertainError
from shared.core.runs import RunReady
from shared.messaging.broker import Link, build_broker
from shared.messaging.message import encode
from shared.observability import failpoints
from shared.observability.failpoints import Point

# One round trip each. More gain little, and would all be in doubt when the answers do not come.
BATCH: Final = 100


class DramatiqSender:
    """The ledger's sender. Building it touches no Redis."""

    def __init__(self, link: Link, *, namespace: str) -> None:
        self._broker = build_broker(link, namespace=namespace)

    def send(self, messages: Sequence[RunReady]) -> None:
        """Enqueue all, in order. Raises SendRefusedError or SendUncertainError at the first that fails."""
        for sent in range(0, len(messages), BATCH):
            self._send(messages[sent : sent + BATCH], sent)

    def _send(self, batch: Sequence[RunReady], sent: int) -> None:
        failpoints.reached(Point.SEND_BEFORE)
        try:
            answers = self._broker.enqueue_all([encode(ready) for ready in batch])
        except redis.RedisError as error:
            raise send_error(error, sent=sent, tried=len(batch)) from error
        failpoints.reached(Point.SEND_AFTER)
        for number, answer in enumerate(answers, start=sent):
            if answer is not None:
                raise send_error(answer, sent=number) from answer


def send_error(error: redis.RedisError, *, sent: int, tried: int = 1) -> SendRefusedError | SendUncertainError:
    """What a failed enqueue means for the `tried` messages after the first `sent`.

    Refused: the link had nothing connected, or the server answered with an error, and Redis runs the script that
    enqueues as a whole or not at all. Anything else may have arrived.
    """
    never_sent = isinstance(error, RedisUnavailableError) and not error.sent
    if never_sent or isinstance(error, (redis.ResponseError, redis.exceptions.MaxConnectionsError)):
        return SendRefusedError(summary=str(error), sent=sent)
    return SendUncertainError(summary=str(error), sent=sent, uncertain=tried)
