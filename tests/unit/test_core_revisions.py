"""What counts as a change of a day that was collected before, and how changes are told in short."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.costs import Metric
from shared.core.revisions import Amounts, Change, Restatement, Service, changes, sums_by_service
from tests.support.ledger import cost_row

DAY = date(2026, 1, 5)
NEXT = date(2026, 1, 6)
COMPUTE = Service(DAY, "compute", "USD")

amounts = st.decimals(min_value=Decimal(-99999999999999), max_value=Decimal(99999999999999), places=24, allow_nan=False)


def of(billed: str, effective: str | None = None) -> Amounts:
    return Amounts(Decimal(billed), Decimal(effective or billed))


def test_rows_are_added_by_day_service_and_currency_and_by_nothing_else():
    rows = [
        cost_row(DAY, billed="1", effective="10", sub_account="a"),
        cost_row(DAY, billed="2", effective="20", sub_account="b", charge_category="Tax", provider_name="Other"),
        cost_row(DAY, billed="4", effective="40", currency="EUR"),
        cost_row(NEXT, billed="8", effective="80"),
    ]
    assert sums_by_service(rows) == {
        COMPUTE: of("3", "30"),
        Service(DAY, "compute", "EUR"): of("4", "40"),
        Service(NEXT, "compute", "USD"): of("8", "80"),
    }


@given(st.lists(amounts, min_size=1, max_size=30))
def test_sums_are_exact_whatever_the_sizes(found: list[Decimal]):
    rows = [cost_row(DAY, billed=str(amount), sub_account=str(number)) for number, amount in enumerate(found)]
    assert Fraction(sums_by_service(rows)[COMPUTE].billed) == sum(map(Fraction, found))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({COMPUTE: of("1.5")}, {COMPUTE: of("1.500")}),
        ({COMPUTE: of("0")}, {COMPUTE: of("-0")}),
        ({COMPUTE: of("100")}, {COMPUTE: of("1E+2")}),
    ],
)
def test_equal_numbers_are_no_change(before, after):
    assert changes(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "risen"),
    [
        (None, of("2"), "2"),
        (of("2"), None, "-2"),
        (of("2"), of("3"), "1"),
        (of("2", "1"), of("2", "3"), "0"),
        (of("0"), None, "0"),
    ],
)
def test_everything_else_is_one(before, after, risen):
    sides = [{COMPUTE: side} if side else {} for side in (before, after)]
    assert changes(*sides) == [Change(COMPUTE, before, after)]
    assert changes(*sides)[0].risen(Metric.BILLED) == Decimal(risen)


def test_a_change_has_risen_by_each_metric_s_own_amounts():
    change = Change(COMPUTE, of("2", "10"), of("3", "14"))
    assert [change.risen(metric) for metric in (Metric.BILLED, Metric.EFFECTIVE)] == [Decimal(1), Decimal(4)]


def test_changes_come_by_day_service_and_currency():
    keys = [Service(NEXT, "a", "USD"), Service(DAY, "b", "USD"), Service(DAY, "a", "USD"), Service(DAY, "a", "EUR")]
    assert [change.of for change in changes({}, dict.fromkeys(keys, of("1")))] == keys[::-1]


def test_a_change_that_is_none_cannot_be_built():
    with pytest.raises(ValueError, match=r"^a change needs two sides that differ$"):
        Change(COMPUTE, of("1"), of("1.0"))


def test_a_restatement_tells_the_days_the_services_and_the_invoiced_difference_by_currency():
    changed = [
        Change(Service(NEXT, "a", "USD"), of("1", "2"), of("4", "9")),
        Change(Service(DAY, "a", "USD"), of("1"), None),
        Change(Service(DAY, "b", "EUR"), None, of("0.1")),
    ]
    told = Restatement.of(changed)
    assert told.days == (DAY, NEXT)
    assert told.services == 2
    assert told.difference == {"EUR": Decimal("0.1"), "USD": Decimal(2)}
    assert list(told.difference) == ["EUR", "USD"]


def test_a_rename_makes_no_difference():
    told = Restatement.of(changes({COMPUTE: of("5")}, {Service(DAY, "renamed", "USD"): of("5")}))
    assert (told.services, told.difference) == (2, {"USD": Decimal(0)})
