"""How values look in JSON."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.costs import CoverageState
from shared.core.runs import RunState
from shared.ledger.documents import (
    amount,
    costs_document,
    costs_json,
    coverage_document,
    instant,
    run_document,
    runs_document,
)
from shared.ledger.queries import AccountCoverage, CostReport, CoveredDay
from status_api.errors import encode
from tests.support.api import FAILED, NOW, a_run


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("12.34", "12.34"),
        ("12.340", "12.34"),
        ("12.00", "12"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-24", "0.000000000000000000000001"),
        ("0", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0E+5", "0"),
        ("0E-24", "0"),
        ("-0.10", "-0.1"),
        ("12345678901234567890.123456789012345678901234", "12345678901234567890.123456789012345678901234"),
    ],
)
def test_an_amount_is_plain_and_keeps_every_digit_that_counts(value, wanted):
    assert amount(Decimal(value)) == wanted


@given(st.decimals(allow_nan=False, allow_infinity=False, places=24, min_value=-(10**20), max_value=10**20))
def test_an_amount_reads_back_as_exactly_itself(value):
    text = amount(value)
    assert Decimal(text) == value
    assert "E" not in text.upper()
    assert not text.startswith("-0") or text.startswith("-0.")
    assert "." not in text or not text.endswith("0")


def test_an_instant_is_utc_with_milliseconds():
    assert instant(None) is None
    assert instant(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000Z"
    assert instant(datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=timezone(timedelta(hours=2)))) == (
        "2026-01-02T01:04:05.999Z"
    )


def test_a_run_shows_its_days_states_and_error():
    run = a_run(state=RunState.FAILED, attempt=3, finished_at=NOW, not_before=NOW, error=FAILED)
    assert run_document(run) == {
        "id": "1",
        "account": "one",
        "provider": "focus",
        "kind": "manual",
        "start": "2026-03-01",
        "end": "2026-03-07",
        "state": "failed",
        "attempt": 3,
        "notBefore": "2026-03-10T12:30:15.123Z",
        "createdAt": "2026-03-10T12:30:15.123Z",
        "startedAt": None,
        "finishedAt": "2026-03-10T12:30:15.123Z",
        "rows": None,
        "error": {"code": "FOCUS_NO_FILE", "summary": "No file matches", "hint": "Look at the account's path"},
    }


def test_a_page_of_runs_names_the_cursor_of_the_next():
    assert runs_document([], "abc") == {"runs": [], "next": "abc"}
    assert [run["id"] for run in runs_document([a_run()], None)["runs"]] == ["1"]


def test_a_day_that_was_never_collected_has_no_instant():
    days = [
        CoveredDay(date(2026, 3, 1), CoverageState.SUSPECT, 3, NOW),
        CoveredDay(date(2026, 3, 2), CoverageState.MISSING, 0, None),
    ]
    assert coverage_document(AccountCoverage("shop", "focus", days)) == {
        "account": "shop",
        "provider": "focus",
        "paused": False,
        "days": [
            {"day": "2026-03-01", "state": "suspect", "rows": 3, "collectedAt": "2026-03-10T12:30:15.123Z"},
            {"day": "2026-03-02", "state": "missing", "rows": 0, "collectedAt": None},
        ],
    }


def test_costs_are_text_throughout():
    report = CostReport(
        ("day", "service", "currency", "amount"),
        [(date(2026, 3, 1), "Compute", "USD", "1.5")],
        totals=[{"currency": "USD", "amount": Decimal("1E+3")}],
        as_of=NOW,
    )
    assert costs_document(report) == {
        "rows": [{"day": "2026-03-01", "service": "Compute", "currency": "USD", "amount": "1.5"}],
        "totals": [{"currency": "USD", "amount": "1000"}],
        "asOf": "2026-03-10T12:30:15.123Z",
    }


@given(
    st.lists(
        st.tuples(st.dates(), st.text(), st.sampled_from(["USD", '"', "%s"]), st.decimals(-9, 9, places=3).map(str))
    )
)
def test_costs_filled_into_a_form_are_the_same_as_encoded(values):
    report = CostReport(
        ("day", "service", "currency", "amount"), values, [{"currency": "%", "amount": Decimal(1)}], NOW
    )
    head = {"start": "2026-01-01", "groupBy": ["day", "service"]}
    plain = [(*row[:-1], amount(Decimal(row[-1]))) for row in values]
    report = replace(report, values=plain)
    assert json.loads(costs_json(head, report)) == head | costs_document(report)
    assert costs_json(head, report) == encode(head | costs_document(report))
