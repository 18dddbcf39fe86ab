"""The check of the database, run in the background: the ping, the schema's state, one line per change."""

import threading
import time
from collections.abc import Callable
from typing import Final

from loguru import logger

from shared.core.errors import DatabaseUnavailableError
from shared.core.health import CheckResult, CheckStatus
from shared.ledger.database import Database
from shared.ledger.migrate import Migrator, MigratorState
from shared.observability import events
from shared.observability.metrics import DATABASE_UP

NOT_READY: Final = "The schema is being brought up to date"
CHECK_INTERVAL_S: Final = 0.75
CHECK_DEADLINE_S: Final = 2.25
# Between two tries to hold a connection.
HOLD_AGAIN_S: Final = 0.5


class DatabaseCheck:
    """Called by the check runner only: one call at a time."""

    def __init__(
        self,
        db: Database,
        migrator: Migrator,
        *,
        try_again: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._migrator = migrator
        # Called while writes fail: somebody has to write for it to show that they succeed again.
        self._try_again = try_again
        self._clock = clock
        self.troubled = False
        self._was_up = False
        self._lost_at_s: float | None = None
        self.away = False
        # The ping has failed or the schema is ready: nothing about it is still to come.
        self.settled = False

    def __call__(self) -> CheckResult:
        """Ask the database. Tells by `away` whether it is."""
        try:
            response_ms = self._db.ping() * 1000
            self._db.admit()
            trouble = self._db.trouble()
        except DatabaseUnavailableError as error:
            self._note_away(error.summary)
            return CheckResult(CheckStatus.DOWN, message=error.summary)
        self._note_back()
        if self._migrator.state is not MigratorState.READY:
            DATABASE_UP.set(0)
            self.settled = self._migrator.message is not None
            return CheckResult(CheckStatus.DOWN, response_ms, self._migrator.message or NOT_READY)
        self._was_up = self.settled = True
        DATABASE_UP.set(1)
        self._tell(trouble)
        if trouble is not None:
            self._try_again()
            return CheckResult(CheckStatus.DEGRADED, response_ms, trouble)
        return CheckResult(CheckStatus.UP, response_ms)

    def _tell(self, trouble: str | None) -> None:
        if trouble is not None and not self.troubled:
            bound = logger.bind(event=events.DATABASE_TROUBLED, cause=trouble, database=self._db.url_redacted)
            bound.warning("Database: Takes no writes; they are tried again until it does")
        elif trouble is None and self.troubled:
            logger.bind(event=events.DATABASE_BACK).info("Database: Takes writes again")
        self.troubled = trouble is not None

    def _note_away(self, summary: str) -> None:
        DATABASE_UP.set(0)
        self._db.bar(summary)
        self.away = self.settled = True
        if self._lost_at_s is not None:
            return
        self._lost_at_s = self._clock()
        # Before it was up for the first time, the migration tells that it waits.
        if self._was_up:
            bound = logger.bind(event=events.DATABASE_LOST, cause=summary, database=self._db.url_redacted)
            bound.warning("Database: Lost; the process goes on and waits for it")

    def _note_back(self) -> None:
        self.away = False
        if self._lost_at_s is None:
            return
        away_s = round(self._clock() - self._lost_at_s, 1)
        self._lost_at_s = None
        if self._was_up:
            logger.bind(event=events.DATABASE_BACK, away_s=away_s).info("Database: Back")


class DatabaseSentry:
    """Calls `lost` as soon as the server ends connections, on a thread of its own: pings would find it too late.

    Nothing on SQLite. `stop` may be repeated, also before `start`.
    """

    def __init__(self, db: Database, lost: Callable[[], object]) -> None:
        self._db = db
        self._lost = lost
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-sentry", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        if self._db.dialect == "postgresql" and not self._stopped.is_set():
            self._thread.start()

    def end(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def stop(self, timeout_s: float) -> None:
        """The same, and wait so long for the thread."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._db.wait_lost(self._stopped):
                    self._lost()
            except DatabaseUnavailableError:
                pass  # the check tells of it; there is a connection to hold again once it is back
            self._stopped.wait(HOLD_AGAIN_S)
