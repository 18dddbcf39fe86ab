"""Fetching an account's costs from its FOCUS exports."""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final

import duckdb

from shared.core.costs import CostRow, DayTotal, FetchedCosts, Price, totals_by_day
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.costs.focus.errors import changed, resources
from shared.costs.focus.exact import MACROS
from shared.costs.focus.files import SourceFile, check_unchanged, find_files
from shared.costs.focus.header import Connection
from shared.costs.focus.layout import find_layouts
from shared.costs.focus.malformed import explained
from shared.costs.focus.rows import aggregate, first_bad_row

MEMORY_LIMIT_MB: Final = 256
THREADS: Final = 2
# More at once would not be faster on the cores there are, but would multiply the memory.
READS_AT_ONCE: Final = 2


class FocusProvider:
    """Reads the FOCUS exports that `path` (a file or a glob) means; nothing is kept from one fetch to the next."""

    _reads: ClassVar[threading.BoundedSemaphore] = threading.BoundedSemaphore(READS_AT_ONCE)

    def __init__(self, path: str, *, memory_limit_mb: int = MEMORY_LIMIT_MB, threads: int = THREADS) -> None:
        self.path = path
        self._memory_limit_mb = memory_limit_mb
        self._threads = threads

    def fetch(self, days: DayRange) -> FetchedCosts:
        """The costs of `days`, added up exactly to CostRow's groups; a day that the files do not hold is absent.

        Raises ProviderError, permanent when it is a file's content that is wrong. A file that was changed while it was
        read is told as that, whatever was read of it.
        """
        files = find_files(self.path)
        try:
            with self._reads, self._opened() as connection:
                rows = _read(connection, files, days)
        except ProviderError:
            check_unchanged(files)
            raise
        except duckdb.Error as error:
            check_unchanged(files)
            raise explained(error, files) from error
        except OSError as error:  # of the temporary folder; those of the files have been told apart by now
            raise resources(error.strerror or str(error)) from error
        check_unchanged(files)
        return FetchedCosts(rows)

    def sign_in(self) -> str:
        """Nobody: files ask for no credentials. Raises ProviderError when there are none."""
        find_files(self.path)
        return ""

    def day_totals(self, days: DayRange) -> list[DayTotal]:
        """The sums of `days`, by day and currency. Raises ProviderError as `fetch` does."""
        return totals_by_day(self.fetch(days).rows)

    def price(self, days: DayRange, *, rows_a_day: int) -> Price:  # noqa: ARG002 - the protocol's signature
        """Nothing: files are read here."""
        return Price()

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        with tempfile.TemporaryDirectory(prefix="holdfast-focus-") as folder:
            connection = duckdb.connect(
                ":memory:",
                config={
                    "memory_limit": f"{self._memory_limit_mb}MB",
                    "threads": self._threads,
                    "temp_directory": folder,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
            with connection:
                connection.execute("SET TimeZone = 'UTC'")
                for macro in MACROS:
                    connection.execute(macro)
                yield connection


def _read(connection: Connection, files: Sequence[SourceFile], days: DayRange) -> list[CostRow]:
    layouts = find_layouts(connection, files)
    sums = aggregate(connection, layouts, days)
    if sums.bad:
        # Found by one scan and not by the next: the file is another one by now.
        raise first_bad_row(connection, layouts, days) or changed(files[0].path)
    return sums.rows
