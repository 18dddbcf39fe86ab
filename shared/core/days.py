"""Days of cost: UTC calendar days, since every provider bills by them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class DayRange:
    """The days from `start` to `end`, both inclusive. Raises ValueError when `end` comes first."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"a range of days cannot end ({self.end}) before it starts ({self.start})")

    def __len__(self) -> int:
        return (self.end - self.start).days + 1

    def __iter__(self) -> Iterator[date]:
        return (self.start + timedelta(days=offset) for offset in range(len(self)))

    def __contains__(self, day: date) -> bool:
        return self.start <= day <= self.end


def last_complete_day(now: datetime) -> date:
    """The newest day that has ended at `now` (aware)."""
    return now.astimezone(UTC).date() - ONE_DAY


def last_complete_days(now: datetime, count: int) -> DayRange:
    """The newest `count` (at least 1) days that have ended at `now` (aware)."""
    end = last_complete_day(now)
    return DayRange(end - timedelta(days=count - 1), end)


def contiguous(days: Iterable[date]) -> list[DayRange]:
    """`days`, in any order and with repeats, as the fewest ranges that hold exactly them."""
    ranges: list[DayRange] = []
    for day in sorted(set(days)):
        if ranges and day - ranges[-1].end == ONE_DAY:
            ranges[-1] = DayRange(ranges[-1].start, day)
        else:
            ranges.append(DayRange(day, day))
    return ranges
