"""What a steady service was likely to cost: its weekdays, level, trend and months, and how far it usually is from them.

Days are compared with a usual of 100 where a week's median would make the figures harder to work out.
"""

from datetime import date, timedelta
from math import inf, log

import pytest

from shared.core.anomalies import RULES
from shared.core.anomalies.rhythm import Likely, is_steady, likely
from shared.core.anomalies.window import Point, Window
from tests.support.anomalies import MONDAY, days_before

DAY = date(2026, 4, 13)  # a Monday
SATURDAY = DAY + timedelta(days=5)
FIRST = date(2026, 4, 1)
USUAL = 100.0


def weekly(day):
    return 40 if day.weekday() >= 5 else 100


def with_extra(*days, extra=300):
    return lambda day: 100 + extra * (day in days)


def weeks_before(day, each):
    """1 for the seven days before `day`."""
    return ((day - each).days + 6) // 7


def window(day, amount_of, *, usual_of=lambda _: USUAL, skip=lambda _: False, past=True):
    """The days before `day`, the nearest first."""
    days = [each for each in reversed(days_before(day, 63)) if not skip(each)]
    return Window(tuple(Point(each, float(amount_of(each)), usual_of(each)) for each in days), past)


def likely_on(day, amount_of, **others):
    return likely(window(day, amount_of, **others), day, RULES)


def points(*amounts):
    return [Point(MONDAY + timedelta(days=number), float(amount), USUAL) for number, amount in enumerate(amounts)]


def a_likely(amounts=(100.0,), *, quiet=(40.0,), level=100.0, noise=0.05):
    return Likely(amounts, quiet, level, noise)


@pytest.mark.parametrize(
    ("level", "actual", "expected", "proportion"),
    [
        (100, 195, 95, 2),  # each with 5 more, for a level of 100
        (100, 95, 195, 2),
        (100, 0, 95, 20),
        (100, 95, 0, 20),
        (100, -300, 95, 20),  # of the other sign is less than nothing, and no more than that
        (100, 95, -300, 20),
        (0.5, 0.975, 0.475, 2),
        (-100, -195, -95, 2),
        (-100, 300, -95, 20),
    ],
)
def test_deviations_count_proportions_and_near_nothing_amounts(level, actual, expected, proportion):
    deviations = a_likely(level=float(level), noise=0.1).deviations(actual, expected)
    assert deviations == pytest.approx(log(proportion) / 0.1)


def test_anything_is_infinitely_far_from_a_level_of_nothing():
    assert a_likely(level=0.0).deviations(50, 0) == inf


@pytest.mark.parametrize(("quietest", "has_quiet_days"), [(79.9, True), (80, False), (-79.9, True), (-80, False)])
def test_a_day_has_quiet_ones_beside_it_when_they_cost_less_than_four_fifths_of_it(quietest, has_quiet_days):
    assert a_likely((100.0, 500.0), quiet=(quietest, 500.0)).has_quiet_days() is has_quiet_days
    assert a_likely((-100.0, 10.0), quiet=(quietest, 10.0)).has_quiet_days() is has_quiet_days


@pytest.mark.parametrize(("actual", "quiet"), [(69.9, True), (70, False), (100, False), (30, True), (290, True)])
def test_a_day_is_quiet_when_it_is_nearer_to_a_quiet_one(actual, quiet):
    assert a_likely((100.0, 250.0), quiet=(40.0, 300.0)).is_quiet(actual) is quiet


@pytest.mark.parametrize(
    ("amounts", "steady"),
    [
        ([100] * 6 + [0] * 4, True),
        ([100] * 6 + [0] * 5, False),
        ([100] * 6 + [5] * 5, False),  # a twentieth of the usual is nothing
        ([100] * 6 + [5.1] * 5, True),
        ([-100] * 6 + [0] * 4, True),
        ([100] * 6 + [-100] * 5, False),
        ([0.1] * 10, True),  # whatever the size
        ([0] * 6 + [100] * 4, False),
    ],
)
def test_a_service_is_steady_when_it_costs_something_on_three_days_in_five(amounts, steady):
    assert is_steady(points(*amounts)) is steady


def test_without_change_every_figure_is_what_the_weekday_costs():
    assert likely_on(DAY, weekly) == Likely((100, 100, 100, 100), (40, 40), 100, RULES.least_noise)
    assert likely_on(SATURDAY, weekly) == Likely((40, 40, 40, 40), (40, 40), 100, RULES.least_noise)


def stepping(day):
    """60, then 100 in the last four weeks, 110 in the last two and 130 in the last three days before `DAY`."""
    ago = (DAY - day).days
    return 130 if ago <= 3 else 110 if ago <= 14 else 100 if ago <= 28 else 60


def test_the_figures_are_the_level_its_trend_and_the_last_days():
    found = likely_on(DAY, stepping, usual_of=stepping)
    assert found.amounts == pytest.approx((110, 110 + 10 / 14 * 7.5, 130, 110))
    assert found.level == 110


def test_with_later_days_beside_earlier_ones_there_is_no_trend():
    assert likely_on(DAY, stepping, usual_of=stepping, past=False).amounts == (110, 130, 110)


@pytest.mark.parametrize(("latest", "recent"), [(7, 200), (8, 100)])
def test_the_last_days_are_those_of_the_last_week(latest, recent):
    def risen(each):
        return 200 if (DAY - each).days <= latest else 100

    found = likely_on(DAY, risen, usual_of=risen, skip=lambda each: (DAY - each).days < latest)
    assert found.amounts[2] == recent


def test_each_extra_of_the_turn_of_other_months_comes_on_top_of_the_level():
    def level(day):
        return 110 if (FIRST - day).days <= 14 else 100

    def with_fee(day):
        return level(day) * weekly(day) / 100 + (300 if day == date(2026, 3, 1) else 0)

    found = likely_on(FIRST, with_fee, usual_of=level)
    assert found.amounts == pytest.approx((110, 110 + 10 / 14 * 7.5, 110, 110, 110, 410, 110, 110, 110))
    assert found.quiet == pytest.approx((44, 44, 44, 344, 44, 44, 44))
    assert found.level == pytest.approx(110)


def test_days_without_a_usual_have_no_extra():
    found = likely_on(
        FIRST, lambda day: 400 if day.day <= 3 else 100, usual_of=lambda day: USUAL if day.day > 3 else None
    )
    assert found.amounts == (100,) * 9


@pytest.mark.parametrize(
    ("day", "fee", "one_place"),
    [
        (date(2026, 4, 1), date(2026, 3, 3), True),
        (date(2026, 4, 3), date(2026, 3, 1), True),
        (date(2026, 4, 3), date(2026, 3, 4), False),
        (date(2026, 4, 4), date(2026, 3, 3), False),
        (date(2026, 4, 30), date(2026, 3, 29), True),
        (date(2026, 4, 28), date(2026, 3, 31), True),
        (date(2026, 4, 30), date(2026, 3, 28), False),
        (date(2026, 4, 27), date(2026, 3, 31), False),
        (date(2026, 4, 1), date(2026, 3, 31), False),
    ],
)
def test_the_first_three_days_of_months_are_one_place_and_so_are_the_last_three(day, fee, one_place):
    assert (400 in likely_on(day, with_extra(fee)).amounts) is one_place


@pytest.mark.parametrize(
    ("extra_of_march", "extra_of_february", "expected"),
    [(300, 200, 200), (200, 300, 200), (300, 0, 0), (0, -300, 0), (-200, -300, -200)],
)
def test_in_the_middle_of_a_month_the_smaller_of_the_last_two_extras_is_expected(
    extra_of_march, extra_of_february, expected
):
    extras = {date(2026, 3, 13): extra_of_march, date(2026, 2, 13): extra_of_february}
    assert likely_on(DAY, lambda day: 100 + extras.get(day, 0)).amounts == (100, 100, 100, 100 + expected)


@pytest.mark.parametrize(
    ("day", "turn"),
    [
        (date(2026, 4, 3), True),
        (date(2026, 4, 4), False),
        (date(2026, 4, 27), False),
        (date(2026, 4, 28), True),
        (date(2026, 1, 28), False),
        (date(2026, 1, 29), True),
        (date(2026, 2, 25), False),
        (date(2026, 2, 26), True),
        (date(2028, 2, 26), False),
        (date(2028, 2, 27), True),
        (date(2026, 12, 31), True),
    ],
)
def test_at_the_turn_of_a_month_more_noise_is_usual(day, turn):
    assert likely_on(day, with_extra()).noise == (RULES.least_noise_at_turn if turn else RULES.least_noise)


@pytest.mark.parametrize("day", [DAY + timedelta(days=number) for number in range(7)])
def test_a_weekday_known_twice_is_judged_with_its_neighbours(day):
    def once_otherwise(each):
        return 140 - weekly(each) if each == day - timedelta(days=7) else weekly(each)

    def usual(each):
        return USUAL if each.weekday() != day.weekday() or weeks_before(day, each) <= 2 else None

    assert likely_on(day, once_otherwise, usual_of=usual).amounts[0] == weekly(day)


def test_a_weekday_known_three_times_is_judged_by_itself():
    def twice_higher(each):
        return 200 if each.weekday() == 0 and weeks_before(DAY, each) <= 2 else 100

    def usual(each):
        return USUAL if each.weekday() != 0 or weeks_before(DAY, each) <= 3 else None

    assert likely_on(DAY, twice_higher, usual_of=usual).amounts[0] == 200


def test_weekdays_of_which_nothing_is_known_are_ordinary():
    found = likely_on(DAY, weekly, usual_of=lambda day: USUAL if day.weekday() >= 5 else None)
    assert found == Likely((100, 100, 100, 100), (40, 40), 100, RULES.least_noise)


@pytest.mark.parametrize(("weekend", "recent"), [(10, 300), (9, 100)])
def test_days_of_less_than_a_tenth_of_the_others_say_nothing_about_the_level(weekend, recent):
    def risen(day):
        return 100 if day.weekday() < 5 else weekend * (3 if (DAY - day).days < 7 else 1)

    assert likely_on(DAY, risen).amounts[2] == pytest.approx(recent)


def test_when_no_day_says_anything_about_the_level_it_is_nothing():
    assert likely_on(DAY, lambda _: 5) == Likely((0, 0, 0, 0), (0, 0), 0, 1)


def test_the_noise_is_taken_from_the_median_when_most_days_are_off():
    def off(day):
        week = weeks_before(DAY, day)
        return 100 if week == 9 else 90 if week % 2 else 110

    assert likely_on(DAY, off).noise == pytest.approx(0.1 * 1.4826)


def test_the_noise_is_taken_from_the_80th_percentile_when_most_days_are_as_usual():
    off = likely_on(DAY, lambda day: 130 if weeks_before(DAY, day) % 3 == 0 else 100)
    assert off.noise == pytest.approx(0.3 / 1.2816)


@pytest.mark.parametrize(("amount", "noise"), [(10, 1 / 1.2816), (9, RULES.least_noise)])
def test_days_of_less_than_a_tenth_of_the_others_say_nothing_about_the_noise(amount, noise):
    def doubled_now_and_then(day):
        return 100 if day.weekday() == 0 else amount * (2 if weeks_before(DAY, day) in (2, 4, 6, 8) else 1)

    assert likely_on(DAY, doubled_now_and_then).noise == pytest.approx(noise)
