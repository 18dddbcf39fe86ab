"""How values look in JSON."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.runs import RunState
from status_api.views import amount, instant, run_object
from tests.support.api import FAILED, NOW, a_run


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("12.34", "12.34"),
        ("12.340", "12.34"),
        ("12.00", "12"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-18", "0.000000000000000001"),
        ("0", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0E+5", "0"),
        ("0E-18", "0"),
        ("-0.10", "-0.1"),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
    ],
)
def test_an_amount_is_plain_and_keeps_every_digit_that_counts(value, wanted):
    assert amount(Decimal(value)) == wanted


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**20), max_value=10**20))
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
    assert run_object(run) == {
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
