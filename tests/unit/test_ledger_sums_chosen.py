"""Which sums answer a question: the smallest kind, and the fewest sums for a range."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.days import DayRange
from shared.ledger.sums import Kind, Span, Stretch, kind_for, last_day, stretches

days = st.dates(date(2019, 1, 1), date(2031, 12, 31))
ranges = st.tuples(days, st.integers(0, 365)).map(lambda given: DayRange(given[0], given[0] + timedelta(days=given[1])))


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (("day",), Kind.DAY),
        (("day", "service"), Kind.SERVICE),
        (("charge_category", "provider_name"), Kind.SERVICE),
        (("account_id", "day"), Kind.ACCOUNT),
        (("sub_account",), Kind.SUB_ACCOUNT),
        (("account_id", "sub_account"), Kind.SUB_ACCOUNT),
        (("account_id", "service"), None),
        (("sub_account", "service"), None),
    ],
)
def test_the_smallest_kind_that_tells_the_groups_apart(columns, kind):
    assert kind_for(columns) is kind


@given(ranges)
def test_the_sums_of_a_range_are_exactly_its_days_in_order(asked):
    found = [
        day
        for stretch in stretches(asked, by_day=False)
        for first in stretch.firsts
        for day in DayRange(first, last_day(stretch.span, first) or first)
    ]
    assert found == list(asked)


@given(ranges)
def test_a_stretch_is_one_range_of_first_days_of_its_span_alone(asked):
    for stretch in stretches(asked, by_day=False):
        between = DayRange(stretch.firsts[0], stretch.firsts[-1])
        assert [day for day in between if last_day(stretch.span, day)] == list(stretch.firsts)


@given(ranges)
def test_a_year_takes_few_sums(asked):
    # Eleven days of a month's last third at most, nine of another, two thirds on each side, and the months between.
    assert sum(len(stretch.firsts) for stretch in stretches(asked, by_day=False)) <= 12 + 4 + 10 + 10


def test_days_that_are_asked_for_are_not_put_together():
    asked = DayRange(date(2026, 1, 1), date(2026, 12, 31))
    assert stretches(asked, by_day=True) == [Stretch(Span.DAY, tuple(asked))]
    assert stretches(asked, by_day=False) == [Stretch(Span.MONTH, tuple(date(2026, n, 1) for n in range(1, 13)))]


def test_a_range_begins_with_days_goes_on_with_thirds_and_ends_with_them_the_other_way_round():
    found = stretches(DayRange(date(2026, 1, 20), date(2026, 4, 12)), by_day=False)
    assert found == [
        Stretch(Span.DAY, (date(2026, 1, 20),)),
        Stretch(Span.THIRD, (date(2026, 1, 21),)),
        Stretch(Span.MONTH, (date(2026, 2, 1), date(2026, 3, 1))),
        Stretch(Span.THIRD, (date(2026, 4, 1),)),
        Stretch(Span.DAY, (date(2026, 4, 11), date(2026, 4, 12))),
    ]
