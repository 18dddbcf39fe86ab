"""Planning: the runs of each fire, and those that fill gaps. It needs the database alone."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from loguru import logger

from scheduler.months import month_again
from scheduler.timetable import Fire, Timetable, catchup_days
from shared.core.days import DayRange, last_complete_days
from shared.core.months import MonthAgain
from shared.core.runs import Run, RunKind
from shared.observability import events
from shared.observability.metrics import PLANNED

CATCHUP_INTERVAL_S: Final = 60.0


class Ledger(Protocol):
    """What planning does to the ledger. Each raises DatabaseUnavailableError."""

    def sync_accounts(self) -> None:
        """Take over the accounts file's list."""
        ...

    def plan_scheduled(self, slot: str, days: DayRange, again: MonthAgain | None) -> list[Run]:
        """Plan a fire's runs, once per slot, and those of a month that is collected again."""
        ...

    def plan_catchup(self, days: DayRange, fire: str) -> list[Run]:
        """Plan a run for each gap."""
        ...


@dataclass(frozen=True, slots=True)
class Clocks:
    """The wall clock (aware UTC), which says what is due, and a monotonic one for spans."""

    now: Callable[[], datetime]
    monotonic_s: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Span:
    """How many days a fire collects, and how many a catch-up looks back.

    On `restate_days` of each month a fire collects the whole previous month as well.
    """

    window_days: int
    lookback_days: int
    restate_days: tuple[int, ...] = ()


class Planner:
    """One thread calls `turn` about every second; the other methods only note what it is to do next."""

    def __init__(
        self, ledger: Ledger, timetable: Timetable, span: Span, *, clocks: Clocks, planned: Callable[[], object]
    ) -> None:
        self._ledger = ledger
        self._timetable = timetable
        self._span = span
        self._clocks = clocks
        self._planned = planned
        self._started_at = self._planned_until = clocks.now()
        self._next_catchup_s = clocks.monotonic_s()
        self._fired = threading.Event()
        self._catch_up = threading.Event()
        self._registered = threading.Event()

    def registered(self) -> None:
        """The daily job stands from now on. Fires since the start that it came too late for are made up for."""
        self._registered.set()
        self._fired.set()

    def fire(self) -> None:
        """The daily job fired."""
        self._fired.set()

    def catch_up(self) -> None:
        """Look for gaps with the next turn."""
        self._catch_up.set()

    def turn(self) -> None:
        """Plan what is due. Raises DatabaseUnavailableError; what was not planned is left for the next turn."""
        if self._clocks.monotonic_s() >= self._next_catchup_s:
            self._catch_up.set()
        if self._fired.is_set() or self._catch_up.is_set():
            self._plan_fires()
        if self._catch_up.is_set():
            self._plan_gaps()

    def _plan_fires(self) -> None:
        """Plan the newest fire that is due, before any gap is: its window fills most of them."""
        if not self._registered.is_set():
            return
        self._fired.clear()
        now = self._clocks.now()
        # A clock that was set back passes some fires again, or for the first time: the ledger knows which.
        self._planned_until = min(self._planned_until, now)
        due = newest(self._timetable.between(self._planned_until, now))
        try:
            for fire in due:
                self._plan_fire(fire)
        except Exception:
            self._fired.set()
            raise
        # Not before all of one instant are planned; planning one again does nothing.
        self._planned_until = due[-1].at if due else self._planned_until

    def _plan_fire(self, fire: Fire) -> None:
        days = last_complete_days(fire.at, self._span.window_days)
        again = month_again(self._timetable, fire, self._span.restate_days)
        self._ledger.sync_accounts()
        runs = self._ledger.plan_scheduled(fire.slot, days, again)
        months = [run for run in runs if run.slot != fire.slot]
        bound = logger.bind(event=events.SCHEDULE_FIRED, scope=events.SCOPE_RUN, slot=fire.slot)
        fired = bound.bind(runs=len(runs) - len(months), days=f"{days.start}/{days.end}")
        fired.info("Daily Cost Collection Job fired")
        if again is not None and months:
            bound = logger.bind(event=events.MONTH_PLANNED, scope=events.SCOPE_RUN, runs=len(months))
            bound.bind(days=f"{again.days.start}/{again.days.end}").info("The previous month is collected again")
        self._note(RunKind.SCHEDULED, runs)

    def _plan_gaps(self) -> None:
        self._catch_up.clear()
        now = self._clocks.now()
        days = catchup_days(self._timetable, started_at=self._started_at, now=now, lookback=self._span.lookback_days)
        try:
            self._ledger.sync_accounts()
            runs = self._ledger.plan_catchup(days, self._timetable.last(now).slot)
        except Exception:
            self._catch_up.set()
            raise
        self._next_catchup_s = self._clocks.monotonic_s() + CATCHUP_INTERVAL_S
        if runs:
            bound = logger.bind(event=events.CATCHUP_PLANNED, scope=events.SCOPE_RUN, runs=len(runs))
            bound.bind(days=f"{days.start}/{days.end}").info("Catch-up: Days are missing, their runs are planned")
        self._note(RunKind.CATCHUP, runs)

    def _note(self, kind: RunKind, runs: list[Run]) -> None:
        if runs:
            PLANNED.labels(kind=kind.value).inc(len(runs))
            self._planned()


def newest(due: list[Fire]) -> list[Fire]:
    """Of fires that are due together, those to plan: of the newest instant.

    After a time in which nothing could be planned (a database away, a computer asleep), one fire does for all of them:
    each collects the same window. Slots that a clock change moves to one instant are all planned.
    """
    return [fire for fire in due if fire.at == due[-1].at]
