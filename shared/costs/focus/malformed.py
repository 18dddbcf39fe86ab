"""What DuckDB says of a file that is not well-formed, in our words: which file, which row, what is wrong with it."""

import re
from collections.abc import Sequence
from typing import Final

import duckdb

from shared.core.errors import ProviderError
from shared.costs.focus.errors import bad_file, bad_sum, resources, unreadable
from shared.costs.focus.files import SourceFile
from shared.costs.focus.header import first_line

# Part of DuckDB's message → our reason; the groups of the pattern fill it in. The first that is found wins.
REASONS: Final = (
    (r"Expected Number of Columns: (\d+) Found: (\d+)", "has {1} fields, the header has {0}"),
    (r"unterminated quote", "has a quoted field that does not end, or goes on after its closing quote"),
    (r"Invalid unicode|not utf-8", "is not UTF-8 text"),
    (r"Maximum line size", "is longer than 2 MB"),
    (r"state machine reached an invalid state", "not well-formed CSV; lines that end in different ways (LF and CRLF)"),
    (r"GZIP", "is not a complete gzip file"),
)


def explained(error: duckdb.Error, files: Sequence[SourceFile]) -> ProviderError:
    """DuckDB's `error` while reading `files`."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return resources(first_line(error))
    if isinstance(error, duckdb.OutOfRangeException):
        return bad_sum(first_line(error))
    message = str(error)
    file = _named_in(message, files)
    reason = next((text.format(*found.groups()) for text, found in _found(message)), None)
    if reason is None and isinstance(error, duckdb.IOException):
        return unreadable(file, first_line(error))
    return bad_file(file, reason or f"cannot be read ({first_line(error)})", row=_row(message))


def _found(message: str) -> list[tuple[str, re.Match[str]]]:
    return [(text, found) for pattern, text in REASONS if (found := re.search(pattern, message))]


def _named_in(message: str, files: Sequence[SourceFile]) -> str:
    # The longest, since one path may be the beginning of another.
    named = sorted((file.path for file in files if file.path in message), key=len)
    if named:
        return named[-1]
    return files[0].path if len(files) == 1 else f"One of {len(files)} files ({files[0].path} to {files[-1].path})"


def _row(message: str) -> int | None:
    # DuckDB counts records from 1 with the header as the first; ours count what follows the header.
    found = re.search(r"CSV Error on Line: (\d+)", message)
    return int(found.group(1)) - 1 if found else None
