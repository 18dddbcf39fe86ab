from datetime import date
from decimal import Decimal

import pytest

from holdfast_cli.costs import BAR_CELLS, CostView, bar, money, table_rows
from shared.core.costs import Metric

BY_DAY = CostView(group_by=("day",), metric=Metric.BILLED, account=None)


def test_each_row_has_a_bar_in_proportion_and_the_total_none() -> None:
    rows = [
        {"day": date(2026, 1, 1), "currency": "USD", "amount": Decimal(2000)},
        {"day": date(2026, 1, 2), "currency": "USD", "amount": Decimal(1000)},
    ]
    found = table_rows(rows, Decimal(3000), BY_DAY, blocks=True)
    assert [tuple(map(str, row)) for row in found] == [
        ("2026-01-01", "2,000.00", "█" * BAR_CELLS),
        ("2026-01-02", "1,000.00", "█" * (BAR_CELLS // 2)),
        ("total", "3,000.00", "billed"),
    ]


@pytest.mark.parametrize(
    ("part", "expected"), [("1", "█" * 30), ("0.5", "█" * 15), ("0.0125", "▍"), ("0", ""), ("0.001", "")]
)
def test_a_bar_is_drawn_in_eighths_of_a_cell(part: str, expected: str) -> None:
    assert bar(Decimal(part), Decimal(1), blocks=True).plain == expected


def test_a_credit_has_a_bar_of_its_own_colour() -> None:
    assert bar(Decimal(-5), Decimal(10), blocks=True).style == "red"
    assert bar(Decimal(-5), Decimal(10), blocks=False).plain == "-" * 15


def test_where_all_is_zero_there_is_no_bar() -> None:
    assert bar(Decimal(0), Decimal(0), blocks=True).plain == ""


def test_a_name_that_a_provider_left_empty_is_shown_as_none() -> None:
    rows = [{"day": date(2026, 1, 1), "service": "", "currency": "USD", "amount": Decimal(1)}]
    view = CostView(group_by=("day", "service"), metric=Metric.BILLED, account=None)
    found = table_rows(rows, Decimal(1), view, blocks=True)
    assert found[0][:2] == ("2026-01-01", "(none)")
    assert [len(row) for row in found] == [4, 4]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("1234567.891", "1,234,567.89"), ("0.004", "0.00"), ("-3", "-3.00"), ("1E+3", "1,000.00"), ("9" * 30, None)],
)
def test_money_is_rounded_for_the_eye(value: str, shown: str | None) -> None:
    assert money(Decimal(value)) == (shown or f"{int('9' * 30):,}.00")
