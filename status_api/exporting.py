"""Exports for the API: a CSV as it is read, a file where its length must be known before; few at a time."""

import io
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self

from loguru import logger

from shared.core.errors import DatabaseUnavailableError
from shared.core.exports import ExportFormat
from shared.ledger.exporting import ExportQuery
from shared.observability import events
from shared.probes.channel import AnswerCut
from status_api.collaborators import Ledger
from status_api.errors import ApiError

# Each holds a thread, a transaction or a file for as long as its client takes.
AT_ONCE: Final = 2
RETRY_AFTER_S: Final = 5
# How long a client may leave an export waiting. PostgreSQL would end the transaction after a minute.
PATIENCE_S: Final = 45.0
# What lies on the disk for a client to take.
MAX_FILE_BYTES: Final = 2 * 1024**3


class Exports:
    """Makes bodies of exports. Whoever gets one closes it, also when it was not read to its end."""

    def __init__(self, ledger: Ledger, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._monotonic_s = monotonic_s
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def stream(self, query: ExportQuery) -> "Pieces":
        """A CSV, its first rows read already. Raises UnknownAccountError, DatabaseUnavailableError, ApiError."""
        from shared.costs.focus.written import csv_pieces  # noqa: PLC0415 - loads DuckDB

        self._take_slot()
        batches = self._ledger.exported(query)
        pieces = csv_pieces(batches)
        try:
            # What is wrong shows here, where it can still be told.
            first = next(pieces)
        except BaseException:
            batches.close()
            self._slots.release()
            raise
        return Pieces(first, pieces, (batches.close, self._slots.release), monotonic_s=self._monotonic_s)

    def file(self, query: ExportQuery, form: ExportFormat) -> "HeldFile":
        """A file of `form`, complete. Raises as `stream`, and ExportError."""
        from shared.costs.focus.written import csv_pieces, write_csv, write_parquet  # noqa: PLC0415 - loads DuckDB

        self._take_slot()
        try:
            with tempfile.TemporaryDirectory(prefix="holdfast-export-") as folder:
                target = Path(folder) / "export"
                write = write_parquet if form is ExportFormat.PARQUET else write_csv
                write(csv_pieces(self._ledger.exported(query)), target, max_bytes=MAX_FILE_BYTES)
                # Its name goes with the folder, what it holds when it is closed.
                return HeldFile(target, self._slots.release)
        except BaseException:
            self._slots.release()
            raise

    def _take_slot(self) -> None:
        if not self._slots.acquire(blocking=False):
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                error="Service Temporarily Unavailable",
                message=f"{AT_ONCE} exports are under way already. Please retry in a few seconds.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
                facts={"retryAfter": RETRY_AFTER_S},
            )


class Pieces:
    """An answer's body that is read from the database as its client takes it.

    When that cannot go on the connection is cut, so that what has arrived does not pass for the whole.
    """

    def __init__(
        self,
        first: bytes,
        rest: Iterator[bytes],
        closed: Sequence[Callable[[], object]],
        *,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._first: bytes | None = first
        self._rest = rest
        self._closed = tuple(closed)
        self._monotonic_s = monotonic_s
        self._given_at_s = monotonic_s()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The next piece. Raises AnswerCut when the database has gone or the client let it wait for too long."""
        try:
            piece = self._next()
        except DatabaseUnavailableError as error:
            raise _cut(str(error)) from error
        self._given_at_s = self._monotonic_s()
        return piece

    def close(self) -> None:
        """End the transaction and make room for another export; twice is fine."""
        closed, self._closed = self._closed, ()
        for call in closed:
            call()

    def _next(self) -> bytes:
        first, self._first = self._first, None
        if first is not None:
            return first
        if self._monotonic_s() - self._given_at_s > PATIENCE_S:
            raise _cut(f"the client took nothing for {PATIENCE_S:g} s")
        return next(self._rest)


def _cut(reason: str) -> AnswerCut:
    bound = logger.bind(event=events.EXPORT_CUT, scope=events.SCOPE_REQUEST, reason=reason)
    bound.warning("An export was cut off: what has arrived of it is not complete")
    return AnswerCut()


class HeldFile(io.FileIO):
    """A file that is being sent; `closed` is called once, when it is let go."""

    def __init__(self, path: Path, closed: Callable[[], object]) -> None:
        super().__init__(path, "rb")
        self.size_bytes = path.stat().st_size
        self._closed: Callable[[], object] | None = closed

    def close(self) -> None:
        """Let the file go."""
        super().close()
        tell, self._closed = self._closed, None
        if tell:
            tell()
