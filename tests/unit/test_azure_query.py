"""What Azure is asked: bodies, the days of a call, the price, and how long it asks to be left alone."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.costs import Price
from shared.core.days import DayRange
from shared.costs.azure.query import CostType, body, calls, price, query_path
from shared.costs.azure.throttle import LONGEST_S, retry_after_s

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
QPU = "x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after"

ranges = st.builds(
    lambda start, length: DayRange(start, start + timedelta(days=length)),
    st.dates(date(2015, 1, 1), date(2035, 1, 1)),
    st.integers(0, 800),
)


@settings(deadline=None)
@given(ranges)
def test_a_range_is_asked_for_in_pieces_of_at_most_31_days_without_gap_or_overlap(days):
    pieces = list(calls(days))
    assert [day for piece in pieces for day in piece] == list(days)
    assert all(1 <= len(piece) <= 31 for piece in pieces)
    assert len(pieces) == -(-len(days) // 31)


def test_both_ends_of_a_query_are_inclusive():
    asked = body(CostType.AMORTIZED, DayRange(date(2026, 11, 9), date(2026, 11, 22)), ("ServiceName", "ChargeType"))
    assert asked == {
        "type": "AmortizedCost",
        "timeframe": "Custom",
        "timePeriod": {"from": "2026-11-09T00:00:00+00:00", "to": "2026-11-22T23:59:59+00:00"},
        "dataset": {
            "granularity": "Daily",
            "aggregation": {"totalCost": {"name": "Cost", "function": "Sum"}},
            "grouping": [{"type": "Dimension", "name": "ServiceName"}, {"type": "Dimension", "name": "ChargeType"}],
        },
    }


def test_a_query_without_grouping_has_none():
    assert "grouping" not in body(CostType.ACTUAL, DayRange(date(2026, 1, 1), date(2026, 1, 1)), ())["dataset"]


def test_the_scope_stands_before_the_provider():
    assert query_path("/subscriptions/x") == (
        "/subscriptions/x/providers/Microsoft.CostManagement/query?api-version=2025-03-01"
    )


@pytest.mark.parametrize(
    ("length", "rows_a_day", "requests"),
    [(1, 0, (2, 2)), (31, 32, (2, 2)), (31, 33, (2, 4)), (32, 1, (4, 4)), (90, 100, (6, 22)), (1, 1001, (2, 4))],
)
def test_the_price_counts_both_kinds_all_pieces_and_pages_of_a_thousand(length, rows_a_day, requests):
    days = DayRange(date(2026, 1, 1), date(2026, 1, 1) + timedelta(days=length - 1))
    assert price(days, rows_a_day=rows_a_day) == Price(requests=requests)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Content-Type": "x"}, None),
        ({"Retry-After": "7"}, 7),
        ({"X-MS-RateLimit-Microsoft.CostManagement-Entity-Retry-After": "3", QPU: "41", "Retry-After": "5"}, 41),
        ({QPU: " 2.5 "}, 2.5),
        ({QPU: "soon"}, None),
        ({QPU: "-5"}, None),
        ({QPU: "nan"}, None),
        ({QPU: ""}, None),
        ({QPU: "999999999999"}, LONGEST_S),
        ({QPU: "9" * 400}, None),
        ({"Retry-After": "Fri, 27 Nov 2026 10:00:30 GMT"}, 30),
        ({"Retry-After": "Fri, 27 Nov 2026 09:00:30 GMT"}, 0),
        ({"Retry-After": "Fri, 27 Nov 9026 09:00:30 GMT"}, LONGEST_S),
        # Their clock is an hour behind ours: what counts is the difference as they see it.
        ({"Date": "Fri, 27 Nov 2026 09:00:00 GMT", "Retry-After": "Fri, 27 Nov 2026 09:00:20 GMT"}, 20),
        ({"Date": "yesterday", "Retry-After": "Fri, 27 Nov 2026 10:00:20 GMT"}, 20),
    ],
)
def test_the_longest_wait_of_all_headers_counts(headers, wait_s):
    assert retry_after_s(headers.items(), now=NOW) == wait_s


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=30).map(lambda name: f"{name}-retry-after"), st.text(max_size=40)))
def test_no_header_is_beyond_reading(headers):
    wait_s = retry_after_s(headers.items(), now=NOW)
    assert wait_s is None or 0 <= wait_s <= LONGEST_S
