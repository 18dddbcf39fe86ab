"""The actors: plain functions, registered on a broker that is built at start."""

from collections.abc import Callable
from typing import Any, Final

import dramatiq
from loguru import logger

from shared.core.runs import RunReady
from shared.messaging.broker import LinkBroker
from shared.messaging.message import ACTOR, QUEUE, decode
from shared.observability import events

# A run that may be held no longer is taken back by the ledger; only then is a thread that never ends freed by force.
TIME_LIMIT_MARGIN_S: Final = 60.0


def collect_run(on_hint: Callable[[RunReady], None], **facts: Any) -> None:
    """Collect the run that a message names. A message that names none is dropped."""
    try:
        ready = decode(facts)
    except ValueError as error:
        logger.bind(event=events.CONSUMER_DROPPED, error=str(error)).error(
            "A message that Holdfast did not write was dropped"
        )
        return
    on_hint(ready)


def register(broker: LinkBroker, on_hint: Callable[[RunReady], None], *, run_max_s: float) -> None:
    """Have `broker`'s worker threads run the actors."""

    def collect(**facts: Any) -> None:
        collect_run(on_hint, **facts)

    time_limit_ms = int((run_max_s + TIME_LIMIT_MARGIN_S) * 1000)
    dramatiq.actor(broker=broker, actor_name=ACTOR, queue_name=QUEUE, time_limit=time_limit_ms)(collect)
