"""Which days a day is compared with, and what was usual in the week that ends with each."""

from datetime import timedelta
from decimal import Decimal

import pytest

from shared.core.anomalies import Rules
from shared.core.anomalies.window import Places, points_of, window_of
from tests.support.anomalies import MONDAY

RULES = Rules(window_days=6, least_days=3)
TEN_DAYS = [MONDAY + timedelta(days=number) for number in range(10)]


def test_a_points_usual_is_the_median_of_the_week_that_ends_with_it():
    amounts = {day: Decimal(number + 1) for number, day in enumerate(TEN_DAYS)}
    points = points_of(TEN_DAYS, amounts)
    assert [point.amount for point in points] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert [point.usual for point in points] == [None, None, None, None, 3, 3.5, 4, 5, 6, 7]


def test_a_week_with_fewer_than_five_known_days_has_no_usual():
    two_missing = [day for day in TEN_DAYS if day.weekday() not in (2, 3)]
    three_missing = [day for day in TEN_DAYS if day.weekday() not in (2, 3, 4)]
    assert [point.usual for point in points_of(two_missing, {})] == [None, None, None, None, 0, 0, 0]
    assert [point.usual for point in points_of(three_missing, {})] == [None] * 6


@pytest.mark.parametrize(
    ("place", "indices", "past"),
    [
        (9, (8, 7, 6, 5, 4, 3), True),  # no farther back than the window
        (4, (3, 2, 1, 0), True),
        (3, (2, 1, 0), True),  # as many as are needed
        (2, (1, 3, 0, 4, 5, 6, 7), False),  # of two equally near the earlier first
        (0, (1, 2, 3, 4, 5), False),
    ],
)
def test_a_day_is_compared_with_the_nearest_days_before_it_and_only_at_the_beginning_with_later_ones(
    place, indices, past
):
    assert window_of(TEN_DAYS, TEN_DAYS[place], RULES) == Places(indices, past=past)


def test_days_before_and_after_together_are_enough_when_they_are_as_many_as_are_needed():
    assert window_of(TEN_DAYS[:4], TEN_DAYS[1], RULES) == Places((0, 2, 3), past=False)
    assert window_of(TEN_DAYS[:3], TEN_DAYS[1], RULES) is None
