"""A month as stored, beside the provider's days and the invoice: what is told, and what is to be done."""

from datetime import date
from decimal import Decimal

import pytest

from shared.core.costs import CoverageState, DayTotal, Metric
from shared.core.days import DayRange
from shared.core.reconcile import Figures, provider_sums, reconcile

DAYS = DayRange(date(2026, 3, 1), date(2026, 3, 5))
COMPLETE = dict.fromkeys(DAYS, CoverageState.COMPLETE)


def sums(*amounts, currency="USD"):
    return {(day, currency): Decimal(amount) for day, amount in zip(DAYS, amounts, strict=True)}


SAME = sums("1", "2", "3", "4", "5")


def test_the_same_figures_are_equal_and_nothing_is_told():
    found = reconcile(COMPLETE, SAME, SAME)
    assert (found.equal, found.findings, found.to_collect) == (True, [], [])
    assert found.totals == {"USD": Figures(Decimal(15), Decimal(15))}


def test_a_day_that_differs_is_told_with_both_figures_and_is_to_be_collected():
    found = reconcile(COMPLETE, SAME, sums("1", "2", "3.5", "4", "5"))
    (day,) = found.findings
    assert (day.day, day.currency, day.figures.difference) == (date(2026, 3, 3), "USD", Decimal("-0.5"))
    assert found.to_collect == [DayRange(date(2026, 3, 3), date(2026, 3, 3))]
    assert not found.equal


@pytest.mark.parametrize(
    ("provided", "equal"), [("3.01", True), ("3.0100000001", False), ("2.99", True), ("2.9899", False)]
)
def test_a_cent_a_day_is_rounding(provided, equal):
    assert reconcile(COMPLETE, SAME, sums("1", "2", provided, "4", "5")).equal is equal


@pytest.mark.parametrize(
    ("state", "equal"),
    [(CoverageState.MISSING, False), (CoverageState.SUSPECT, False), (CoverageState.ESTIMATED, True)],
)
def test_days_that_are_not_complete_are_told_and_those_that_lack_something_are_collected(state, equal):
    found = reconcile(COMPLETE | {DAYS.end: state}, SAME, SAME)
    assert [day.state for day in found.findings] == [state]
    assert found.equal is equal
    assert found.to_collect == ([] if equal else [DayRange(DAYS.end, DAYS.end)])


def test_a_missing_day_without_any_figure_is_told_once_and_in_no_currency():
    found = reconcile(dict.fromkeys(DAYS, CoverageState.MISSING), {}, {})
    assert [(day.currency, day.differs) for day in found.findings] == [("", False)] * 5
    assert found.to_collect == [DAYS]
    assert found.totals == {}


def test_currencies_are_compared_each_by_itself():
    found = reconcile(COMPLETE, SAME, SAME | sums("0", "0", "7", "0", "0", currency="EUR"))
    assert [(day.day, day.currency) for day in found.findings] == [(date(2026, 3, 3), "EUR")]
    assert found.totals["EUR"] == Figures(Decimal(0), Decimal(7))


def test_a_credit_that_only_the_provider_has_differs():
    provided = SAME | sums("0", "-1", "0", "0", "0", currency="EUR")
    assert not reconcile(COMPLETE, SAME, provided).equal


def test_what_only_the_ledger_has_differs_and_is_to_be_collected():
    provided = {key: amount for key, amount in SAME.items() if key[0] != DAYS.end}
    found = reconcile(COMPLETE, SAME, provided)
    assert [day.figures for day in found.findings] == [Figures(Decimal(5), Decimal(0))]
    assert found.to_collect == [DayRange(DAYS.end, DAYS.end)]


def test_a_day_is_told_in_its_own_currencies_alone():
    stored = {(DAYS.start, "USD"): Decimal(1), (DAYS.end, "EUR"): Decimal(2)}
    found = reconcile(dict.fromkeys((DAYS.start, DAYS.end), CoverageState.ESTIMATED), stored, stored)
    assert [(day.day, day.currency) for day in found.findings] == [(DAYS.start, "USD"), (DAYS.end, "EUR")]


@pytest.mark.parametrize(("total", "equal"), [("15", True), ("15.01", True), ("15.02", False), ("14.98", False)])
def test_the_invoice_is_held_against_what_is_stored(total, equal):
    found = reconcile(COMPLETE, SAME, SAME, invoice=("USD", Decimal(total)))
    assert found.equal is equal
    assert found.invoice == Figures(Decimal(15), Decimal(total))
    assert found.to_collect == []


def test_an_invoice_in_a_currency_that_nothing_is_stored_in_is_not_agreed_with():
    found = reconcile(COMPLETE, SAME, SAME, invoice=("EUR", Decimal(15)))
    assert (found.equal, found.invoice) == (False, Figures(Decimal(0), Decimal(15)))


def test_figures_nobody_else_has_do_not_differ():
    assert Figures(Decimal(1), None).difference == 0


def test_the_metric_says_which_of_a_provider_s_figures_count():
    totals = [DayTotal(DAYS.start, "USD", Decimal(1), Decimal(2))]
    assert provider_sums(totals, Metric.BILLED) == {(DAYS.start, "USD"): Decimal(1)}
    assert provider_sums(totals, Metric.EFFECTIVE) == {(DAYS.start, "USD"): Decimal(2)}
