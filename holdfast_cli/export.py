"""The command export: what is stored as a FOCUS file; a name appears only when what it names is complete."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from holdfast_cli.output import stderr
from shared.bootstrap.command import Ledger
from shared.core.errors import ExportError, RequestError
from shared.core.exports import ExportFormat
from shared.ledger.exporting import ExportQuery, exported

PERMISSIONS: Final = 0o666


def export(ledger: Ledger, query: ExportQuery, *, form: ExportFormat, output: Path | None) -> None:
    """Write to `output`, or to standard output when None. Raises RequestError, ExportError, UnknownAccountError."""
    if output is None:
        if form is ExportFormat.PARQUET and sys.stdout.isatty():
            raise RequestError(
                field="--output", problem="is missing", allowed="a terminal shows no Parquet: name a file"
            )
        _to_pipe(ledger, query, form, sys.stdout.buffer)
        return
    with _complete(output) as unfinished:
        _write(ledger, query, form, unfinished)
    size = output.stat().st_size
    stderr().print(f"{output}: {query.days.start} to {query.days.end}, {size:,} bytes", markup=False)


def format_of(name: str | None, output: Path | None) -> ExportFormat:
    """The format asked for; left open, that of the file's name, or CSV. Raises RequestError."""
    if name is not None:
        if name not in set(ExportFormat):
            raise RequestError(field="--format", problem=f"'{name}' is not known", allowed=", ".join(ExportFormat))
        return ExportFormat(name)
    parquet = output is not None and output.suffix.lower() == ".parquet"
    return ExportFormat.PARQUET if parquet else ExportFormat.CSV


def _write(ledger: Ledger, query: ExportQuery, form: ExportFormat, target: Path) -> None:
    # DuckDB is slow to import, and no other command needs it.
    from shared.costs.focus.written import csv_pieces, write_csv, write_parquet  # noqa: PLC0415 - as above

    pieces = csv_pieces(exported(ledger.db, query))
    (write_parquet if form is ExportFormat.PARQUET else write_csv)(pieces, target)


def _to_pipe(ledger: Ledger, query: ExportQuery, form: ExportFormat, pipe: IO[bytes]) -> None:
    from shared.costs.focus.written import csv_pieces  # noqa: PLC0415 - as above

    try:
        if form is ExportFormat.CSV:
            for piece in csv_pieces(exported(ledger.db, query)):
                pipe.write(piece)
        else:
            with tempfile.TemporaryDirectory(prefix="holdfast-export-") as folder:
                target = Path(folder) / "export.parquet"
                _write(ledger, query, form, target)
                with target.open("rb") as file:
                    shutil.copyfileobj(file, pipe)
        pipe.flush()
    except BrokenPipeError:
        # Whoever read it has enough, as `head` does. What is left in the buffer must not fail at the exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _complete(output: Path) -> Iterator[Path]:
    """A name beside `output` to write to; it becomes `output` when the block ends well, else it is removed."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    except OSError as error:
        raise RequestError(
            field="--output",
            problem=f"cannot be written ({error.strerror})",
            allowed="a file in a folder that is there",
        ) from None
    unfinished = Path(name)
    try:
        # As any new file, not for its owner alone as temporary ones are.
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(descriptor, PERMISSIONS & ~mask)
        yield unfinished
        os.fsync(descriptor)
        unfinished.replace(output)
    except OSError as error:
        raise ExportError(summary=f"{output} cannot be written: {error.strerror}", hint="Name another file") from error
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            unfinished.unlink()
