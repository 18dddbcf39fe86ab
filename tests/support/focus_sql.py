"""The SQL that reads amounts, in a DuckDB of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

import duckdb

from shared.costs.focus.exact import MACROS


@contextmanager
def opened() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for macro in MACROS:
            connection.execute(macro)
        yield connection


def amounts(
    sql: duckdb.DuckDBPyConnection, texts: Sequence[str | None], *, rounded: bool = False
) -> list[Decimal | None]:
    # Through a table, since constants are folded by other code than columns are computed with.
    found = sql.execute(
        "SELECT CAST(amount(given, rounded) AS VARCHAR) FROM (SELECT unnest(?) AS given, unnest(?) AS rounded)",
        [list(texts), [rounded] * len(texts)],
    ).fetchall()
    return [None if text is None else Decimal(text) for (text,) in found]


def amount(sql: duckdb.DuckDBPyConnection, text: str | None, *, rounded: bool = False) -> Decimal | None:
    return amounts(sql, [text], rounded=rounded)[0]
