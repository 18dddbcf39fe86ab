import itertools
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.crontab import Crontab

NOON = datetime.fromisoformat("2026-07-15T12:00")  # a Wednesday


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def upcoming(line: str, count: int, after: datetime = NOON) -> list[str]:
    crontab = Crontab.parse(line)
    found = []
    for _ in range(count):
        after = crontab.after(after)
        found.append(after.isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 2 * * *", ["2026-07-16T02:00", "2026-07-17T02:00"]),
        ("30 1,13 * * *", ["2026-07-15T13:30", "2026-07-16T01:30"]),
        ("*/20 12 * * *", ["2026-07-15T12:20", "2026-07-15T12:40", "2026-07-16T12:00"]),
        ("5/25 12 * * *", ["2026-07-15T12:05", "2026-07-15T12:30", "2026-07-15T12:55"]),
        ("0 9-17/4 * * *", ["2026-07-15T13:00", "2026-07-15T17:00", "2026-07-16T09:00"]),
        ("0 0 1 * *", ["2026-08-01T00:00", "2026-09-01T00:00"]),
        ("0 0 31 * *", ["2026-07-31T00:00", "2026-08-31T00:00", "2026-10-31T00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 1 jan,JUL *", ["2027-01-01T00:00", "2027-07-01T00:00"]),
    ],
)
def test_a_line_matches_the_minutes_it_names(line, expected):
    assert upcoming(line, len(expected)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 0 * * 0", ["2026-07-19", "2026-07-26"]),
        ("0 0 * * 7", ["2026-07-19", "2026-07-26"]),
        ("0 0 * * sun", ["2026-07-19", "2026-07-26"]),
        ("0 0 * * 1-5", ["2026-07-16", "2026-07-17", "2026-07-20", "2026-07-21"]),
        ("0 0 * * Mon-Fri", ["2026-07-16", "2026-07-17", "2026-07-20"]),
        ("0 0 * * 0-6", ["2026-07-16", "2026-07-17", "2026-07-18", "2026-07-19", "2026-07-20"]),
        ("0 0 * * fri-sun", ["2026-07-17", "2026-07-18", "2026-07-19", "2026-07-24"]),
        ("0 0 * * */3", ["2026-07-18", "2026-07-19", "2026-07-22"]),
        ("0 0 * * 1/2", ["2026-07-17", "2026-07-20", "2026-07-22"]),
        ("0 0 * * 0-0", ["2026-07-19", "2026-07-26"]),
    ],
)
def test_weekdays_are_numbered_from_sunday(line, expected):
    assert [found[:10] for found in upcoming(line, len(expected))] == expected


def test_restricting_both_days_matches_either_as_crontab_does():
    assert upcoming("0 0 20 * 1", 3) == ["2026-07-20T00:00", "2026-07-27T00:00", "2026-08-03T00:00"]
    assert "2026-08-20T00:00" in upcoming("0 0 20 * 1", 12)


def test_a_star_with_a_step_restricts_as_both():
    assert upcoming("0 0 */10 * 1", 2) == ["2026-08-31T00:00", "2026-09-21T00:00"]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-07-15T02:00", "2026-07-15T02:00"),
        ("2026-07-15T01:59:59", "2026-07-14T02:00"),
        ("2026-07-15T02:00:01", "2026-07-15T02:00"),
        ("2026-07-15T23:00", "2026-07-15T02:00"),
    ],
)
def test_the_last_match_may_be_this_very_minute(moment, expected):
    assert Crontab.parse("0 2 * * *").at_or_before(at(moment)) == at(expected)


def test_the_next_match_is_always_later():
    assert Crontab.parse("0 2 * * *").after(at("2026-07-15T02:00")) == at("2026-07-16T02:00")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 2 * *", "4 fields instead of five"),
        ("", "0 fields"),
        ("60 2 * * *", "minute: '60' does not lie in 0-59"),
        ("0 24 * * *", "hour: '24'"),
        ("0 2 0 * *", "day of the month: '0'"),
        ("0 2 * 13 *", "month: '13'"),
        ("0 2 * * 8", "weekday: '8'"),
        ("0 2 * * funday", "weekday: 'funday' is not a number or a name"),
        ("x 2 * * *", "minute: 'x' is not a number$"),
        ("0 5-2 * * *", "hour: '5-2'"),
        ("*/0 2 * * *", "minute: the step of '\\*/0' must be 1 or more"),
        ("*/ 2 * * *", "minute: '' is not a number"),
        ("0, 2 * * *", "minute: '' is not a number"),
        ("-1 2 * * *", "minute"),
        ("² 2 * * *", "minute"),
        ("0 2 30 2 *", "^no such day ever comes$"),
        # It comes, but may be 28 years away.
        ("0 0 29 2 */3", "^no such day ever comes$"),
        ("@daily", "1 fields"),
    ],
)
def test_a_line_that_is_none_names_the_field(line, words):
    with pytest.raises(ValueError, match=words):
        Crontab.parse(line)


def test_no_line_makes_it_crash_with_anything_else():
    for parts in itertools.product(("*", "*/", "-", ",", "1-", "/2", "**", "1/1/1"), repeat=2):
        line = f"{parts[0]} {parts[1]} * * *"
        try:
            Crontab.parse(line)
        except ValueError:
            continue


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    single = st.integers(low, high).map(str)
    pair = st.lists(st.integers(low, high), min_size=2, max_size=2, unique=True).map(sorted)
    span = pair.map(lambda ends: f"{ends[0]}-{ends[1]}")
    # The other one refuses a step longer than its span.
    stepped = pair.flatmap(
        lambda ends: st.integers(1, ends[1] - ends[0]).map(lambda step: f"{ends[0]}-{ends[1]}/{step}")
    )
    return st.one_of(st.just("*"), st.lists(st.one_of(single, span, stepped), min_size=1, max_size=3).map(",".join))


moments = st.datetimes(at("2000-01-01"), at("2100-01-01"))
lines = st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 28), numbers(1, 12), st.just("*")).map(" ".join)


@settings(max_examples=100, deadline=None)
@given(lines, moments)
def test_where_both_read_a_line_alike_it_agrees_with_another_implementation(line, moment):
    theirs = CronTrigger.from_crontab(line, timezone=UTC)
    after = moment.replace(tzinfo=UTC, second=0, microsecond=0)

    expected = theirs.get_next_fire_time(None, after + timedelta(minutes=1))

    assert Crontab.parse(line).after(after.replace(tzinfo=None)) == expected.replace(tzinfo=None)


@settings(max_examples=100, deadline=None)
@given(lines, moments)
def test_no_match_lies_between_the_last_and_the_next(line, moment):
    crontab = Crontab.parse(line)
    last, following = crontab.at_or_before(moment), crontab.after(moment)

    assert last <= moment < following
    assert crontab.after(last) == following
