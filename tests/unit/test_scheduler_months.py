"""On which fires the previous month is collected again, and who makes up for one that was missed."""

from datetime import UTC, date, datetime

import pytest

from scheduler.months import month_again
from scheduler.timetable import Timetable
from shared.core.days import ONE_DAY, DayRange
from shared.core.months import MonthAgain, previous_month

DAILY = "0 2 * * *"
RESTATE = (3, 5, 10)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def asked(slot: str, line: str = DAILY, zone: str = "UTC", days: tuple[int, ...] = RESTATE) -> MonthAgain | None:
    """What the fire of the local time `slot` asks for."""
    timetable = Timetable.of(line, zone)
    fires = timetable.fires_after(utc(f"{slot[:8]}01T00:00") - 2 * ONE_DAY)
    return month_again(timetable, next(fire for fire in fires if fire.slot == slot), days)


@pytest.mark.parametrize(
    ("today", "month"),
    [
        ("2026-03-01", "2026-02-01/2026-02-28"),
        ("2028-03-31", "2028-02-01/2028-02-29"),
        ("2026-01-10", "2025-12-01/2025-12-31"),
        ("2026-11-03", "2026-10-01/2026-10-31"),
    ],
)
def test_the_previous_month_is_a_whole_one(today: str, month: str):
    days = previous_month(date.fromisoformat(today))
    assert f"{days.start}/{days.end}" == month


@pytest.mark.parametrize(
    ("day", "due"),
    [(1, None), (2, None), (3, 3), (4, 3), (5, 5), (9, 5), (10, 10), (11, 10), (30, 10)],
)
def test_the_newest_restate_day_that_has_come_asks_until_the_month_ends(day: int, due: int | None):
    found = asked(f"2026-11-{day:02}T02:00")
    assert (found and found.due.day) == due
    assert found is None or found.days == DayRange(date(2026, 10, 1), date(2026, 10, 31))


@pytest.mark.parametrize(
    ("slot", "line", "known_by"),
    [
        ("2026-11-10T02:00", DAILY, None),
        ("2026-11-11T02:00", DAILY, "2026-11-10T02:00"),
        ("2026-11-10T18:00", "0 6,18 * * *", "2026-11-10T06:00"),
        # A weekly schedule: its first fire after the restate day is the one that was asked for.
        ("2026-11-16T02:00", "0 2 * * mon", None),
        ("2026-11-23T02:00", "0 2 * * mon", "2026-11-16T02:00"),
    ],
)
def test_only_accounts_known_by_the_first_fire_since_have_something_to_make_up_for(slot, line, known_by):
    found = asked(slot, line)
    assert found is not None
    assert found.known_by == (None if known_by is None else utc(known_by))


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin"])
def test_the_day_of_the_month_is_the_local_one(zone: str):
    assert asked("2026-11-02T23:00", "0 23 * * *", zone) is None
    found = asked("2026-11-03T23:00", "0 23 * * *", zone)
    assert found is not None
    assert found.known_by is None


def test_on_the_first_a_day_that_has_not_ended_is_left_out():
    found = asked("2026-11-01T02:00", zone="Asia/Tokyo", days=(1,))
    assert found is not None
    assert found.days == DayRange(date(2026, 10, 1), date(2026, 10, 30))


def test_a_fire_that_a_clock_change_moves_belongs_to_its_nominal_day():
    # In Berlin the clock skips 02:30 on 2026-03-29.
    found = asked("2026-03-29T02:30", "30 2 * * *", "Europe/Berlin", (29,))
    assert found is not None
    assert (found.today, found.known_by) == (date(2026, 3, 29), None)


def test_without_restate_days_no_month_is_collected_again():
    assert asked("2026-11-10T02:00", days=()) is None


@pytest.mark.parametrize("due", [date(2026, 11, 3), date(2026, 11, 30)])
def test_a_month_that_has_not_ended_cannot_be_asked_for(due: date):
    november = DayRange(date(2026, 11, 1), date(2026, 11, 30))
    with pytest.raises(ValueError, match="after its end"):
        MonthAgain(november, due, due, None)
