"""APScheduler as the clock of the daily job: it fires by our timetable, its loop beats, and no error ends it."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from loguru import logger

from scheduler.timetable import Timetable
from shared.observability import events
from shared.observability.metrics import UNEXPECTED_ERRORS
from shared.observability.pulse import Pulse

JOB_ID: Final = "daily-cost-collection"
JOB_NAME: Final = "Daily Cost Collection Job"
# The loop turns at least this often: for its sign of life, and so that a clock that was set is noticed.
TURN_S: Final = 2.0


class TimetableTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler ships no types
    """Fires whenever slots are due; slots of one instant are one fire."""

    def __init__(self, timetable: Timetable) -> None:
        self._timetable = timetable

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Give the first instant after the previous fire, or after now for the first one."""
        return self._timetable.next(previous_fire_time or now).at


class BeatingScheduler(BackgroundScheduler):  # type: ignore[misc] # as above
    """A background scheduler whose loop shows that it turns.

    The library's own ends for good at an error in a round, while it still calls itself running.
    """

    def __init__(self) -> None:
        super().__init__(timezone=UTC, executors={"default": ThreadPoolExecutor(1)}, daemon=True)
        # Its lines of progress say less than ours.
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self.pulse = Pulse()

    def _process_jobs(self) -> float:
        self.pulse.beat()
        try:
            wait_s = super()._process_jobs()
        except Exception:  # noqa: BLE001 - the loop must go on; this is counted and told
            UNEXPECTED_ERRORS.labels(where="apscheduler").inc()
            logger.bind(event=events.UNEXPECTED_ERROR).opt(exception=True).error("A round of the clock failed")
            return TURN_S
        return TURN_S if wait_s is None else min(float(wait_s), TURN_S)


class DailyClock:
    """Calls `fire` at each instant of the timetable, from the moment the job is registered."""

    def __init__(self, timetable: Timetable, fire: Callable[[], object]) -> None:
        self._timetable = timetable
        self._fire = fire
        self._scheduler: Any = BeatingScheduler()

    @property
    def pulse(self) -> Pulse:
        """The loop's sign of life."""
        return self._scheduler.pulse  # type: ignore[no-any-return] # untyped base class

    def start(self) -> None:
        """Start the loop, without a job."""
        self._scheduler.start()

    def register(self) -> None:
        """Add the job; adding it again changes nothing."""
        self._scheduler.add_job(
            self._fire,
            TimetableTrigger(self._timetable),
            id=JOB_ID,
            name=JOB_NAME,
            replace_existing=True,
            # Late is better than never, and once is enough: what was missed is the ledger's to know.
            misfire_grace_time=None,
            coalesce=True,
        )

    def stop(self) -> None:
        """End the loop without waiting for a fire under way. Safe to call twice, and before `start`."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
