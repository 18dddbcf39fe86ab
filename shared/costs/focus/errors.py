"""What can be wrong with a FOCUS export, and whose move it is. docs/providers.md lists the codes, held equal by a test.

Content that is wrong stays wrong until somebody changes the file: permanent. What concerns the file as such (absent,
still being written, unreadable) may pass by itself.
"""

from typing import Final

from shared.core.costs import DIGITS_BEFORE_POINT
from shared.core.errors import ProviderError

NO_FILE: Final = "FOCUS_NO_FILE"
UNREADABLE: Final = "FOCUS_UNREADABLE"
EMPTY_FILE: Final = "FOCUS_EMPTY_FILE"
CHANGED: Final = "FOCUS_CHANGED"
RESOURCES: Final = "FOCUS_RESOURCES"
BAD_FILE: Final = "FOCUS_BAD_FILE"
BAD_COLUMNS: Final = "FOCUS_BAD_COLUMNS"
BAD_ROW: Final = "FOCUS_BAD_ROW"
BAD_SUM: Final = "FOCUS_BAD_SUM"

VALUE_SHOWN_CHARS: Final = 60

CORRECT_AND_COLLECT: Final = (
    "Nothing of this account's run was stored. Correct the file or export it again, then request the days once more "
    "(holdfast collect); the next scheduled run takes them as well"
)


def no_file(pattern: str) -> ProviderError:
    """Nothing matches the account's path (yet)."""
    return ProviderError(
        code=NO_FILE,
        summary=f"No .csv, .csv.gz or .parquet file matches {pattern}",
        hint="Check the account's path in the accounts file and that the export has run; it is looked for again",
    )


def unreadable(file: str, reason: str) -> ProviderError:
    """The operating system did not let us read."""
    return ProviderError(
        code=UNREADABLE,
        summary=f"{file} cannot be read: {reason}",
        hint="Check that the file is there and that Holdfast's user may read it; it is tried again",
    )


def empty_file(file: str) -> ProviderError:
    """Zero bytes: an export that has only been begun."""
    return ProviderError(
        code=EMPTY_FILE,
        summary=f"{file} is empty, without even a header",
        hint="An export may still be writing it, and it is tried again; if it stays empty, remove it or export again",
    )


def changed(file: str) -> ProviderError:
    """Size, modification time or identity differ from before the reading."""
    return ProviderError(
        code=CHANGED,
        summary=f"{file} was changed while it was being read",
        hint="It is tried again. An export written under another name and renamed when complete never shows this",
    )


def resources(reason: str) -> ProviderError:
    """DuckDB ran out of memory or of temporary space."""
    return ProviderError(
        code=RESOURCES,
        summary=f"Reading ran out of memory or temporary space: {reason}",
        hint="Free space in the temporary folder (TMPDIR names another one), or narrow the account's path",
    )


def bad_file(file: str, reason: str, *, row: int | None = None) -> ProviderError:
    """Not readable as CSV or Parquet."""
    where = file if row is None else f"{file}: row {row}"
    return ProviderError(code=BAD_FILE, summary=f"{where}: {reason}", hint=CORRECT_AND_COLLECT, permanent=True)


def bad_columns(file: str, reason: str, *, hint: str) -> ProviderError:
    """The file is readable, but not FOCUS."""
    return ProviderError(code=BAD_COLUMNS, summary=f"{file}: {reason}", hint=hint, permanent=True)


def bad_row(file: str, row: int, column: str, reason: str) -> ProviderError:
    """One value cannot be taken over exactly. `row` counts data rows from 1."""
    return ProviderError(
        code=BAD_ROW, summary=f"{file}: row {row}, column {column}: {reason}", hint=CORRECT_AND_COLLECT, permanent=True
    )


def bad_sum(reason: str) -> ProviderError:
    """Each amount can be stored, a group's sum cannot."""
    return ProviderError(
        code=BAD_SUM,
        summary=f"The sum of a day's amounts has more than {DIGITS_BEFORE_POINT} digits before the point: {reason}",
        hint=CORRECT_AND_COLLECT,
        permanent=True,
    )


def shortened(value: str) -> str:
    """A value as it may stand in a log line: one line, bounded."""
    text = value if len(value) <= VALUE_SHOWN_CHARS else value[:VALUE_SHOWN_CHARS] + "…"
    return repr(text)
