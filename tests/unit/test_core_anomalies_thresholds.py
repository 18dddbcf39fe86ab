"""What is just enough to be told of and what just is not, with amounts that are exact."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from shared.core.anomalies import RULES, AnomalyKind, History, Rules, find
from tests.support.anomalies import days_before, history

DAY = date(2026, 4, 13)  # a Monday
SATURDAY = DAY + timedelta(days=5)
FIRST = date(2026, 4, 1)
PAST = 84
SPIKE, DROP, NEW, VANISHED = AnomalyKind.SPIKE, AnomalyKind.DROP, AnomalyKind.NEW, AnomalyKind.VANISHED


def always(amount):
    return lambda _: amount


def once(amount, ago):
    return lambda day: amount if day == DAY - timedelta(days=ago) else 0


def mondays(*amounts):
    """What the Mondays before `DAY` cost, the nearest first; those farther back as the last."""

    def amount_of(day):
        weeks, rest = divmod((DAY - day).days, 7)
        return 0 if rest else amounts[min(weeks, len(amounts)) - 1]

    return amount_of


def since(ago, amount_of):
    return lambda day: amount_of(day) if (DAY - day).days <= ago else 0


def found_on(day, amount, usual, *, past=PAST, rules=RULES, known=lambda _: True, **others):
    """What is found on `day`, on which service `one` costs `amount` after having cost `usual`."""
    days = [each for each in [*days_before(day, past), day] if known(each)]
    given = history(days, one=lambda each: amount if each == day else usual(each), **others)
    return next((found for found in find(given, [day], rules).anomalies if found.service == "one"), None)


def kind_on(day, amount, usual, **others):
    found = found_on(day, amount, usual, **others)
    return found and found.kind


@pytest.mark.parametrize(
    ("usual", "amount", "kind"),
    [
        (1, 2, SPIKE),  # 1.00 matters
        (1, 1.99, None),
        (100, 130, SPIKE),  # 30 per cent
        (100, 129.9, None),
        (100, 70, DROP),
        (100, 70.1, None),
        (100, 5, VANISHED),  # a twentieth is nothing
        (100, 5.1, DROP),
    ],
)
def test_a_day_is_told_of_when_it_is_30_per_cent_and_1_00_off(usual, amount, kind):
    assert kind_on(DAY, amount, always(usual)) == kind


@pytest.mark.parametrize(("amount", "kind"), [(24.9, None), (25, SPIKE)])
def test_a_day_that_is_usually_quiet_is_told_of_when_it_is_15_per_cent_of_an_ordinary_day_off(amount, kind):
    assert kind_on(SATURDAY, amount, lambda day: 10 if day.weekday() >= 5 else 100) == kind


@pytest.mark.parametrize(("day", "amount", "kind"), [(DAY, 140, SPIKE), (FIRST, 140, None), (FIRST, 200, SPIKE)])
def test_at_the_turn_of_a_month_more_is_needed(day, amount, kind):
    assert kind_on(day, amount, always(100)) == kind


def test_a_day_is_told_of_when_its_score_is_what_the_rules_ask_for():
    score = found_on(DAY, 140, always(100)).score
    assert kind_on(DAY, 140, always(100), rules=Rules(score=score)) == SPIKE
    assert kind_on(DAY, 140, always(100), rules=Rules(score=score + 0.001)) is None


def test_what_was_expected_is_the_nearest_figure():
    def with_fee(day):
        return 400 if day.day == 1 else 100

    assert found_on(FIRST, 1500, with_fee).expected == 400
    assert found_on(FIRST, 30, with_fee).expected == 100


@pytest.mark.parametrize(("usual", "amount", "expected"), [(12.346, 50, "12.35"), (123_456, 500_000, "123500")])
def test_what_was_expected_has_four_digits_and_no_exponent(usual, amount, expected):
    assert str(found_on(DAY, amount, always(usual)).expected) == expected


def test_an_expected_nothing_has_no_sign():
    days = [*days_before(DAY, PAST), DAY]
    tiny = {day: Decimal("-0.0000001") if day.weekday() == 0 else Decimal(10 * (day.weekday() == 1)) for day in days}
    (found,) = find(History(frozenset(days), {("one", "USD"): {**tiny, DAY: Decimal(50)}}), [DAY]).anomalies
    assert str(found.expected) == "0"


@pytest.mark.parametrize(
    ("keeping", "others", "kind"), [(0, 1, DROP), (1, 1, None), (1, 2, None), (1, 3, DROP), (0, 0, None)]
)
def test_a_day_is_a_holiday_when_half_of_the_other_services_keep_it(keeping, others, kind):
    def weekly(day):
        return 40 if day.weekday() >= 5 else 100

    def keeps(day):
        return 40 if day == DAY else weekly(day)

    services = {f"other-{number}": keeps if number < keeping else weekly for number in range(others)}
    assert kind_on(DAY, 40, weekly, **services) == kind


@pytest.mark.parametrize("began_ago", [PAST, 28])
def test_a_trend_may_go_on_also_of_a_service_that_began_lately(began_ago):
    def doubled(day):
        return 200 if (DAY - day).days <= 14 else 100

    # 100 more in two weeks: half a week more than that to the middle of the two makes 253.57.
    assert kind_on(DAY, 320, since(began_ago, doubled)) is None
    assert found_on(DAY, 340, since(began_ago, doubled)).expected == Decimal("253.6")


@pytest.mark.parametrize(("amount", "kind"), [(1.99, None), (2, NEW)])
def test_what_matters_is_one_per_cent_of_what_the_services_of_the_account_cost_together(amount, kind):
    assert kind_on(DAY, amount, always(0), two=always(150), three=always(50)) == kind


@pytest.mark.parametrize(
    ("earlier", "amount", "kind"),
    [
        (0, 0.99, None),
        (0, 1, NEW),
        (0.5, 1.49, None),
        (0.5, 1.5, NEW),
        (1, 2, None),  # it had cost something that matters
    ],
)
def test_a_service_is_new_when_it_costs_1_00_more_than_ever_and_had_cost_less_than_that(earlier, amount, kind):
    assert kind_on(DAY, amount, once(earlier, 10)) == kind


def test_the_score_of_a_new_service_counts_what_matters():
    found = found_on(DAY, 10, always(0), two=always(500))
    assert (found.kind, found.expected, found.score) == (NEW, Decimal(0), RULES.score * 2)


@pytest.mark.parametrize(("amount", "kind"), [(30, None), (30.1, SPIKE)])
def test_without_a_rhythm_more_than_three_times_the_most_is_a_spike(amount, kind):
    assert kind_on(DAY, amount, mondays(10)) == kind


def test_without_a_rhythm_what_the_weekday_costs_is_expected_and_three_times_the_most_is_the_score_that_is_needed():
    found = found_on(DAY, 60, mondays(10))
    assert (found.expected, found.score) == (10, RULES.score * 2)


def test_on_a_weekday_that_was_never_known_nothing_is_expected():
    def tuesdays(day):
        return 10 if day.weekday() == 1 else 0

    found = found_on(DAY, 60, tuesdays, known=lambda day: day.weekday() != 0 or day == DAY)
    assert (found.kind, str(found.expected)) == (SPIKE, "0")


@pytest.mark.parametrize(
    ("first", "ago", "kind"), [(10, 21, SPIKE), (10, 20, None), (0.1, 21, SPIKE), (0.09, 21, None)]
)
def test_without_a_rhythm_a_service_is_judged_three_weeks_after_it_first_cost_a_tenth_of_what_matters(first, ago, kind):
    def now_and_then(day):
        return once(first, ago)(day) + once(10, 12)(day) + once(10, 5)(day)

    assert kind_on(DAY, 50, now_and_then) == kind


@pytest.mark.parametrize(("ago", "kind"), [(21, DROP), (20, None)])
def test_a_service_that_began_lately_is_judged_after_three_weeks(ago, kind):
    assert kind_on(DAY, 20, since(ago, always(100))) == kind


@pytest.mark.parametrize(("past", "kind"), [(26, DROP), (27, None)])
def test_a_service_began_lately_when_it_had_cost_nothing_for_a_week(past, kind):
    assert kind_on(DAY, 20, since(20, always(100)), past=past) == kind


@pytest.mark.parametrize(("ago", "kind"), [(27, None), (26, SPIKE)])
def test_the_first_six_days_of_a_service_say_nothing_about_its_weekdays(ago, kind):
    def three_mondays(day):
        return mondays(100, 300, 300, 100)(day) or 100

    assert kind_on(DAY, 300, since(ago, three_mondays)) == kind


@pytest.mark.parametrize(
    ("amount", "usual", "kind"),
    [
        (0, mondays(10, 10, 10, 5, 10), VANISHED),  # half of the most
        (0, mondays(10, 10, 10, 4.9, 10), None),
        (0, mondays(10, 10, 10, 10, 0, 10), VANISHED),
        (0, mondays(10, 10, 10, 0, 10), None),
        (0.5, mondays(10), VANISHED),  # a twentieth is nothing
        (0.6, mondays(10), None),
        (0, mondays(1), VANISHED),
        (0, lambda day: mondays(10)(day) + once(4.9, 5)(day), VANISHED),
        (0, lambda day: mondays(10)(day) + once(5, 5)(day), None),
    ],
)
def test_a_weekly_charge_is_missed_when_it_came_four_times_in_a_row_and_on_no_other_day(amount, usual, kind):
    assert kind_on(DAY, amount, usual) == kind


def test_a_weekly_charge_is_not_missed_after_three_times():
    assert kind_on(DAY, 0, mondays(10), past=28) == VANISHED
    assert kind_on(DAY, 0, mondays(10), past=27) is None


def test_a_weekly_charge_that_is_missed_is_told_with_what_it_was():
    found = found_on(DAY, 0, mondays(50), two=always(500))
    assert (found.expected, found.actual, found.score) == (50, Decimal(0), RULES.score * 10)
