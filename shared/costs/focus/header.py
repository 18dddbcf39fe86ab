"""The columns a file says it has: the first record of a CSV, the schema of a Parquet file."""

import csv
import gzip
import io
import zlib
from glob import escape
from typing import Final, NamedTuple

import duckdb

from shared.core.costs import DIGITS_AFTER_POINT
from shared.costs.focus.columns import BILLED, EFFECTIVE
from shared.costs.focus.errors import bad_columns, bad_file, empty_file, unreadable
from shared.costs.focus.files import SourceFile

# No header is longer; a file without a line end must not be read into memory whole.
HEADER_CHARS: Final = 1_048_576
# DuckDB gives wider decimals as doubles, without saying so.
WIDEST_DECIMAL_DIGITS: Final = 38

Connection = duckdb.DuckDBPyConnection


class Field(NamedTuple):
    """One column of a file: its name and DuckDB's type for it."""

    name: str
    type: str


def read_header(connection: Connection, file: SourceFile) -> tuple[Field, ...]:
    """The columns of `file`, in order. Raises ProviderError when it is not what its name says."""
    return _parquet_header(connection, file) if file.is_parquet else _csv_header(file)


def _csv_header(file: SourceFile) -> tuple[Field, ...]:
    try:
        names = next(csv.reader(io.StringIO(_beginning(file), newline=""), strict=True), [])
    except (UnicodeDecodeError, LookupError):
        raise bad_file(file.path, "is not UTF-8 text") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise bad_file(file.path, "is not a complete gzip file") from None
    except csv.Error as error:
        raise bad_file(file.path, f"its header is not well-formed CSV ({error})") from None
    except OSError as error:
        raise unreadable(file.path, error.strerror or str(error)) from None
    if not names:
        raise empty_file(file.path)
    return tuple(Field(name, "VARCHAR") for name in names)


def _beginning(file: SourceFile) -> str:
    opener = gzip.open if file.is_gzip else open
    # utf-8-sig also reads what has no byte order mark.
    with opener(file.path, "rt", encoding="utf-8-sig", newline="") as text:
        return str(text.read(HEADER_CHARS))


def _parquet_header(connection: Connection, file: SourceFile) -> tuple[Field, ...]:
    name = escape(file.path)
    try:
        described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [name]).fetchall()
        wide = connection.execute(
            "SELECT name FROM parquet_schema(?) WHERE precision > ? AND lower(name) IN (lower(?), lower(?))",
            [name, WIDEST_DECIMAL_DIGITS, BILLED, EFFECTIVE],
        ).fetchall()
    except duckdb.Error as error:
        raise bad_file(file.path, f"is not a complete Parquet file ({first_line(error)})") from None
    if wide:
        kept = f"at most {WIDEST_DECIMAL_DIGITS} digits, {DIGITS_AFTER_POINT} of them after the point"
        raise bad_columns(
            file.path,
            f"column {wide[0][0]} has more than {WIDEST_DECIMAL_DIGITS} digits, which cannot be read exactly",
            hint=f"Export the column as a decimal of {kept}",
        )
    return tuple(Field(str(row[0]), str(row[1])) for row in described)


def first_line(error: Exception) -> str:
    """The part of DuckDB's message that says what happened."""
    return str(error).strip().split("\n", 1)[0][:200]
