"""`holdfast … --json` prints what the API answers."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from holdfast_cli import shapes
from holdfast_cli.costs import CostView, document
from holdfast_cli.coverage import account_document
from shared.core.costs import CoverageState, Metric
from shared.core.days import DayRange
from shared.core.runs import Run, RunError, RunKind, RunState
from shared.ledger.queries import AccountCoverage, CostReport, CoveredDay
from status_api import views

AT = datetime(2026, 3, 3, 2, 0, 1, 234_567, tzinfo=UTC)
DAYS = DayRange(date(2026, 3, 1), date(2026, 3, 2))
FAILED = Run(
    id=2**60,
    account="shop",
    provider="focus",
    kind=RunKind.MANUAL,
    slot="",
    days=DAYS,
    state=RunState.FAILED,
    attempt=5,
    failures=5,
    not_before=AT,
    created_at=AT,
    started_at=AT,
    finished_at=None,
    rows=None,
    error=RunError(code="FOCUS_BAD_ROW", summary="row 7", hint="Export it again."),
)


def test_a_run_has_one_shape() -> None:
    assert shapes.run_document(FAILED) == views.run_object(FAILED)


def test_coverage_has_one_shape() -> None:
    days = [
        CoveredDay(DAYS.start, CoverageState.SUSPECT, 3, AT),
        CoveredDay(DAYS.end, CoverageState.MISSING, 0, None),
    ]
    account = AccountCoverage("shop", "focus", days)
    assert account_document(account) == views.coverage_object(account)


def test_costs_have_one_shape() -> None:
    report = CostReport(
        rows=[{"day": DAYS.start, "service": "", "currency": "USD", "amount": Decimal("1E+3")}],
        totals=[{"currency": "USD", "amount": Decimal("1000.00")}],
        as_of=AT,
    )
    shown = document(report, days=DAYS, view=CostView(("day", "service"), Metric.EFFECTIVE, None))
    assert shown == {
        "start": "2026-03-01",
        "end": "2026-03-02",
        "groupBy": ["day", "service"],
        "metric": "effective",
        **views.cost_rows(report),
    }


@pytest.mark.parametrize(
    "text", ["0", "-0.000", "1E-18", "1E+30", "12.340", "-7.10", "123456789012345678901234567890.1"]
)
def test_an_amount_is_spelt_one_way(text: str) -> None:
    assert shapes.amount(Decimal(text)) == views.amount(Decimal(text))
