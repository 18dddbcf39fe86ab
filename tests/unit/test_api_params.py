"""Query parameters, bodies' fields and path segments: what is taken, and what every mistake says."""

import contextlib
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.costs import Metric
from shared.core.days import DayRange
from shared.core.errors import RequestError, UnknownRunError
from shared.core.runs import RunKind, RunState
from status_api import params

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


def days_of(default_days: int = 30, **given_days: object) -> DayRange:
    return params.day_range(given_days, now=NOW, default_days=default_days)


@pytest.mark.parametrize(
    ("given_days", "wanted"),
    [
        ({}, DayRange(date(2026, 2, 8), date(2026, 3, 9))),
        ({"start": "2026-03-01"}, DayRange(date(2026, 3, 1), date(2026, 3, 9))),
        ({"start": "2026-03-10"}, DayRange(date(2026, 3, 10), date(2026, 3, 10))),
        ({"end": "2026-03-05"}, DayRange(date(2026, 2, 4), date(2026, 3, 5))),
        ({"start": "2025-03-10", "end": "2026-03-10"}, DayRange(date(2025, 3, 10), date(2026, 3, 10))),
        ({"end": "0001-01-02"}, DayRange(date.min, date(1, 1, 2))),
    ],
)
def test_what_is_left_out_of_a_range_is_the_newest_complete_days(given_days, wanted):
    assert days_of(**given_days) == wanted


@pytest.mark.parametrize(
    ("given_days", "field"),
    [
        ({"start": ""}, "start"),
        ({"start": "yesterday"}, "start"),
        ({"start": "20260301"}, "start"),
        ({"start": "2026-W10-1"}, "start"),
        ({"start": "2026-3-1"}, "start"),
        ({"start": " 2026-03-01"}, "start"),
        ({"start": "2026-03-01T00:00:00"}, "start"),
        ({"start": "2026-02-30"}, "start"),
        ({"start": "0000-01-01"}, "start"),
        ({"start": "\u0662026-03-01"}, "start"),
        ({"start": 20260301}, "start"),
        ({"start": ["2026-03-01"]}, "start"),
        ({"end": "2026-03-11"}, "end"),
        ({"start": "2026-03-11"}, "start"),
        ({"end": "9999-12-31"}, "end"),
        ({"start": "2026-03-02", "end": "2026-03-01"}, "end"),
        ({"start": "2025-03-09", "end": "2026-03-10"}, "end"),
        ({"start": "0001-01-01"}, "end"),
    ],
)
def test_a_bad_range_names_the_field_and_what_is_allowed(given_days, field):
    with pytest.raises(RequestError) as caught:
        days_of(**given_days)
    assert caught.value.field == field
    assert caught.value.allowed


@given(st.text(max_size=12))
def test_no_text_at_all_makes_the_day_parser_fail_in_another_way(text):
    with contextlib.suppress(RequestError):
        assert params.day("start", text).isoformat() == text


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2026, 3, 10)), st.integers(min_value=1, max_value=366))
def test_a_range_from_its_end_alone_has_the_default_length(end, default_days):
    assert len(days_of(default_days, end=end.isoformat())) == default_days


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("day", ("day",)),
        ("service,day", ("service", "day")),
        ("chargeCategory,provider,service,subAccount,account,day",) * 2,
    ],
)
def test_groups_keep_the_order_they_are_given_in(value, wanted):
    assert params.groups(value) == (tuple(wanted.split(",")) if isinstance(wanted, str) else wanted)


@pytest.mark.parametrize("value", ["", ",", "day,", "day,day", "Day", "currency", "day;service", "day, service"])
def test_bad_groups_are_refused_with_the_list_of_good_ones(value):
    with pytest.raises(RequestError) as caught:
        params.groups(value)
    assert caught.value.field == "groupBy"


def test_a_parameter_given_twice_or_unknown_is_refused():
    with pytest.raises(RequestError, match="more than once"):
        params.one_of_each({"start": ["a", "b"]}, ("start",))
    with pytest.raises(RequestError, match="start, end"):
        params.one_of_each({"Start": "a"}, ("start", "end"))
    with pytest.raises(RequestError, match="no parameters"):
        params.one_of_each({"x": "1"}, ())


def test_a_name_that_is_repeated_to_its_sender_is_short_and_harmless():
    assert params.shown("a\x1b[31m\n" + "b" * 100) == "a?[31m?" + "b" * 53


@pytest.mark.parametrize("value", ["", " " * 201, "a\x00b", "a\nb", "\ud800", 7, None, ["one"], {}])
def test_an_account_that_no_database_could_look_up_is_refused(value):
    with pytest.raises(RequestError) as caught:
        params.account_name(value)
    assert caught.value.field == "account"


def test_an_account_may_be_named_in_any_script():
    assert params.account_name("B\u00fcro \u6771\u4eac") == "B\u00fcro \u6771\u4eac"


@pytest.mark.parametrize(("value", "wanted"), [("1", 1), ("50", 50), ("500", 500), ("007", 7)])
def test_a_limit_is_one_to_five_hundred(value, wanted):
    assert params.run_filter({"limit": value}).limit == wanted


@pytest.mark.parametrize("value", ["", "0", "501", "-1", "1.0", "1e2", "ten", "99999999999", "\u0661"])
def test_other_limits_are_refused(value):
    with pytest.raises(RequestError) as caught:
        params.run_filter({"limit": value})
    assert caught.value.field == "limit"


def test_a_filter_takes_every_state_and_kind():
    for state in RunState:
        assert params.run_filter({"state": state.value}).state is state
    for kind in RunKind:
        assert params.run_filter({"kind": kind.value}).kind is kind
    assert params.run_filter({}) == params.RunFilter(limit=50)


@pytest.mark.parametrize(("field", "kind"), [("state", RunState), ("kind", RunKind), ("metric", Metric)])
@pytest.mark.parametrize("value", ["", "PENDING", "nonsense", "pending,queued"])
def test_a_value_outside_an_enumeration_is_refused_with_all_of_it(field, kind, value):
    with pytest.raises(RequestError) as caught:
        params.choice(field, kind, value)
    assert all(member.value in caught.value.allowed for member in kind)


@pytest.mark.parametrize("value", ["0", "-1", "01", "abc", "", "1.0", " 1", "9223372036854775808", "9" * 40, "\u0661"])
def test_what_cannot_be_a_run_is_an_unknown_run(value):
    with pytest.raises(UnknownRunError):
        params.run_id(value)


def test_the_largest_run_id_is_one():
    assert params.run_id("9223372036854775807") == 2**63 - 1


@pytest.mark.parametrize("key", ["a", "costs:v1:0123abcd", "A.b_c-d@e+f=g,h", "x" * 200])
def test_a_cache_key_may_have_these_characters(key):
    assert params.cache_key(key) == key


@pytest.mark.parametrize("key", ["", "a b", "a*", "a\n", "x" * 201, "\u00fc", "a/b", "\x00"])
def test_other_cache_keys_are_refused(key):
    with pytest.raises(RequestError) as caught:
        params.cache_key(key)
    assert caught.value.field == "key"


@pytest.mark.parametrize("key", [None, "a", "2026-03-10 nightly", "~" * 200])
def test_an_idempotency_key_is_printable_ascii(key):
    assert params.idempotency_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", "\xfc"])
def test_other_idempotency_keys_are_refused(key):
    with pytest.raises(RequestError) as caught:
        params.idempotency_key(key)
    assert caught.value.field == "Idempotency-Key"
