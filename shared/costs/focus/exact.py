"""SQL that reads text as exact decimals and UTC days. Nothing here passes through a float.

The usual amount ("12.34", up to 14 digits before the point and 24 after) is cast at once; DuckDB's cast is exact for
it. Its cast rounds whatever has more digits, takes "1_000" for a number and answers 0 for 1e-25, so that everything
else is taken apart and put together again digit by digit.

An amount with an exponent ("9.67741935483871E-05") is a double that somebody wrote as text. A double has up to 17
digits, as far behind the point as its exponent says: what of them is beyond the last place is rounded, half to even.
"""

from typing import Final

from shared.core.costs import DIGITS_AFTER_POINT, DIGITS_BEFORE_POINT

DECIMAL: Final = f"DECIMAL({DIGITS_BEFORE_POINT + DIGITS_AFTER_POINT},{DIGITS_AFTER_POINT})"

PLAIN: Final = rf"[+-]?[0-9]{{1,{DIGITS_BEFORE_POINT}}}(\.[0-9]{{0,{DIGITS_AFTER_POINT}}})?"
# Sign, digits before and after the point, exponent. The digits may be missing on one side (".5", "5.").
NUMBER: Final = r"^([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,9}))?$"
INSTANT: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z| UTC|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)

# A macro's argument is computed as often as it is written in the macro. list_transform over a list of one computes it
# once, as LET would; without it an amount with an exponent takes ten times as long.
MACROS: Final = (
    # The digits without leading zeros. The point stands before the first of them when `point` is 0.
    """
    CREATE MACRO placed(p) AS {
        'sign': p.sign,
        'is_number': p.whole <> '' OR p.fraction <> '',
        'is_double': p.exponent <> '',
        'digits': ltrim(p.whole || p.fraction, '0'),
        'point': length(ltrim(p.whole || p.fraction, '0')) - length(p.fraction)
            + coalesce(TRY_CAST(nullif(p.exponent, '') AS BIGINT), 0)}""",
    """
    CREATE MACRO significant(n) AS {
        'sign': n.sign, 'is_number': n.is_number, 'is_double': n.is_double, 'point': n.point,
        'digits': rtrim(n.digits, '0'), 'count': length(rtrim(n.digits, '0'))}""",
    f"""
    CREATE MACRO plain(n) AS n.sign || CASE
        WHEN n.point <= 0 THEN '0.' || repeat('0', least(-n.point, {DIGITS_AFTER_POINT + 1})) || n.digits
        WHEN n.point >= n.count THEN n.digits || repeat('0', n.point - n.count)
        ELSE n.digits[:n.point] || '.' || n.digits[n.point + 1:]
    END""",
    # NULL for what would have to be rounded, unless it may be: only doubles are. DuckDB's cast rounds a half away from
    # zero; a half is a single 5 too many, which is taken off where the digit before it is even.
    rf"""
    CREATE MACRO fitting(n, from_double) AS CASE
        WHEN NOT n.is_number THEN NULL
        WHEN n.count = 0 THEN CAST(0 AS {DECIMAL})
        WHEN n.point > {DIGITS_BEFORE_POINT} THEN NULL
        WHEN n.count - n.point <= {DIGITS_AFTER_POINT} THEN TRY_CAST(plain(n) AS {DECIMAL})
        WHEN NOT (from_double OR n.is_double) THEN NULL
        ELSE TRY_CAST(regexp_replace(plain(n), '(\.[0-9]{{{DIGITS_AFTER_POINT - 1}}}[02468])5$', '\1') AS {DECIMAL})
    END""",
    f"""
    CREATE MACRO amount(given, from_double) AS CASE
        WHEN regexp_full_match(given, '{PLAIN}') THEN TRY_CAST(given AS {DECIMAL})
        ELSE list_transform(
            [regexp_extract(trim(given), '{NUMBER}', ['sign', 'whole', 'fraction', 'exponent'])],
            lambda parts: list_transform(
                [placed(parts)],
                lambda number: list_transform([significant(number)], lambda n: fitting(n, from_double))[1])[1])[1]
    END""",
    # TIMESTAMPTZ, since a cast to TIMESTAMP ignores the zone in silence. No zone means UTC, the session's own.
    f"""
    CREATE MACRO utc_day(given) AS CASE WHEN regexp_full_match(given, '{INSTANT}')
        THEN CAST(TRY_CAST(given AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS DATE)
    END""",
)
