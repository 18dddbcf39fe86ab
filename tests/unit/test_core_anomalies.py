"""What counts as an anomaly, and what does not: rhythm, trend, holidays, the turn of the month, small change."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from shared.core.anomalies import RULES, AnomalyKind, History, Rules, find
from tests.support.anomalies import MONDAY, days_before, history, jitter, series, weekly

SATURDAY = MONDAY + timedelta(days=5)
THURSDAY = MONDAY + timedelta(days=3)
PAST = 84
USUAL = weekly(100)


def judged(day, amount, *, usual=USUAL, past=PAST, **others):
    """What is found on `day`, on which service `one` costs `amount` after having cost `usual`."""
    days = [*days_before(day, past), day]
    given = history(days, one=lambda each: amount if each == day else usual(each), **others)
    return [(found.service, found.kind) for found in find(given, [day]).anomalies]


SPIKE = [("one", AnomalyKind.SPIKE)]
DROP = [("one", AnomalyKind.DROP)]
VANISHED = [("one", AnomalyKind.VANISHED)]


@pytest.mark.parametrize(
    ("day", "amount", "expected"),
    [
        (THURSDAY, 100, []),
        (THURSDAY, 118, []),
        (THURSDAY, 200, SPIKE),
        (THURSDAY, 60, []),  # on the way to a weekend's 40, as on a half holiday
        (THURSDAY, 20, DROP),
        (THURSDAY, 0, VANISHED),
        (SATURDAY, 40, []),
        (SATURDAY, 100, SPIKE),
        (SATURDAY, 15, DROP),
        (SATURDAY, 0, VANISHED),
    ],
)
def test_a_day_is_compared_with_its_own_weekday(day, amount, expected):
    assert judged(day, amount) == expected


def test_what_was_expected_and_what_came_are_told():
    days = [*days_before(THURSDAY, PAST), THURSDAY]
    given = history(days, one=lambda day: 300 if day == THURSDAY else 100 * jitter(day))
    (found,) = find(given, [THURSDAY]).anomalies
    assert (found.day, found.currency, found.actual) == (THURSDAY, "USD", Decimal("300.0000"))
    assert abs(found.expected - 100) < 5
    assert found.score > RULES.score
    assert found.expected == round(found.expected, 2)


def test_a_trend_is_followed():
    def growing(day):
        return weekly(100)(day) * 1.02 ** (day - THURSDAY).days

    assert judged(THURSDAY, 102, usual=growing) == []
    assert judged(THURSDAY, 210, usual=growing) == SPIKE


def test_a_holiday_is_a_holiday_when_the_other_services_keep_it_too():
    def keeps(day):
        return weekly(80)(day) * (0.4 if day == THURSDAY else 1)

    assert judged(THURSDAY, 40, two=keeps, three=keeps) == []
    assert judged(THURSDAY, 40, two=weekly(80), three=weekly(80)) == DROP


def test_what_comes_at_the_turn_of_each_month_is_expected_there_and_nowhere_else():
    def with_fee(day):
        return weekly(100)(day) + (300 if day.day == 1 else 0)

    first = date(2026, 4, 1)
    assert judged(first, 400, usual=with_fee) == []
    assert judged(first + timedelta(days=1), 400, usual=with_fee) == []  # when the first is a holiday
    assert judged(first, 100, usual=with_fee) == []
    assert judged(first, 1500, usual=with_fee) == SPIKE
    assert judged(date(2026, 4, 9), 400, usual=with_fee) == SPIKE


def test_month_ends_of_different_length_are_the_same_place():
    def busy_at_the_end(day):
        return weekly(100)(day) * (2.5 if (day + timedelta(days=1)).day == 1 else 1)

    assert judged(date(2026, 4, 30), 250, usual=busy_at_the_end) == []


def test_a_monthly_charge_in_the_middle_of_a_month_is_known_from_its_third_time_on():
    def charged(day):
        return weekly(100)(day) + (300 if day.day == 12 else 0)

    def charged_once(day):
        return weekly(100)(day) + (300 if day == date(2026, 3, 12) else 0)

    assert judged(date(2026, 4, 12), 340, usual=charged) == []
    assert judged(date(2026, 4, 12), 340, usual=charged_once) == SPIKE


def test_a_service_that_is_new_is_told_once():
    assert judged(THURSDAY, 30, usual=lambda _: 0.0, two=weekly(500)) == [("one", AnomalyKind.NEW)]
    assert judged(THURSDAY, 31, usual=lambda day: 30.0 * (day == THURSDAY - timedelta(days=1)), two=weekly(500)) == []
    assert judged(THURSDAY, 400, usual=lambda day: 30.0 * (day > THURSDAY - timedelta(days=4)), two=weekly(500)) == []


def test_a_service_that_began_lately_is_judged_after_three_weeks():
    def born(ago):
        return lambda day: weekly(100)(day) if day >= THURSDAY - timedelta(days=ago) else 0.0

    assert judged(THURSDAY, 400, usual=born(15)) == []
    assert judged(THURSDAY, 400, usual=born(30)) == SPIKE
    assert judged(THURSDAY, 100, usual=born(30)) == []


def test_a_new_level_is_told_for_a_day_or_two_and_then_is_what_the_service_costs():
    days = [*days_before(THURSDAY, PAST), *(THURSDAY + timedelta(days=number) for number in range(14))]
    given = history(days, one=lambda day: (300 if day >= THURSDAY else 100) * jitter(day))
    found = [one.day for one in find(given, [day for day in days if day >= THURSDAY]).anomalies]
    assert found == [THURSDAY, THURSDAY + timedelta(days=1)]


def test_a_service_that_rested_longer_than_its_level_reaches_is_told_of_when_it_costs_something_again():
    def rested(day):
        return 0 if day >= THURSDAY - timedelta(days=8) else 100

    days = [*days_before(THURSDAY, PAST), THURSDAY]
    given = history(days, one=lambda day: 100 if day == THURSDAY else rested(day))
    (found,) = find(given, [THURSDAY]).anomalies
    assert (found.kind, found.expected, found.score) == (AnomalyKind.SPIKE, Decimal(0), 999.0)
    assert judged(THURSDAY, 0, usual=rested) == []


def test_a_service_that_fades_away_is_judged_by_what_is_left_of_it():
    days = [*days_before(THURSDAY, 24), THURSDAY]
    fading = {day: Decimal(1000) * Decimal("0.45") ** place for place, day in enumerate(days)}
    assert find(History(frozenset(days), {("one", "USD"): fading}), [THURSDAY]).anomalies == ()
    back = History(frozenset(days), {("one", "USD"): {**fading, THURSDAY: Decimal(5)}})
    assert [one.kind for one in find(back, [THURSDAY]).anomalies] == [AnomalyKind.SPIKE]


def test_a_credit_every_week_is_expected_and_missed():
    def weekly_credit(day):
        return -50.0 if day.weekday() == 6 else 0.0

    sunday = MONDAY + timedelta(days=6)
    others = {"two": weekly(100), "three": weekly(90)}
    assert judged(sunday, -50, usual=weekly_credit, **others) == []
    assert judged(sunday, 0, usual=weekly_credit, **others) == VANISHED
    assert judged(THURSDAY, 0, usual=weekly_credit, **others) == []


def test_a_credit_every_day_has_a_rhythm_like_any_cost():
    assert judged(THURSDAY, -50, usual=lambda day: -50 * jitter(day)) == []
    assert judged(THURSDAY, 0, usual=lambda day: -50 * jitter(day)) == VANISHED
    assert judged(THURSDAY, -200, usual=lambda day: -50 * jitter(day)) == DROP


def test_jobs_that_run_now_and_then_are_unusual_when_they_cost_what_they_never_did():
    def now_and_then(day):
        return 40 * jitter(day) if day.toordinal() % 11 == 0 else 0.0

    assert judged(THURSDAY, 45, usual=now_and_then, two=weekly(100)) == []
    assert judged(THURSDAY, 200, usual=now_and_then, two=weekly(100)) == SPIKE


@pytest.mark.parametrize(
    ("currency", "amount", "found"), [("USD", 0.95, 0), ("USD", 1.2, 1), ("JPY", 95, 0), ("JPY", 120, 1)]
)
def test_small_change_never_alerts_in_any_currency(currency, amount, found):
    days = [*days_before(THURSDAY, PAST), THURSDAY]
    given = history(days, currency=currency, one=lambda day: amount if day == THURSDAY else amount / 20 * jitter(day))
    assert len(find(given, [THURSDAY]).anomalies) == found


def test_what_is_small_beside_the_account_does_not_matter():
    assert judged(THURSDAY, 30, usual=weekly(5), two=weekly(100)) == SPIKE
    assert judged(THURSDAY, 30, usual=weekly(5), two=weekly(10_000)) == []


def test_currencies_are_judged_each_by_itself():
    days = [*days_before(THURSDAY, PAST), THURSDAY]
    flat = series(days, weekly(100))
    amounts = {("one", "EUR"): {**flat, THURSDAY: Decimal(400)}, ("one", "USD"): flat}
    found = find(History(frozenset(days), amounts), [THURSDAY]).anomalies
    assert [(one.service, one.currency) for one in found] == [("one", "EUR")]


def test_days_that_are_not_known_are_neither_judged_nor_looked_at():
    days = days_before(THURSDAY, PAST)
    flat = series(days, weekly(100))
    wild = {**flat, THURSDAY: Decimal(9000), days[-3]: Decimal(9000)}
    known = frozenset(days) - {days[-3]}
    assert find(History(known, {("one", "USD"): wild}), [THURSDAY, days[-3]]).judged == frozenset()
    verdict = find(History(known | {THURSDAY}, {("one", "USD"): {**wild, THURSDAY: Decimal(100)}}), [THURSDAY])
    assert (verdict.judged, verdict.anomalies) == (frozenset({THURSDAY}), ())


def test_without_history_enough_nothing_is_judged():
    few = days_before(THURSDAY, RULES.least_days - 1)
    assert (
        find(history([*few, THURSDAY], one=lambda day: 900.0 if day == THURSDAY else 1.0), [THURSDAY]).judged == set()
    )
    assert judged(THURSDAY, 400, past=RULES.least_days) == SPIKE
    assert find(History(frozenset(), {}), [THURSDAY]).judged == set()
    assert find(history([*days_before(THURSDAY, PAST), THURSDAY]), [THURSDAY]).judged == {THURSDAY}


def test_days_too_far_apart_to_tell_a_weeks_usual_are_judged_by_their_level_alone():
    thin = Rules(least_days=5, young_days=5)
    apart = [THURSDAY - timedelta(days=10 * number) for number in range(6, 0, -1)]
    usual = history([*apart, THURSDAY], one=lambda day: 100.0)
    lonely = history([*apart, THURSDAY], one=lambda day: 9000.0 if day == THURSDAY else 100.0)
    assert find(usual, [THURSDAY], thin).anomalies == ()
    assert [one.kind for one in find(lonely, [THURSDAY], thin).anomalies] == [AnomalyKind.SPIKE]


def test_at_the_beginning_of_a_history_later_days_help_out():
    days = [THURSDAY + timedelta(days=number) for number in range(30)]
    third = days[3]
    given = history(days, one=lambda day: (5 if day == third else 1) * weekly(100)(day))
    assert [one.day for one in find(given, days).anomalies] == [third]


def test_what_is_restated_beyond_the_window_changes_no_verdict():
    days = [*days_before(THURSDAY, 200), THURSDAY]
    usual = history(days, one=weekly(100))
    old = days[:100]
    wild = {("one", "USD"): {day: cost * (9 if day in old else 1) for day, cost in usual.amounts["one", "USD"].items()}}
    assert find(History(usual.known, wild), [THURSDAY]) == find(usual, [THURSDAY])


def test_tiny_guesses_are_told_as_nothing():
    assert judged(THURSDAY, 5, usual=lambda day: 1e-9 * jitter(day)) == [("one", AnomalyKind.NEW)]
