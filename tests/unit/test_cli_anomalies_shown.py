from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from holdfast_cli import anomalies, budgets
from shared.core.anomalies import AnomalyKind
from shared.core.budgets import Budget, BudgetStatus
from shared.ledger.anomaly_queries import KnownAnomaly

AT = datetime(2026, 3, 10, tzinfo=UTC)
MARCH = date(2026, 3, 1)
ONE = KnownAnomaly(
    id=7,
    account="corp",
    provider="focus",
    day=date(2026, 3, 9),
    service="Compute",
    currency="USD",
    kind=AnomalyKind.SPIKE,
    expected=Decimal(1000),
    actual=Decimal("2000.004"),
    score=31.1,
    found_at=AT,
    cleared_at=None,
)


def lines(rows):
    return [tuple(map(str, row)) for row in rows]


def test_an_anomaly_is_a_row_with_what_was_expected_and_a_bar_of_what_came():
    drop = replace(ONE, kind=AnomalyKind.DROP, actual=Decimal(500), service="", cleared_at=AT)
    assert lines(anomalies.table_rows([ONE, drop], blocks=True)) == [
        ("2026-03-09", "corp", "Compute", "spike", "1,000.00", "2,000.00 USD", "█" * 30, ""),
        ("2026-03-09", "corp", "(none)", "drop", "1,000.00", "500.00 USD", "█" * 15, "cleared: restated"),
    ]


def test_a_budget_is_a_row_whose_bar_is_full_when_it_is_used_up():
    half = BudgetStatus(Budget("corp", Decimal(100), "USD"), MARCH, {MARCH: Decimal(50)}, estimated=1)
    over = BudgetStatus(
        Budget("lab", Decimal(10), "EUR"), MARCH, {date(2026, 3, day): Decimal(5) for day in range(1, 5)}
    )
    none = BudgetStatus(Budget("new", Decimal(10), "EUR"), MARCH, {})
    assert lines(budgets.table_rows([half, over, none], blocks=False)) == [
        ("corp", "2026-03", "50.00 USD", "100.00 USD", "50%", "#" * 15, "", "2026-03-01 (1 days, 1 estimated)"),
        ("lab", "2026-03", "20.00 EUR", "10.00 EUR", "200%", "#" * 30, "155.00", "2026-03-04 (4 days)"),
        ("new", "2026-03", "0.00 EUR", "10.00 EUR", "0%", "", "", "no day yet"),
    ]
