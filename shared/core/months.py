"""Whole months, which providers go on restating for days after their end."""

from dataclasses import dataclass
from datetime import date, datetime

from shared.core.days import ONE_DAY, DayRange


@dataclass(frozen=True, slots=True)
class MonthAgain:
    """A month to be collected once more, by the fire of the local day `today` or whatever was planned before it.

    `due` is the local day of the month that asks for it. `known_by` is when the schedule first fired on or after it,
    None when that is now: accounts that came later have nothing to make up for.
    """

    days: DayRange
    due: date
    today: date
    known_by: datetime | None

    def __post_init__(self) -> None:
        if not self.days.end < self.due <= self.today:
            raise ValueError(f"a month is collected again after its end: {self.days.end}, {self.due}, {self.today}")

    @property
    def name(self) -> str:
        """As in 2026-10."""
        return f"{self.days.start:%Y-%m}"


def previous_month(today: date) -> DayRange:
    """The month before the one that `today` is in."""
    end = today.replace(day=1) - ONE_DAY
    return DayRange(end.replace(day=1), end)
