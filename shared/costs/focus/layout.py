"""A layout: files whose columns are the same, read by one scan; each FOCUS column as one SQL expression over it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import escape
from typing import Final

from shared.core.errors import ProviderError
from shared.costs.focus.columns import (
    BILLED,
    CATEGORY,
    CURRENCY,
    EFFECTIVE,
    PERIOD,
    PROVIDER,
    SERVICE,
    SERVICE_PROVIDER,
    SUB_ACCOUNT,
    Columns,
    find_columns,
)
from shared.costs.focus.errors import bad_columns
from shared.costs.focus.files import SourceFile
from shared.costs.focus.header import Connection, Field, read_header

EXACT_TYPES: Final = ("DECIMAL", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
                      "UINTEGER", "UBIGINT", "UHUGEINT")  # fmt: skip
FLOAT_TYPES: Final = ("DOUBLE", "FLOAT")
ZONED: Final = "TIMESTAMP WITH TIME ZONE"
ZONELESS: Final = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
TEXT: Final = "VARCHAR"
NULL_WORD: Final = "NULL"


@dataclass(frozen=True, slots=True)
class Layout:
    """Files with the same columns. `fields` are all of them, `columns` says which are read."""

    files: tuple[SourceFile, ...]
    fields: tuple[Field, ...]
    columns: Columns

    @property
    def is_parquet(self) -> bool:
        """All files of a layout are of one format."""
        return self.files[0].is_parquet


def find_layouts(connection: Connection, files: Sequence[SourceFile]) -> list[Layout]:
    """Read the header of each file and put those alike together. Raises ProviderError when one is not FOCUS."""
    alike: dict[tuple[bool, tuple[Field, ...]], list[SourceFile]] = {}
    for file in files:
        alike.setdefault((file.is_parquet, read_header(connection, file)), []).append(file)
    return [_layout(tuple(group), fields) for (_, fields), group in alike.items()]


def single_file_layouts(layouts: Sequence[Layout]) -> list[Layout]:
    """The same files, each on its own, by path."""
    singles = [replace(layout, files=(file,)) for layout in layouts for file in layout.files]
    return sorted(singles, key=lambda layout: layout.files[0].path)


def _layout(files: tuple[SourceFile, ...], fields: tuple[Field, ...]) -> Layout:
    layout = Layout(files, fields, find_columns(files[0].path, [field.name for field in fields]))
    row_sql(layout)  # raises for a type that is of no use, before anything is scanned
    return layout


def scan_sql(layout: Layout) -> str:
    """The table function that reads the layout's files. Names are quoted, and no character of theirs is a wildcard."""
    names = ", ".join(quoted(escape(file.path)) for file in layout.files)
    if layout.is_parquet:
        return f"read_parquet([{names}])"
    columns = ", ".join(f"{quoted(f'c{position}')}: 'VARCHAR'" for position in range(len(layout.fields)))
    return (
        f"read_csv([{names}], columns = {{{columns}}}, auto_detect = false, header = true, "
        f"delim = ',', quote = '\"', escape = '\"', nullstr = ['', '{NULL_WORD}'])"
    )


def given(layout: Layout, name: str) -> str | None:
    """The value as text as the file gives it, NULL when empty; None when there is no such column."""
    position = layout.columns.at(name)
    if position is None:
        return None
    if not layout.is_parquet:
        return f"c{position}"
    column = _parquet_column(layout, position)
    if layout.fields[position].type == TEXT:
        return f"nullif(nullif({column}, ''), '{NULL_WORD}')"
    return f"CAST({column} AS VARCHAR)"


def text_sql(layout: Layout, name: str) -> str:
    """A column as text, NULL for what is absent. ServiceProviderName stands in where ProviderName says nothing."""
    names = (PROVIDER, SERVICE_PROVIDER) if name == PROVIDER else (name,)
    present = [expression for each in names if (expression := given(layout, each)) is not None]
    if len(present) > 1:
        return f"coalesce({', '.join(present)})"
    return present[0] if present else "CAST(NULL AS VARCHAR)"


def amount_sql(layout: Layout, name: str) -> str:
    """A cost as an exact decimal, NULL when it is none. Doubles may be rounded: they are not exact to begin with."""
    kind = _type(layout, name)
    if kind in FLOAT_TYPES:
        return f"amount({given(layout, name)}, true)"
    if kind == TEXT or kind.startswith(EXACT_TYPES):
        return f"amount({given(layout, name)}, false)"
    raise _wrong_type(layout, name, "a decimal, an integer, a double or text")


def day_sql(layout: Layout) -> str:
    """The UTC day of ChargePeriodStart, NULL when it is no instant."""
    kind = _type(layout, PERIOD)
    position = layout.columns.positions[PERIOD]
    if kind == TEXT:
        return f"utc_day({given(layout, PERIOD)})"
    if kind == ZONED:
        return f"CAST({_parquet_column(layout, position)} AT TIME ZONE 'UTC' AS DATE)"
    if kind in ZONELESS:
        return f"CAST({_parquet_column(layout, position)} AS DATE)"
    raise _wrong_type(layout, PERIOD, "a timestamp, a date or text")


def row_sql(layout: Layout) -> str:
    """SELECT list of the columns that both the aggregation and the search for a bad row need."""
    return (
        f"{day_sql(layout)} AS day, "
        f"{text_sql(layout, SUB_ACCOUNT)} AS sub_account, {text_sql(layout, PROVIDER)} AS provider_name, "
        f"{text_sql(layout, SERVICE)} AS service, {text_sql(layout, CATEGORY)} AS charge_category, "
        f"{text_sql(layout, CURRENCY)} AS currency, "
        f"{amount_sql(layout, BILLED)} AS billed, {amount_sql(layout, EFFECTIVE)} AS effective"
    )


def quoted(text: str) -> str:
    """`text` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _type(layout: Layout, name: str) -> str:
    return layout.fields[layout.columns.positions[name]].type


def _parquet_column(layout: Layout, position: int) -> str:
    return '"' + layout.fields[position].name.replace('"', '""') + '"'


def _wrong_type(layout: Layout, name: str, allowed: str) -> ProviderError:
    return bad_columns(
        layout.files[0].path,
        f"column {name} is of type {_type(layout, name)}",
        hint=f"Export it as {allowed}",
    )
