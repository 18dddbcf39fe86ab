"""Writing stored rows as FOCUS files: CSV as it goes, Parquet through DuckDB. What is written is read back exactly."""

import csv
import io
import os
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final, Self

import duckdb

from shared.core.days import ONE_DAY
from shared.core.errors import ExportError
from shared.core.exports import StoredRow
from shared.costs.focus.columns import BILLED, CATEGORY, CURRENCY, EFFECTIVE, PERIOD, PROVIDER, SERVICE, SUB_ACCOUNT
from shared.costs.focus.exact import DECIMAL
from shared.costs.focus.layout import quoted

PERIOD_END: Final = "ChargePeriodEnd"
# FOCUS leaves names that begin so to whoever writes the file.
ACCOUNT: Final = "x_Account"
STATE: Final = "x_State"
# Each with its type in Parquet; in the order of FOCUS, which is the alphabet's.
COLUMNS: Final = (
    (BILLED, DECIMAL),
    (CURRENCY, "VARCHAR"),
    (CATEGORY, "VARCHAR"),
    (PERIOD_END, "TIMESTAMPTZ"),
    (PERIOD, "TIMESTAMPTZ"),
    (EFFECTIVE, DECIMAL),
    (PROVIDER, "VARCHAR"),
    (SERVICE, "VARCHAR"),
    (SUB_ACCOUNT, "VARCHAR"),
    (ACCOUNT, "VARCHAR"),
    (STATE, "VARCHAR"),
)
MEMORY_LIMIT_MB: Final = 128
# Rows of a Parquet file that are held until they are written together.
GROUP_ROWS: Final = 20_480
# What DuckDB reads of the pipe at a time; it holds several, and takes 32 MB each unless told.
READ_BYTES: Final = 4 * 1024**2


def csv_pieces(batches: Iterable[Sequence[StoredRow]]) -> Generator[bytes, None, None]:
    """A CSV of `batches` piece by piece: the header comes with the first batch, or alone when there is none."""
    text = io.StringIO()
    # Line ends as in whatever stands between quotes: readers may want one kind throughout.
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for name, _ in COLUMNS])
    for batch in batches:
        writer.writerows(_lines(batch))
        yield _taken(text)
    rest = _taken(text)
    if rest:
        yield rest


def write_csv(pieces: Iterable[bytes], target: Path, *, max_bytes: int | None = None) -> None:
    """Write `pieces` to `target`. Raises ExportError when the disk is full or the file would be larger than allowed."""
    try:
        with target.open("wb") as file:
            for piece in pieces:
                _check_size(file.tell() + len(piece), max_bytes)
                file.write(piece)
    except OSError as error:
        raise _no_room(error.strerror or str(error)) from error


def write_parquet(pieces: Iterable[bytes], target: Path, *, max_bytes: int | None = None) -> None:
    """Write what `csv_pieces` gives as Parquet to `target`, in bounded memory. Raises as `write_csv` does."""
    with tempfile.TemporaryDirectory(prefix="holdfast-export-") as folder:
        reading, writing = os.pipe()
        with _Reader(reading, target, folder) as reader:
            # On this thread, to which the transaction of `pieces` belongs; DuckDB reads on the other. When that has
            # ended early, it knows why.
            with suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:
                for piece in pieces:
                    _check_size(target.stat().st_size if target.exists() else 0, max_bytes)
                    pipe.write(piece)
            reader.finish()


class _Reader:
    """DuckDB at the other end of a pipe, on a thread of its own."""

    def __init__(self, descriptor: int, target: Path, folder: str) -> None:
        self._descriptor = descriptor
        self._target = target
        self._folder = folder
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="export-parquet", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The pipe's other end is closed by now, so this ends.
        self._thread.join()

    def finish(self) -> None:
        """Wait until all is written. Raises ExportError."""
        self._thread.join()
        if isinstance(self._failure, OSError | duckdb.IOException | duckdb.OutOfMemoryException):
            raise _no_room(str(self._failure).strip().split("\n", 1)[0]) from self._failure
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._copy()
        except Exception as error:  # noqa: BLE001 - raised where the end is waited for
            self._failure = error
        finally:
            # Whoever still writes finds nobody there.
            os.close(self._descriptor)

    def _copy(self) -> None:
        names = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name, _ in COLUMNS)
        typed = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in COLUMNS)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{MEMORY_LIMIT_MB}MB",
            "threads": 1,
            "temp_directory": self._folder,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(
                f"COPY (SELECT {typed} FROM read_csv('/dev/fd/{self._descriptor}', columns = {{{names}}}, "  # noqa: S608 - our own names
                "auto_detect = false, header = true, parallel = false, delim = ',', quote = '\"', escape = '\"', "
                f"nullstr = '', new_line = '\\n', buffer_size = {READ_BYTES})) TO {quoted(str(self._target))} "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS})"
            )


def _lines(batch: Sequence[StoredRow]) -> Iterator[tuple[str, ...]]:
    periods: dict[date, tuple[str, str]] = {}
    for row in batch:
        if row.day not in periods:
            periods[row.day] = (f"{row.day}T00:00:00Z", f"{row.day + ONE_DAY}T00:00:00Z")
        start, end = periods[row.day]
        yield (
            row.billed,
            row.currency,
            row.charge_category,
            end,
            start,
            row.effective,
            row.provider_name,
            row.service,
            row.sub_account,
            row.account,
            row.state,
        )


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return piece


def _check_size(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise ExportError(
            summary=f"The export is larger than {max_bytes} bytes",
            hint="Ask for fewer days, for one account, or for CSV over HTTP/1.1, which needs no file",
        )


def _no_room(reason: str) -> ExportError:
    return ExportError(
        summary=f"The export could not be written: {reason}",
        hint="Make room where it is written, or in TMPDIR; or ask for fewer days",
    )
