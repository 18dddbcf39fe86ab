"""Crontab lines, read as crontab(5) reads them, over nominal local time: no zone, no clock.

Weekday 0 and 7 are Sunday. Where both the day of the month and the weekday are restricted, either may match.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Self

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Between two 29ths of February lie at most eight years (1896 to 1904, 2096 to 2104).
HORIZON_DAYS: Final = 8 * 366
# The day after which it takes longest until every day of the calendar has come.
LONGEST_WAIT: Final = date(2096, 2, 29)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int]


FIELDS: Final = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    _Field("weekday", 0, 7, {name: number for number, name in enumerate(WEEKDAYS)}),
)


@dataclass(frozen=True, slots=True)
class Crontab:
    """The minutes that match a line. `either_day`: the day of the month or the weekday is enough."""

    times: tuple[time, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read five fields. Raises ValueError that names the field."""
        texts = line.split()
        if len(texts) != len(FIELDS):
            raise ValueError(f"{len(texts)} fields instead of five")
        minutes, hours, days, months, weekdays = (
            _values(text.lower(), field) for text, field in zip(texts, FIELDS, strict=True)
        )
        crontab = cls(
            times=tuple(time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)),
            days=days,
            months=months,
            weekdays=frozenset(number % 7 for number in weekdays),
            either_day=not (texts[2].startswith("*") or texts[4].startswith("*")),
        )
        try:
            crontab._day(LONGEST_WAIT, step=1)
        except StopIteration:
            raise ValueError("no such day ever comes") from None
        return crontab

    def after(self, moment: datetime) -> datetime:
        """Give the first match later than `moment` (naive)."""
        if self._matches_day(moment.date()):
            for found in self.times:
                if found > moment.time():
                    return datetime.combine(moment.date(), found)
        return datetime.combine(self._day(moment.date(), step=1), self.times[0])

    def at_or_before(self, moment: datetime) -> datetime:
        """Give the last match that is not later than `moment` (naive)."""
        if self._matches_day(moment.date()):
            for found in reversed(self.times):
                if found <= moment.time():
                    return datetime.combine(moment.date(), found)
        return datetime.combine(self._day(moment.date(), step=-1), self.times[-1])

    def _day(self, beside: date, *, step: int) -> date:
        """Give the nearest day after (`step` 1) or before (-1) `beside` that matches."""
        candidates = (beside + offset * timedelta(days=step) for offset in range(1, HORIZON_DAYS))
        return next(day for day in candidates if self._matches_day(day))

    def _matches_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week


def _values(text: str, field: _Field) -> frozenset[int]:
    return frozenset(value for part in text.split(",") for value in _part(part, field))


def _part(part: str, field: _Field) -> range:
    span, slash, step_text = part.partition("/")
    step = _number(step_text, field, {}) if slash else 1
    if step < 1:
        raise ValueError(f"{field.name}: the step of {part!r} must be 1 or more")
    low, high = _span(span, field, stepped=bool(slash))
    if not field.low <= low <= high <= field.high:
        raise ValueError(f"{field.name}: {part!r} does not lie in {field.low}-{field.high}")
    return range(low, high + 1, step)


def _span(span: str, field: _Field, *, stepped: bool) -> tuple[int, int]:
    # The seventh weekday is the first one again: a star must not count it twice when it steps.
    last = 6 if field.name == "weekday" else field.high
    if span == "*":
        return field.low, last
    first, dash, second = span.partition("-")
    low = _number(first, field, field.names)
    if not dash:
        return low, max(low, last) if stepped else low
    high = _number(second, field, field.names)
    # fri-sun: Sunday ends the week as well as it begins one.
    return low, 7 if field.name == "weekday" and high == 0 < low else high


def _number(text: str, field: _Field, names: Mapping[str, int]) -> int:
    if text in names:
        return names[text]
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{field.name}: {text!r} is not a number" + (" or a name" if names else ""))
    return int(text)
