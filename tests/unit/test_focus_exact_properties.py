"""Amounts of any notation against Python's own decimals."""

from decimal import Context, Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

# Hypothesis keeps hold of these tests and their globals to the end, and DuckDB complains at exit of types that live on:
# what leads to DuckDB is imported inside.

EXACT = Context(prec=400, Emin=-999_999, Emax=999_999)
DIGITS_BEFORE = 20
DIGITS_AFTER = 18


def storable(value: Decimal) -> bool:
    scaled = value.scaleb(DIGITS_AFTER, context=EXACT)
    return scaled == scaled.to_integral_value(context=EXACT) and value.copy_abs() < Decimal(10) ** DIGITS_BEFORE


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
@example(["-99999999999999999999." + "9" * 18, "." + "0" * 17 + "1e-1", "0" * 60 + "1e-18", "1" + "0" * 50 + "e-40"])
def test_every_written_number_is_kept_exactly_or_refused(texts):
    values = [EXACT.create_decimal(text) for text in texts]
    from tests.support.focus_sql import amounts, opened

    with opened() as sql:
        assert amounts(sql, texts) == [value if storable(value) else None for value in values]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e19, max_value=1e19), min_size=20))
@example([0.1, 1.2345678901234567e-05, 5e-324])
def test_a_double_is_its_shortest_decimal_to_eighteen_digits_after_the_point(doubles):
    from tests.support.focus_sql import amounts, opened

    with opened() as sql:
        stored = amounts(sql, [repr(double) for double in doubles], rounded=True)
    for double, found in zip(doubles, stored, strict=True):
        assert found is not None
        assert abs(EXACT.subtract(found, Decimal(repr(double)))) <= Decimal("0.5e-18")
