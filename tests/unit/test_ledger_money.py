from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.money import ExactSumAggregate, exact_text, plain, total

LARGEST = "9" * 14 + "." + "9" * 24
amounts = st.decimals(
    min_value=Decimal(-(10**13)), max_value=Decimal(10**13), allow_nan=False, allow_infinity=False, places=24
)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0"),
        ("-0.00", "0"),
        ("0E+50", "0"),
        ("0E-50", "0"),
        ("1E+3", "1000"),
        ("1.230", "1.23"),
        ("100", "100"),
        ("-0.000000000000000000000001", "-0.000000000000000000000001"),
        ("1.000000000000000000000000000000", "1"),
        ("1200E-26", "0.000000000000000000000012"),
        (LARGEST, LARGEST),
        ("-" + LARGEST, "-" + LARGEST),
    ],
)
def test_an_amount_is_written_plainly_and_without_trailing_zeros(amount, text):
    assert exact_text(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("amount", "problem"),
    [
        ("NaN", "not an amount"),
        ("sNaN", "not an amount"),
        ("Infinity", "not an amount"),
        ("-Infinity", "not an amount"),
        ("1E+14", "14 digits before the point"),
        ("1E+999999", "14 digits before the point"),
        ("0.0000000000000000000000001", "24 are kept"),
        ("1E-999999", "24 are kept"),
        ("1.1234567890123456789012345", "24 are kept"),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(amount, problem):
    with pytest.raises(ValueError, match=problem):
        exact_text(Decimal(amount))


@given(amounts)
def test_writing_and_reading_changes_nothing(amount):
    assert Decimal(exact_text(amount)) == amount


@given(st.lists(amounts, max_size=50))
def test_sums_are_exact_in_any_order(values):
    assert Fraction(total(values)) == sum(map(Fraction, values))
    assert total(values) == total(sorted(values))


@given(st.lists(amounts, max_size=20))
def test_the_aggregate_of_sqlite_adds_exactly(values):
    aggregate = ExactSumAggregate()
    for value in values:
        aggregate.step(exact_text(value))
    aggregate.step(None)
    assert Decimal(aggregate.finalize()) == total(values)


def test_a_tiny_amount_survives_beside_a_huge_one():
    assert total([Decimal(LARGEST), Decimal("-" + LARGEST), Decimal("0.000000000000000000000001")]) == Decimal("1E-24")


@pytest.mark.parametrize(("amount", "text"), [("1E+2", "100"), ("-0.0", "0"), ("10.50", "10.5")])
def test_plain_has_neither_exponent_nor_trailing_zeros(amount, text):
    assert str(plain(Decimal(amount))) == text
