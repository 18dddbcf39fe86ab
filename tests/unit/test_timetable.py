from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.timetable import Timetable, catchup_days, instant
from shared.core.crontab import Crontab
from shared.core.days import DayRange


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(line: str, zone: str, after: str, until: str) -> list[tuple[str, str]]:
    found = Timetable.of(line, zone).between(utc(after), utc(until))
    return [(fire.slot, fire.at.strftime("%dT%H:%M")) for fire in found]


def test_an_ordinary_day_fires_once_at_local_time():
    assert fires("0 2 * * *", "Europe/Berlin", "2026-07-15T12:00", "2026-07-17T12:00") == [
        ("2026-07-16T02:00", "16T00:00"),
        ("2026-07-17T02:00", "17T00:00"),
    ]


def test_several_fires_a_day_have_slots_of_their_own():
    assert [slot for slot, _ in fires("15 6,18 * * *", "UTC", "2026-07-15T00:00", "2026-07-16T00:00")] == [
        "2026-07-15T06:15",
        "2026-07-15T18:15",
    ]


def test_a_slot_that_the_clock_skips_fires_when_it_has_skipped():
    # On 2026-03-29 clocks go from 02:00 to 03:00, which is 01:00 UTC.
    assert fires("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-30T12:00") == [
        ("2026-03-29T02:30", "29T01:00"),
        ("2026-03-30T02:30", "30T00:30"),
    ]


def test_a_slot_that_comes_twice_fires_the_first_time_only():
    # On 2026-10-25 clocks go from 03:00 back to 02:00, which is 01:00 UTC.
    assert fires("0 2 * * *", "Europe/Berlin", "2026-10-24T12:00", "2026-10-26T12:00") == [
        ("2026-10-25T02:00", "25T00:00"),
        ("2026-10-26T02:00", "26T01:00"),
    ]


def test_half_hourly_slots_pass_the_skipped_hour_together():
    assert fires("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15", "2026-03-29T01:30") == [
        ("2026-03-29T01:30", "29T00:30"),
        ("2026-03-29T02:00", "29T01:00"),
        ("2026-03-29T02:30", "29T01:00"),
        ("2026-03-29T03:00", "29T01:00"),
        ("2026-03-29T03:30", "29T01:30"),
    ]


def test_half_hourly_slots_rest_during_the_second_pass():
    assert fires("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:15", "2026-10-25T02:00") == [
        ("2026-10-25T02:30", "25T00:30"),
        ("2026-10-25T03:00", "25T02:00"),
    ]


def test_seen_from_the_second_pass_later_minutes_of_the_hour_have_fired():
    # 02:10 for the second time: the clock will show 02:30 again, but that slot is over.
    timetable, second_pass = Timetable.of("30 2 * * *", "Europe/Berlin"), utc("2026-10-25T01:10")

    assert timetable.last(second_pass).slot == "2026-10-25T02:30"
    assert timetable.next(second_pass).slot == "2026-10-26T02:30"


def test_a_day_that_a_zone_left_out_still_fires():
    # Samoa had no 30 December 2011: it went from the 29th to the 31st at 10:00 UTC.
    assert fires("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00", "2012-01-01T00:00") == [
        ("2011-12-29T09:00", "29T19:00"),
        ("2011-12-30T09:00", "30T10:00"),
        ("2011-12-31T09:00", "30T19:00"),
        ("2012-01-01T09:00", "31T19:00"),
    ]


@pytest.mark.parametrize(
    ("until", "slot"),
    [
        ("2026-10-25T00:00", "2026-10-25T02:00"),
        ("2026-10-24T23:59:59", "2026-10-24T02:00"),
        ("2026-10-25T01:30", "2026-10-25T02:00"),
        ("2026-10-26T00:30", "2026-10-25T02:00"),
        ("2026-10-26T01:00", "2026-10-26T02:00"),
    ],
)
def test_the_newest_fire_holds_through_the_hour_that_comes_twice(until, slot):
    assert Timetable.of("0 2 * * *", "Europe/Berlin").last(utc(until)).slot == slot


DAILY = Timetable.of("0 2 * * *", "UTC")


@pytest.mark.parametrize(
    ("now", "started_at", "last_day"),
    [
        # At start every day that has ended, also before the first fire after its end.
        ("2026-07-15T01:00", "2026-07-15T01:00", date(2026, 7, 14)),
        ("2026-07-15T03:00", "2026-07-15T03:00", date(2026, 7, 14)),
        # A day that ends later is left alone until the fire.
        ("2026-07-16T00:00", "2026-07-15T01:00", date(2026, 7, 14)),
        ("2026-07-16T01:59:59", "2026-07-15T01:00", date(2026, 7, 14)),
        ("2026-07-16T02:00", "2026-07-15T01:00", date(2026, 7, 15)),
        ("2026-07-16T23:00", "2026-07-15T01:00", date(2026, 7, 15)),
        # However long it runs.
        ("2026-08-01T01:00", "2026-07-15T01:00", date(2026, 7, 30)),
    ],
)
def test_a_catch_up_leaves_a_new_day_to_its_fire(now, started_at, last_day):
    days = catchup_days(DAILY, started_at=utc(started_at), now=utc(now), lookback=30)

    assert days == DayRange(last_day - timedelta(days=29), last_day)


def test_a_fire_early_in_a_zone_ahead_of_utc_does_not_end_the_utc_day():
    berlin = Timetable.of("0 1 * * *", "Europe/Berlin")  # 23:00 UTC in summer: before the day of cost has ended

    days = catchup_days(berlin, started_at=utc("2026-07-10T12:00"), now=utc("2026-07-15T12:00"), lookback=1)

    assert days.end == date(2026, 7, 13)


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Sao_Paulo",  # changed at midnight
)
LINES = ("0 2 * * *", "30 2 * * *", "*/30 * * * *", "15 0,1,2,3 * * *", "0 0 * * *", "59 23 * * 0", "7 */3 1-7 * *")

zones = st.sampled_from(ZONES)
lines = st.sampled_from(LINES)
starts = st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2035-01-01")).map(
    lambda at: at.replace(tzinfo=UTC)
)


@settings(max_examples=100, deadline=None)
@given(lines, zones, starts, st.integers(1, 40))
def test_every_slot_fires_exactly_once_whatever_the_clock_does(line, zone, start, days):
    timetable, end = Timetable.of(line, zone), start + timedelta(days=days)
    found = timetable.between(start, end)

    slots = [datetime.fromisoformat(fire.slot) for fire in found]
    assert all(timetable.crontab.after(slot) == following for slot, following in pairwise(slots))
    assert all(one.at <= other.at for one, other in pairwise(found))
    assert all(start < fire.at <= end for fire in found)


@settings(max_examples=100, deadline=None)
@given(lines, zones, starts, st.integers(1, 72 * 60))
def test_looking_in_two_steps_finds_what_one_look_finds(line, zone, start, minutes):
    timetable, end = Timetable.of(line, zone), start + timedelta(days=4)
    middle = start + timedelta(minutes=minutes)

    assert timetable.between(start, middle) + timetable.between(middle, end) == timetable.between(start, end)


@settings(max_examples=100, deadline=None)
@given(lines, zones, starts)
def test_the_last_and_the_next_fire_enclose_the_moment(line, zone, start):
    timetable = Timetable.of(line, zone)
    last, following = timetable.last(start), timetable.next(start)

    assert last.at <= start < following.at
    assert timetable.between(last.at, start) == []


@settings(max_examples=150, deadline=None)
@given(st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2035-01-01")), zones)
def test_a_fire_is_due_at_its_local_time_or_at_the_end_of_the_gap(local, zone):
    local = local.replace(second=0, microsecond=0)
    due = instant(local, ZoneInfo(zone))

    shown = due.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    before = (due - timedelta(minutes=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert shown == local or before < local < shown


def test_a_line_that_is_none_is_refused():
    with pytest.raises(ValueError, match="five"):
        Timetable.of("0 2", "UTC")
    assert Timetable.of("0 2 * * *", "UTC").crontab == Crontab.parse("0 2 * * *")
