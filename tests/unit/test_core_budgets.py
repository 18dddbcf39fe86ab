"""Budgets: the month to date, thresholds, and what the month will have cost."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from shared.core.budgets import Budget, BudgetStatus

MARCH = date(2026, 3, 1)


def status(*amounts, budget="100"):
    days = {MARCH + timedelta(days=number): Decimal(amount) for number, amount in enumerate(amounts)}
    return BudgetStatus(Budget("corp", Decimal(budget), "USD"), MARCH, days)


@pytest.mark.parametrize(
    ("spent", "reached", "percent"),
    [
        ("79.99", (), "79.9"),
        ("80", (80,), "80"),
        ("99.999", (80,), "99.9"),
        ("100.00", (80, 100), "100"),
        ("250", (80, 100), "250"),
        ("-5", (), "-5"),
    ],
)
def test_thresholds_are_reached_exactly(spent, reached, percent):
    found = status(spent)
    assert (found.reached, found.percent) == (reached, Decimal(percent))


def test_what_was_spent_is_exact():
    found = status("0.1", "0.2", "1e-20")
    assert found.spent == Decimal("0.30000000000000000001")
    assert found.through == date(2026, 3, 3)


def test_nothing_is_there_yet():
    found = status()
    assert (found.spent, found.through, found.forecast, found.reached) == (0, None, None, ())


def test_a_forecast_goes_on_with_what_a_day_costs_without_the_dearest():
    assert status("10", "10", "10").forecast is None
    assert status("10", "10", "10", "10").forecast == Decimal("310.00")
    # A purchase on the first comes once.
    assert status("500", "10", "10", "10").forecast == Decimal("800.00")


@pytest.mark.parametrize("amount", ["0", "-1"])
def test_a_budget_of_nothing_cannot_be_made(amount):
    with pytest.raises(ValueError, match=r"^a budget must be more than nothing$"):
        Budget("corp", Decimal(amount), "USD")


def test_a_budget_may_be_of_a_cent():
    assert status("0.008", budget="0.01").reached == (80,)
