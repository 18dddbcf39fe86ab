"""When the daily collection fires, and which days a catch-up may take. Pure.

A fire belongs to a nominal local time, its slot. Every slot fires exactly once, whatever the zone's clock does: one
that the clock skips fires when the clock has skipped, one that comes twice fires the first time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Final, Self
from zoneinfo import ZoneInfo

from shared.core.crontab import Crontab
from shared.core.days import DayRange, last_complete_day

RESOLUTION: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Fire:
    """One fire: `slot` as the ledger keeps it, such as "2026-10-25T02:00", and the instant (UTC) when it is due."""

    slot: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Timetable:
    """A crontab line in a time zone."""

    crontab: Crontab
    zone: ZoneInfo

    @classmethod
    def of(cls, line: str, zone: str) -> Self:
        """Raises ValueError when `line` is no crontab line, ZoneInfoNotFoundError when there is no such zone."""
        return cls(Crontab.parse(line), ZoneInfo(zone))

    def fires_after(self, after: datetime) -> Iterator[Fire]:
        """Give every fire later than the instant `after`, without end. Instants never go back, but may repeat."""
        slot = self.crontab.after(self._local(after))
        while instant(slot, self.zone) <= after:
            slot = self.crontab.after(slot)
        while True:
            yield self._fire(slot)
            slot = self.crontab.after(slot)

    def between(self, after: datetime, until: datetime) -> list[Fire]:
        """Give the fires later than `after` and not later than `until`."""
        return list(takewhile(lambda fire: fire.at <= until, self.fires_after(after)))

    def next(self, after: datetime) -> Fire:
        """Give the first fire later than `after`."""
        return next(self.fires_after(after))

    def last(self, until: datetime) -> Fire:
        """Give the newest fire that is not later than `until`."""
        slot = self.crontab.at_or_before(self._local(until))
        # In the second pass of an hour that comes twice, slots of later minutes have fired in the first.
        while instant(later := self.crontab.after(slot), self.zone) <= until:
            slot = later
        return self._fire(slot)

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _fire(self, slot: datetime) -> Fire:
        return Fire(slot.isoformat(timespec="minutes"), instant(slot, self.zone))


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """When `local` (naive) is due: its first occurrence, or the end of the gap that swallows it. UTC."""
    before = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if before.astimezone(zone).replace(tzinfo=None) == local:
        return before
    # In a gap, fold=0 reads the clock before the change (so it lies after it), and fold=1 the other way round.
    return _change(zone, after=local.replace(tzinfo=zone, fold=1).astimezone(UTC), until=before)


def catchup_days(timetable: Timetable, *, started_at: datetime, now: datetime, lookback: int) -> DayRange:
    """Which days a catch-up may take: `lookback` of them, at `now`, in a process that started at `started_at`.

    Days that had ended by then are taken at once. A later one is left to the first fire after its end, which collects
    it with its window; only when that fire has passed and the day is still missing is it the catch-up's. A clock that
    was ahead at the start and has been set right since makes no day of the future.
    """
    end: date = max(last_complete_day(min(started_at, now)), last_complete_day(timetable.last(now).at))
    return DayRange(end - timedelta(days=lookback - 1), end)


def _change(zone: ZoneInfo, *, after: datetime, until: datetime) -> datetime:
    """Find the instant in (`after`, `until`] at which the zone's clock changes."""
    offset = after.astimezone(zone).utcoffset()
    while until - after > RESOLUTION:
        middle = after + (until - after) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            until = middle
    return until.replace(microsecond=0)
