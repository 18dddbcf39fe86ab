"""What a provider's rows cost in all."""

from datetime import date
from decimal import Decimal

from shared.core.costs import CostRow, DayTotal, totals_by_day

FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)


def row(day: date, billed: str, effective: str, *, currency: str = "USD", service: str = "compute") -> CostRow:
    return CostRow(day, "1", "AWS", service, "Usage", currency, Decimal(billed), Decimal(effective))


def test_rows_are_added_by_day_and_currency_and_told_in_their_order():
    rows = [
        row(SECOND, "8", "80"),
        row(FIRST, "1", "10"),
        row(FIRST, "2", "20", service="storage"),
        row(FIRST, "4", "40", currency="EUR"),
    ]
    assert totals_by_day(rows) == [
        DayTotal(FIRST, "EUR", Decimal(4), Decimal(40)),
        DayTotal(FIRST, "USD", Decimal(3), Decimal(30)),
        DayTotal(SECOND, "USD", Decimal(8), Decimal(80)),
    ]


def test_sums_are_exact_whatever_the_sizes():
    large, small = "99999999999999", "1e-24"
    (total,) = totals_by_day([row(FIRST, large, small), row(FIRST, small, large)])
    exact = Decimal("99999999999999.000000000000000000000001")
    assert (total.billed, total.effective) == (exact, exact)


def test_nothing_costs_nothing_on_no_day():
    assert totals_by_day([]) == []
