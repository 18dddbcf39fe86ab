"""Text to exact decimals and UTC days, in DuckDB's SQL."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import duckdb
import pytest

from tests.support.focus_sql import amount, opened


@pytest.fixture(scope="module")
def sql() -> Iterator[duckdb.DuckDBPyConnection]:
    with opened() as connection:
        yield connection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12.34", "12.34"),
        ("+1.5", "1.5"),
        ("-0.00000000000", "0"),
        (".5", "0.5"),
        ("5.", "5"),
        (" 1.5 ", "1.5"),
        ("8e-7", "0.0000008"),
        ("1E+3", "1000"),
        ("-.5e-3", "-0.0005"),
        ("123456.789E-12", "0.000000123456789"),
        ("1e13", "10000000000000"),
        ("1e-24", "0.000000000000000000000001"),
        ("10e-25", "0.000000000000000000000001"),
        ("9.67741935483871E-05", "0.0000967741935483871"),
        ("1.2345678901234567e-08", "0.000000012345678901234567"),
        ("0e999999999", "0"),
        ("0000000000000000000000000000000000000000000001.50", "1.5"),
        ("1.500000000000000000000000000000000000000000", "1.5"),
        ("12345678901234.123456789012345678901234", "12345678901234.123456789012345678901234"),
        ("-99999999999999.999999999999999999999999", "-99999999999999.999999999999999999999999"),
    ],
)
def test_an_amount_is_the_same_number_whatever_its_notation(sql, text, expected):
    assert amount(sql, text) == Decimal(expected)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "+", "-", "e5", ".e5", "1e", "1e+", "--1", "1.2.3", "1,5", "1.000,50", "1_000", "0x1F", "true"),
        *("NaN", "inf", "-Infinity", "$5", "5 USD", "1 2", "٣", "1\n2", "1e9999999999"),
    ],
)
def test_what_is_no_number_is_told_from_one(sql, text):
    assert amount(sql, text) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1.0000000000000000000000005",
            "100000000000000",
            "1e14",
            "1e300",
            "99999999999999.99999999999999999999999951e0",
        ),
        *("123456789012345.5", "0.1234567890123456789012345"),
    ],
)
def test_an_amount_with_more_digits_than_are_kept_is_refused_rather_than_rounded(sql, text):
    assert amount(sql, text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2345678901234567E-09", "0.000000001234567890123457"),
        ("-1.2345678901234562E-09", "-0.000000001234567890123456"),
        ("5e-25", "0"),
        ("51e-26", "1e-24"),
        ("15E-25", "2e-24"),
        ("-25E-25", "-2e-24"),
        ("2.50e-24", "2e-24"),
        ("35E-25", "4e-24"),
        ("2.5000000000000002e-24", "3e-24"),
        ("9.9999999999999999e-08", "9.9999999999999999e-08"),
        ("0.9999999999999999999999995e0", "1"),
        ("4.9e-324", "0"),
        ("-1e-300", "0"),
    ],
)
def test_an_amount_with_an_exponent_is_a_double_and_rounded_half_to_even_at_the_last_place(sql, text, expected):
    assert amount(sql, text) == Decimal(expected)


def test_no_amount_is_no_number(sql):
    assert amount(sql, None) is None


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e+14"])
def test_a_double_that_is_no_storable_number_is_refused(sql, text):
    assert amount(sql, text, rounded=True) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-09-18 23:00:00", date(2024, 9, 18)),
        ("2024-09-18T23:59:59.999999999Z", date(2024, 9, 18)),
        ("2024-09-18T23:00Z", date(2024, 9, 18)),
        ("2024-09-18", date(2024, 9, 18)),
        ("2024-09-18 23:00:00 UTC", date(2024, 9, 18)),
        ("2024-09-18T01:30:00+02:00", date(2024, 9, 17)),
        ("2024-09-18T01:30:00+02", date(2024, 9, 17)),
        ("2024-09-18 21:00:00-0330", date(2024, 9, 19)),
        ("2024-02-29", date(2024, 2, 29)),
        ("2023-02-29", None),
        ("2024-13-01", None),
        ("2024-09-18T25:00:00Z", None),
        ("18/09/2024", None),
        ("20240918", None),
        ("2024-9-8", None),
        ("infinity", None),
        ("epoch", None),
        ("2024-09-18T23:00:00 Europe/Berlin", None),
        ("", None),
        (None, None),
    ],
)
def test_a_row_belongs_to_the_utc_day_its_charge_period_starts_on(sql, text, expected):
    found = sql.execute("SELECT utc_day(given) FROM (SELECT unnest([?]) AS given)", [text]).fetchone()
    assert found == (expected,)
