"""Direct mode: while Redis cannot carry hints, due runs are claimed from the ledger itself."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loguru import logger

from shared.core.errors import DatabaseUnavailableError
from shared.observability import events, metrics
from shared.observability.pulse import Pulse
from workers.facts import Intake
from workers.holdings import Held

TURN_S: Final = 1.0
# After a look that found nothing due the next one comes this much later: a run that becomes due meanwhile waits for it.
IDLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Outage:
    """For how long hints have not come through: `since_s` is None while they do."""

    since_s: float | None

    def seen(self, *, usable: bool, now_s: float) -> "Outage":
        """What is known after another look."""
        if usable:
            return Outage(None)
        return self if self.since_s is not None else Outage(now_s)


def intake(outage: Outage, *, now_s: float, after_s: float) -> Intake:
    """Where runs are taken from; `after_s` 0 switches direct mode off."""
    if outage.since_s is None:
        return Intake.QUEUE
    return Intake.DIRECT if 0 < after_s <= now_s - outage.since_s else Intake.WAITING


class DirectMode:
    """One thread that looks every few seconds, and starts a thread for each run it claims, up to `limit` runs at work.

    `usable` tells whether Redis carries hints to us; `take_next` claims and holds a due run, and raises
    DatabaseUnavailableError; `work` collects it.
    """

    def __init__(
        self,
        *,
        usable: Callable[[], bool],
        take_next: Callable[[], Held | None],
        work: Callable[[Held], None],
        has_room: Callable[[], bool],
        after_s: float,
    ) -> None:
        self._usable = usable
        self._take_next = take_next
        self._work = work
        self._has_room = has_room
        self._after_s = after_s
        self._outage = Outage(time.monotonic())
        self._look_at_s = 0.0
        self._stopped = threading.Event()
        self.intake = Intake.WAITING
        self.pulse = Pulse()
        self.thread = threading.Thread(target=self._run, name="direct-mode", daemon=True)

    def start(self) -> None:
        """Begin looking."""
        self.thread.start()

    def stop(self) -> None:
        """Claim nothing more, without waiting for the thread. Safe to call twice, and before `start`."""
        self._stopped.set()

    def look(self, now_s: float) -> Intake:
        """Judge where runs come from now, and say so when that changes."""
        self._outage = self._outage.seen(usable=self._usable(), now_s=now_s)
        was, self.intake = self.intake, intake(self._outage, now_s=now_s, after_s=self._after_s)
        if self.intake is Intake.DIRECT is not was:
            logger.bind(event=events.DIRECT_MODE_ON, after_s=self._after_s).warning(
                "Direct mode: due runs are taken from the database, Redis has not been usable for long"
            )
        elif was is Intake.DIRECT is not self.intake:
            logger.bind(event=events.DIRECT_MODE_OFF).info("Direct mode ended: Redis carries the runs again")
        return self.intake

    def _run(self) -> None:
        while not self._stopped.wait(TURN_S):
            self.pulse.beat()
            try:
                with self.pulse.outside():
                    self._turn()
            except DatabaseUnavailableError:
                continue  # the database's own check tells of it
            except Exception as error:  # noqa: BLE001 - this thread must outlive a fault in one turn
                metrics.UNEXPECTED_ERRORS.labels(where="direct").inc()
                logger.bind(event=events.UNEXPECTED_ERROR).opt(exception=error).error("Unexpected error in direct mode")

    def _turn(self) -> None:
        while self.look(time.monotonic()) is Intake.DIRECT and self._has_room() and not self._stopped.is_set():
            if time.monotonic() < self._look_at_s:
                return
            held = self._take_next()
            if held is None:
                self._look_at_s = time.monotonic() + IDLE_S
                return
            name = f"direct-{held.claim.run.id}"
            threading.Thread(target=self._work, args=(held,), name=name, daemon=True).start()
