"""Amounts of any notation against Python's own decimals."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

# Hypothesis keeps hold of these tests and their globals to the end, and DuckDB complains at exit of types that live on:
# what leads to DuckDB is imported inside.

EXACT = Context(prec=400, Emin=-999_999, Emax=999_999)
LAST_PLACE = Decimal("1e-24")
LIMIT = Decimal("1e14")


def kept(value: Decimal) -> Decimal:
    return value.quantize(LAST_PLACE, ROUND_HALF_EVEN, EXACT)


def expected(text: str) -> Decimal | None:
    value = kept(EXACT.create_decimal(text))
    was_double = "e" in text.lower()
    return value if value.copy_abs() < LIMIT and (was_double or value == EXACT.create_decimal(text)) else None


@st.composite
def written_numbers(draw: st.DrawFn) -> str:
    sign = draw(st.sampled_from(["", "+", "-"]))
    digits = draw(st.text("0123456789", min_size=1, max_size=45))
    point = draw(st.none() | st.integers(0, len(digits)))
    exponent = draw(st.sampled_from(["", "e{}", "E{}", "e+{:02}"])).format(draw(st.integers(0, 60)))
    negative = draw(st.booleans())
    written = digits if point is None else f"{digits[:point]}.{digits[point:]}"
    return sign + written + (exponent.replace("e", "e-", 1) if negative and "+" not in exponent else exponent)


@settings(max_examples=40, deadline=None)
@given(st.lists(written_numbers(), min_size=30, max_size=60))
@example(["-99999999999999." + "9" * 24, "." + "0" * 23 + "1e-1", "0" * 60 + "1e-24", "1" + "0" * 50 + "e-40"])
@example(
    ["99999999999999." + "9" * 24 + "5e0", "." + "0" * 24 + "5E0", "." + "0" * 24 + "50", "1." + "2" * 24 + "5e+00"]
)
def test_every_written_number_is_kept_exactly_or_refused_unless_an_exponent_tells_that_it_was_a_double(texts):
    from tests.support.focus_sql import amounts, opened

    with opened() as sql:
        assert amounts(sql, texts) == [expected(text) for text in texts]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-9e13, max_value=9e13), min_size=20))
@example([0.1, 1.2345678901234567e-05, 1.2345678901234565e-09, 2.5e-24, 3.5e-24, 5e-324])
def test_a_double_is_its_shortest_decimal_rounded_half_to_even_to_twenty_four_digits_after_the_point(doubles):
    from tests.support.focus_sql import amounts, opened

    with opened() as sql:
        stored = amounts(sql, [repr(double) for double in doubles], rounded=True)
    assert stored == [kept(Decimal(repr(double))) for double in doubles]
