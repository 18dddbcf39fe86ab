"""The queries over FOCUS files: one scan that adds up, and one that finds the first bad row when there is any.

SQL is put together from our own constants; what comes from outside (file and column names) is quoted in `layout`.
"""

# ruff: noqa: S608

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from shared.core.costs import DIGITS_AFTER_POINT, DIGITS_BEFORE_POINT, CostRow
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.costs.focus.columns import BILLED, CATEGORY, CURRENCY, EFFECTIVE, PERIOD, PROVIDER, SERVICE, SUB_ACCOUNT
from shared.costs.focus.errors import bad_row, shortened
from shared.costs.focus.exact import NUMBER
from shared.costs.focus.header import Connection
from shared.costs.focus.layout import Layout, row_sql, scan_sql, single_file_layouts, text_sql

BATCH_ROWS: Final = 10_000
CURRENCY_CODE: Final = "[A-Z]{3}"
TEXTS: Final = (SUB_ACCOUNT, PROVIDER, SERVICE, CATEGORY)

# What can be wrong with a row by itself, and with what it shares with its whole group: that is looked at once a group.
BAD_AMOUNT: Final = "(billed IS NULL OR effective IS NULL)"
# PostgreSQL's text cannot hold the character NUL.
BAD_GROUP: Final = (
    f"(day IS NULL OR regexp_full_match(currency, '{CURRENCY_CODE}') IS NOT TRUE "
    "OR contains(concat(sub_account, provider_name, service, charge_category), chr(0)))"
)


class Sums(NamedTuple):
    """The aggregated rows, and whether a bad one was among those that were added up."""

    rows: list[CostRow]
    bad: bool


def aggregate(connection: Connection, layouts: Sequence[Layout], days: DayRange) -> Sums:
    """Add up the rows of `days`. Rows of other days are left out unjudged; one without a readable day is bad."""
    scans = " UNION ALL ".join(f"SELECT {row_sql(layout)} FROM {scan_sql(layout)}" for layout in layouts)
    cursor = connection.execute(
        # NULL becomes "" after the adding up: for each group, not for each row.
        "SELECT day, coalesce(sub_account, ''), coalesce(provider_name, ''), coalesce(service, ''), "
        "coalesce(charge_category, ''), currency, "
        f"{_plain_sum('billed')}, {_plain_sum('effective')}, bool_or{BAD_AMOUNT} OR {BAD_GROUP} "
        f"FROM ({scans}) WHERE {_wanted(days)} "
        "GROUP BY day, sub_account, provider_name, service, charge_category, currency"
    )
    rows: list[CostRow] = []
    while batch := cursor.fetchmany(BATCH_ROWS):
        for *group, billed, effective, bad in batch:
            if bad:
                return Sums([], bad=True)
            rows.append(CostRow._make((*group, Decimal(billed), Decimal(effective))))
    return Sums(rows, bad=False)


def first_bad_row(connection: Connection, layouts: Sequence[Layout], days: DayRange) -> ProviderError | None:
    """The first row of the first file, by path, that cannot be taken over. None when there is none (any more)."""
    connection.execute("SET threads = 1")  # rows are numbered in the order of the file
    for layout in single_file_layouts(layouts):
        found = connection.execute(
            "SELECT row, day IS NULL, billed IS NULL, effective IS NULL, given_period, given_billed, given_effective, "
            "currency, sub_account, provider_name, service, charge_category "
            f"FROM (SELECT row_number() OVER () AS row, {row_sql(layout)}, {text_sql(layout, PERIOD)} AS given_period, "
            f"{text_sql(layout, BILLED)} AS given_billed, {text_sql(layout, EFFECTIVE)} AS given_effective "
            f"FROM {scan_sql(layout)}) WHERE {_wanted(days)} AND ({BAD_AMOUNT} OR {BAD_GROUP}) LIMIT 1"
        ).fetchone()
        if found is not None:
            return _explained(layout.files[0].path, found)
    return None


def _explained(file: str, found: tuple[object, ...]) -> ProviderError:
    row, no_day, no_billed, no_effective, *given = found
    period, billed, effective, currency, *texts = (str(text or "") for text in given)
    if no_day:
        column, reason = PERIOD, period_problem(period)
    elif no_billed:
        column, reason = BILLED, amount_problem(billed)
    elif no_effective:
        column, reason = EFFECTIVE, amount_problem(effective)
    elif not re.fullmatch(CURRENCY_CODE, currency):
        column, reason = CURRENCY, currency_problem(currency)
    else:
        column = next(name for name, text in zip(TEXTS, texts, strict=True) if "\0" in text)
        reason = "holds the character NUL, which cannot be stored"
    return bad_row(file, int(str(row)), column, reason)


def amount_problem(given: str) -> str:
    """Why `given` (empty for NULL) is no amount that can be stored."""
    if not given:
        return "is empty, where FOCUS wants an amount"
    if re.match(NUMBER, given.strip()) and re.search("[0-9]", given):
        return (
            f"{shortened(given)} has more digits than are kept exactly "
            f"({DIGITS_BEFORE_POINT} before the point, {DIGITS_AFTER_POINT} after)"
        )
    return f"{shortened(given)} is not a number"


def period_problem(given: str) -> str:
    """Why `given` (empty for NULL) is no instant."""
    if not given:
        return "is empty, where FOCUS wants a date and time"
    return f"{shortened(given)} is not a date and time such as 2024-09-01T00:00:00Z"


def currency_problem(given: str) -> str:
    """Why `given` (empty for NULL) is no currency."""
    if not given:
        return "is empty, where FOCUS wants a currency"
    return f"{shortened(given)} is not a currency code of three capital letters, such as EUR"


def _wanted(days: DayRange) -> str:
    return f"(day IS NULL OR day BETWEEN DATE '{days.start}' AND DATE '{days.end}')"


def _plain_sum(column: str) -> str:
    """A sum as text without trailing zeros. As a Decimal, DuckDB's zero would print as 0E-24."""
    return f"rtrim(rtrim(CAST(sum({column}) AS VARCHAR), '0'), '.')"
