"""Whether Redis carries hints to this installation: connected, taking writes, and not another one's."""

import threading
from collections.abc import Callable
from typing import Final

import redis
from loguru import logger

from shared.core.errors import DatabaseUnavailableError
from shared.core.health import RedisHealth
from shared.messaging.broker import LinkBroker
from shared.observability import events
from shared.observability.pulse import Pulse

LOOK_S: Final = 5.0
# Until the first answer nothing is taken, so it is asked for more often.
FIRST_LOOK_S: Final = 0.25
PAUSE: Final = "marker"


class HintsWatch:
    """Reads whose marker Redis bears, at every connection and every few seconds. Building it pauses the broker.

    Consumers take hints once the marker is known not to be another installation's: they could not follow those hints,
    and the other one would miss them. `is_foreign` asks Redis and the ledger; it raises redis.RedisError and
    DatabaseUnavailableError.
    """

    def __init__(
        self, broker: LinkBroker, *, health: Callable[[], RedisHealth], is_foreign: Callable[[], bool]
    ) -> None:
        self._broker = broker
        self._broker.pause(PAUSE)
        self._health = health
        self._is_foreign = is_foreign
        self._foreign: bool | None = None
        self._look = threading.Event()
        self._stopped = threading.Event()
        self.pulse = Pulse()
        self.thread = threading.Thread(target=self._run, name="hints", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self.thread.start()

    def stop(self) -> None:
        """End, without waiting for the thread. Safe to call twice, and before `start`."""
        self._stopped.set()
        self._look.set()

    def changed(self, *_: object) -> None:
        """Look now: the connection has changed. Never blocks."""
        self._look.set()

    def usable(self) -> bool:
        """Whether hints can come through, from memory."""
        health = self._health()
        return health.status == "connected" and health.details.degraded is None and not self._foreign

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.pulse.beat()
            self._look.clear()
            if self._broker.link.is_available():
                with self.pulse.outside():
                    self._read_marker()
            unknown = self._foreign is None and self._broker.link.is_available()
            self._look.wait(FIRST_LOOK_S if unknown else LOOK_S)

    def _read_marker(self) -> None:
        try:
            foreign = self._is_foreign()
        except (redis.RedisError, DatabaseUnavailableError):
            return  # the link and the database's check tell of it; what was known last holds
        if foreign == self._foreign:
            return
        self._foreign = foreign
        if not foreign:
            self._broker.resume(PAUSE)
            return
        self._broker.pause(PAUSE)
        # Said once, so it must not be among the lines that are held back in an outage.
        logger.bind(event=events.DISPATCH_FOREIGN_MARKER, scope=events.SCOPE_RUN).error(
            "This Redis belongs to another installation, no hints are taken from it: give this one a REDIS_NAMESPACE "
            "of its own, or run 'holdfast ledger adopt' if its database was restored or replaced"
        )
