import itertools
import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.days import DayRange, contiguous, last_complete_day, last_complete_days

FIRST = date(2026, 1, 1)


def test_a_range_holds_both_its_ends():
    days = DayRange(FIRST, date(2026, 1, 3))
    assert list(days) == [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
    assert len(days) == 3
    assert [date(2025, 12, 31) in days, FIRST in days, date(2026, 1, 3) in days, date(2026, 1, 4) in days] == [
        False,
        True,
        True,
        False,
    ]


def test_a_range_that_ends_before_it_starts_cannot_be_built():
    with pytest.raises(ValueError, match="cannot end"):
        DayRange(date(2026, 1, 2), FIRST)


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        (datetime(2026, 3, 1, 0, 0, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(2026, 3, 1, 23, 59, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(2026, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=2))), date(2026, 2, 27)),
    ],
)
def test_a_day_is_complete_when_it_has_ended_in_utc(now, newest):
    assert last_complete_day(now) == newest
    assert last_complete_days(now, 1) == DayRange(newest, newest)


def test_the_zone_of_the_machine_changes_nothing(monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert last_complete_day(datetime(2026, 3, 1, 20, tzinfo=UTC)) == date(2026, 2, 28)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_newest_seven_complete_days_end_yesterday():
    assert last_complete_days(datetime(2026, 3, 8, 12, tzinfo=UTC), 7) == DayRange(date(2026, 3, 1), date(2026, 3, 7))


@given(st.sets(st.integers(0, 60)))
def test_contiguous_ranges_hold_exactly_the_days_given_and_never_touch(offsets):
    days = {FIRST + timedelta(days=offset) for offset in offsets}
    ranges = contiguous(days)
    assert {day for found in ranges for day in found} == days
    assert all((after.start - before.end).days > 1 for before, after in itertools.pairwise(ranges))
