"""How a long past becomes runs, and what several fetches take in all."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.core.backfill import runs_of, span_of, sum_of
from shared.core.costs import Price
from shared.core.days import DayRange

days = st.sets(st.dates(date(2024, 1, 1), date(2026, 12, 31)), max_size=200)


def test_a_quarter_is_three_months_newest_first():
    quarter = DayRange(date(2026, 1, 15), date(2026, 3, 10))
    assert runs_of(quarter) == [
        DayRange(date(2026, 3, 1), date(2026, 3, 10)),
        DayRange(date(2026, 2, 1), date(2026, 2, 28)),
        DayRange(date(2026, 1, 15), date(2026, 1, 31)),
    ]


def test_a_day_in_the_middle_that_is_there_parts_a_month():
    march = [day for day in DayRange(date(2026, 3, 1), date(2026, 3, 31)) if day.day != 10]
    assert [len(found) for found in runs_of(march)] == [21, 9]


def test_no_days_are_no_runs():
    assert runs_of([]) == []


@given(days)
def test_runs_hold_exactly_the_days_each_once_and_in_one_month(wanted):
    found = runs_of(wanted)
    listed = [day for each in found for day in each]
    assert sorted(listed) == sorted(wanted)
    assert all((each.start.year, each.start.month) == (each.end.year, each.end.month) for each in found)
    assert found == sorted(found, reverse=True)
    # None could be joined with its neighbour but across the end of a month.
    for later, earlier in pairwise(found):
        assert later.start - earlier.end > timedelta(days=1) or later.start.day == 1


ONE = Price(requests=(1, 3), usd=(Decimal("0.01"), Decimal("0.03")))
TWO = Price(requests=(2, 2), usd=(Decimal("0.02"), Decimal("0.02")))


def test_prices_add_up_exactly():
    assert sum_of([ONE, TWO, ONE]) == Price(requests=(4, 8), usd=(Decimal("0.04"), Decimal("0.08")))
    assert sum_of([]) == Price()


def test_one_of_several_prices_is_at_least_the_lowest_and_at_most_the_highest():
    assert span_of([ONE, TWO]) == Price(requests=(1, 3), usd=(Decimal("0.01"), Decimal("0.03")))
