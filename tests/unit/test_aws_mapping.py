"""What Cost Explorer's pages become, and which of them are refused."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.costs import totals_by_day
from shared.core.days import ONE_DAY, DayRange
from shared.costs.aws.mapping import AnswerError, exact, rows_of, totals_of
from shared.ledger.money import exact_text

DAYS = DayRange(date(2026, 1, 1), date(2026, 1, 3))
FIRST, SECOND, THIRD = DAYS


def metrics(unblended: str = "1.5", amortized: str = "2", unit: str = "USD") -> dict[str, Any]:
    return {
        "UnblendedCost": {"Amount": unblended, "Unit": unit},
        "AmortizedCost": {"Amount": amortized, "Unit": unit},
    }


def group(account: str = "111111111111", service: str = "AWS Lambda", **amounts: str) -> dict[str, Any]:
    return {"Keys": [account, service], "Metrics": metrics(**amounts)}


def result(day: date, *groups: dict[str, Any], estimated: bool = False, end: date | None = None) -> dict[str, Any]:
    period = {"Start": str(day), "End": str(end or day + ONE_DAY)}
    return {"TimePeriod": period, "Total": {}, "Groups": list(groups), "Estimated": estimated}


def page(*results: dict[str, Any]) -> dict[str, Any]:
    return {"ResultsByTime": list(results)}


def test_unblended_is_billed_and_amortized_is_effective():
    (row,) = rows_of([page(result(FIRST, group(unblended="1.10", amortized="-0.07")))], DAYS).rows
    assert row == (FIRST, "111111111111", "AWS", "AWS Lambda", "", "USD", Decimal("1.10"), Decimal("-0.07"))


def test_a_day_cut_in_two_by_a_page_is_one_day():
    pages = [page(result(FIRST, group(service="a"))), page(result(FIRST, group(service="b")), result(SECOND))]
    assert [(row.day, row.service) for row in rows_of(pages, DAYS).rows] == [(FIRST, "a"), (FIRST, "b")]


def test_a_group_that_costs_nothing_is_kept():
    rows = rows_of([page(result(FIRST, group(unblended="0", amortized="0")))], DAYS).rows
    assert [(row.billed, row.effective) for row in rows] == [(Decimal(0), Decimal(0))]


def test_currencies_of_one_day_stand_apart():
    rows = rows_of([page(result(FIRST, group(unit="USD"), group(unit="CNY")))], DAYS).rows
    assert [total.currency for total in totals_by_day(rows)] == ["CNY", "USD"]


def test_a_day_is_estimated_if_any_page_says_so():
    pages = [
        page(result(FIRST), result(SECOND, group(service="a"), estimated=True)),
        page(result(SECOND, group(service="b")), result(THIRD)),
    ]
    assert rows_of(pages, DAYS).estimated_days == {SECOND}


def test_a_day_that_aws_does_not_speak_of_is_not_final():
    assert rows_of([page(result(FIRST), result(THIRD))], DAYS).estimated_days == {SECOND}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({}, "no results by time"),
        ({"ResultsByTime": None}, "no results by time"),
        (page({"Groups": []}), "is no day"),
        (page(result(FIRST, end=FIRST + 2 * ONE_DAY)), "no single day"),
        (page(result(DAYS.start - ONE_DAY)), "outside the days"),
        (page(result(DAYS.end + ONE_DAY)), "outside the days"),
        (page(result(FIRST, group(), group())), "comes twice"),
        (page(result(FIRST, {"Keys": ["only one"], "Metrics": metrics()})), "in place of an account and a service"),
        (page(result(FIRST, {"Keys": None, "Metrics": metrics()})), "in place of an account and a service"),
        (page(result(FIRST, {"Keys": ["a", "b"], "Metrics": {}})), "UnblendedCost, AmortizedCost is missing"),
        (page(result(FIRST, group(unit="N/A"))), "is no currency"),
        (page(result(FIRST, group(unblended="1,5"))), "is no amount"),
        (page(result(FIRST, group(amortized="NaN"))), "is no amount"),
        (page(result(FIRST, group(unblended="Infinity"))), "is no amount"),
        (page(result(FIRST, group(unblended="1" * 15))), "more than 14 digits before the point"),
        (page(result(FIRST, group(unblended="0." + "1" * 25))), "more than 24 digits after the point"),
    ],
)
def test_an_answer_that_cannot_be_taken_over_exactly_is_refused(answer, told):
    with pytest.raises(AnswerError, match=told):
        rows_of([answer], DAYS)


def test_a_group_that_comes_again_on_the_next_page_is_refused():
    with pytest.raises(AnswerError, match="2026-01-01: the group 111111111111, AWS Lambda comes twice"):
        rows_of([page(result(FIRST, group())), page(result(FIRST, group()))], DAYS)


def test_one_group_in_two_currencies_is_refused():
    mixed = {"Keys": ["a", "b"], "Metrics": metrics() | {"AmortizedCost": {"Amount": "1", "Unit": "EUR"}}}
    with pytest.raises(AnswerError, match="several currencies, EUR, USD"):
        rows_of([page(result(FIRST, mixed))], DAYS)


def test_totals_come_in_the_order_of_days():
    pages = [page(*(result(day) | {"Total": metrics(unblended=str(day.day))} for day in (SECOND, FIRST)))]
    assert [(total.day, total.billed) for total in totals_of(pages, DAYS)] == [
        (FIRST, Decimal(1)),
        (SECOND, Decimal(2)),
    ]


def test_a_total_that_comes_twice_is_refused():
    with pytest.raises(AnswerError, match="comes twice"):
        totals_of([page(*[result(FIRST) | {"Total": metrics()}] * 2)], DAYS)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.0000300172", Decimal("0.0000300172")),
        ("4E-10", Decimal("0.0000000004")),
        ("-0.0000000028", Decimal("-0.0000000028")),
        ("1.2345678901234567E-09", Decimal("0.000000001234567890123457")),
        ("1e-30", Decimal(0)),
        ("99999999999999", Decimal(99999999999999)),
        ("0", Decimal(0)),
    ],
)
def test_amounts_are_exact_and_doubles_rounded_to_what_is_kept(text, amount):
    assert exact(FIRST, text) == amount
    assert exact_text(exact(FIRST, text)) == exact_text(amount)


amounts = st.decimals(min_value=-(10**13), max_value=10**13, places=10, allow_nan=False, allow_infinity=False)
keys = st.tuples(st.sampled_from(list(DAYS)), st.sampled_from("abc"), st.sampled_from("wxyz"))


@given(st.dictionaries(keys, st.tuples(amounts, amounts)), st.data())
def test_whatever_the_pages_the_sums_are_those_of_the_groups(charges, data):
    singles = [
        result(day, group(account, service, unblended=str(billed), amortized=str(effective)))
        for (day, account, service), (billed, effective) in charges.items()
    ]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(singles)), max_size=3)))
    pages = [page(*singles[start:end]) for start, end in zip([0, *cuts], [*cuts, len(singles)], strict=True)]
    rows = rows_of(pages, DAYS).rows
    assert {(row.day, row.sub_account, row.service): (row.billed, row.effective) for row in rows} == charges
    assert sum(total.billed for total in totals_by_day(rows)) == sum(billed for billed, _ in charges.values())
