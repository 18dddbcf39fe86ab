from datetime import UTC, date, datetime

import pytest

from holdfast_cli.arguments import day, days, names, one_of
from shared.core.days import DayRange
from shared.core.errors import RequestError

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def asked(start: str | None = None, end: str | None = None, default_days: int = 7) -> DayRange:
    return days(start, end, now=NOW, default_days=default_days)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, DayRange(date(2026, 3, 3), date(2026, 3, 9))),
        ("2026-03-05", None, DayRange(date(2026, 3, 5), date(2026, 3, 9))),
        (None, "2026-03-05", DayRange(date(2026, 2, 27), date(2026, 3, 5))),
        ("2026-03-01", "2026-03-01", DayRange(date(2026, 3, 1), date(2026, 3, 1))),
        ("2026-03-10", None, DayRange(date(2026, 3, 10), date(2026, 3, 10))),
        ("2025-03-10", "2026-03-10", DayRange(date(2025, 3, 10), date(2026, 3, 10))),
    ],
)
def test_days_left_open_are_the_newest_complete_ones(start, end, expected) -> None:
    assert asked(start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2026-03-11", None, ["--start", "2026-03-11 lies in the future", "2026-03-10"]),
        (None, "2027-01-01", ["--end", "future"]),
        ("2026-03-05", "2026-03-04", ["--end", "2026-03-04 comes before --start 2026-03-05"]),
        ("2025-03-09", "2026-03-10", ["367 days", "at most 366"]),
        ("yesterday", None, ["--start", "'yesterday' is no day", "as in 2026-01-31"]),
    ],
)
def test_a_range_that_cannot_be_names_the_option_and_the_cure(start, end, words) -> None:
    with pytest.raises(RequestError) as caught:
        asked(start, end)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    "text", ["20260301", "2026-W10-1", "2026-02-30", "2026-3-1", "2026-03-01T00:00", "", "\uff12026-03-01"]
)
def test_a_day_has_one_spelling(text) -> None:
    with pytest.raises(RequestError):
        day(text, option="--start")


def test_the_first_day_there_is_has_no_default_days_before_it() -> None:
    assert asked(None, "0001-01-03", default_days=3).start == date(1, 1, 1)
    assert asked(None, "0001-01-03", default_days=30).start == date(1, 1, 1)


def test_names_keep_their_order() -> None:
    assert names("service, day", option="--group-by", known=["day", "service"]) == ("service", "day")


def test_a_name_given_twice_is_a_mistake() -> None:
    with pytest.raises(RequestError, match="twice"):
        names("day,day", option="--group-by", known=["day", "service"])


def test_an_unknown_name_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(RequestError, match=r"did you mean 'service'.*allowed: day, service"):
        names("day,servce", option="--group-by", known=["day", "service"])
    with pytest.raises(RequestError, match="--state: 'x' is not known; allowed: failed, queued"):
        one_of("x", option="--state", known=["queued", "failed"])
