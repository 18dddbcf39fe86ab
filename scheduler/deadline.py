"""The dead man's switch: once a day somebody is told of the accounts whose yesterday is not there by the deadline."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final, Protocol

from loguru import logger

from scheduler.timetable import Timetable
from shared.core.costs import CoverageState
from shared.core.days import last_complete_day
from shared.ledger.alerts import Alert, Look
from shared.ledger.documents import instant
from shared.observability import events
from shared.observability.metrics import ACCOUNTS_OVERDUE, ALERTS

# A process that starts after the deadline gives its catch-up a moment to begin. Less than the time between two looks.
SETTLE_S: Final = 4.0
# A line that names thousands helps nobody.
MOST_NAMES: Final = 20


class Ledger(Protocol):
    """What the switch asks of the ledger. Each raises DatabaseUnavailableError."""

    def now(self) -> datetime:
        """Give the database's time: a scheduler whose clock is wrong alerts nobody."""
        ...

    def look_for_overdue(self, day: date, *, post: bool) -> Look:
        """Raise an alert for each account that lacks `day`."""
        ...


def deadlines(time_of_day: str, zone: str) -> Timetable:
    """When the deadline is, day by day; "HH:MM" as the settings have checked it. The clock's changes cost no day."""
    hour, _, minute = time_of_day.partition(":")
    return Timetable.of(f"{int(minute)} {int(hour)} * * *", zone)


class DeadMansSwitch:
    """One thread calls `turn` every few seconds. `raised` is called when there is something new to send."""

    def __init__(
        self, ledger: Ledger, timetable: Timetable, *, clock: Callable[[], float], raised: Callable[[], object] | None
    ) -> None:
        self._ledger = ledger
        self._timetable = timetable
        self._clock = clock
        self._raised = raised
        self._began_s: float | None = None

    def turn(self) -> None:
        """Look once. Raises DatabaseUnavailableError."""
        at = self._timetable.last(self._ledger.now()).at
        if self._began_s is None:
            self._began_s = self._clock()
        if self._clock() - self._began_s < SETTLE_S:
            return
        day = last_complete_day(at)
        look = self._ledger.look_for_overdue(day, post=self._raised is not None)
        ACCOUNTS_OVERDUE.set(look.overdue)
        if look.raised:
            ALERTS.labels(outcome="raised").inc(len(look.raised))
            _tell(day, at, look)
            if self._raised:
                self._raised()


def document(alert: Alert, *, deadline: str, zone: str) -> dict[str, Any]:
    """What is posted. `text` alone is what chat services show."""
    return {
        "id": alert.key,
        "kind": alert.kind.value,
        "account": alert.account,
        "provider": alert.provider,
        "day": alert.day.isoformat(),
        "state": alert.state.value,
        "deadline": deadline,
        "timezone": zone,
        "raisedAt": instant(alert.raised_at),
        "attempt": alert.attempt,
        "error": None
        if alert.error is None
        else {"code": alert.error.code, "summary": alert.error.summary, "hint": alert.error.hint},
        "text": _sentence(alert, f"{deadline} {zone}"),
    }


def _sentence(alert: Alert, deadline: str) -> str:
    late = f"Holdfast: {alert.account} had no complete costs of {alert.day} by {deadline}"
    if alert.state in {CoverageState.COMPLETE, CoverageState.ESTIMATED}:
        return f"{late}. They are there now."
    return f"{late}: {alert.error.summary}" if alert.error else f"{late}."


def _tell(day: date, at: datetime, look: Look) -> None:
    names = list(look.raised[:MOST_NAMES])
    if len(look.raised) > MOST_NAMES:
        names.append(f"and {len(look.raised) - MOST_NAMES} more")
    bound = logger.bind(event=events.ALERT_RAISED, day=str(day), deadline=at.astimezone(UTC), accounts=names)
    bound.error(f"Deadline passed: Accounts without a complete {day}: {len(look.raised)}")
