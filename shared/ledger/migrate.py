"""Migrating: `upgrade` now, or the Migrator in the background for as long as the database is away."""

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from loguru import logger

from shared.core.errors import DatabaseUnavailableError, SchemaTooNewError
from shared.ledger.database import Database
from shared.ledger.schema import HEAD, schema_ready, upgrade
from shared.observability import events
from shared.observability.redactor import without_secrets

__all__ = ["Migrator", "MigratorState", "schema_ready", "upgrade"]

RETRY_S: Final = 0.5


class MigratorState(StrEnum):
    """Where the migration stands. `too_new` is looked at again, too: somebody may restore the database."""

    WAITING = "waiting"
    MIGRATING = "migrating"
    READY = "ready"
    TOO_NEW = "too_new"


class Migrator:
    """Runs `upgrade` until it succeeds. `start` and `stop` may be called in any order, any number of times."""

    def __init__(self, db: Database, *, retry_s: float = RETRY_S) -> None:
        self._db = db
        self._retry_s = retry_s
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self.state = MigratorState.WAITING
        self.message: str | None = None

    def start(self) -> None:
        """Begin, unless it is under way or done."""
        with self._lock:
            if self.state is MigratorState.READY or (self._thread is not None and self._thread.is_alive()):
                return
            self._stopping.clear()
            thread = threading.Thread(target=self._run, name="migrator", daemon=True)
            thread.start()
            # Not before: `stop`, which may come from another thread meanwhile, could not wait for it.
            self._thread = thread

    def stop(self, timeout_s: float = 1.0) -> None:
        """Give up waiting. A migration under way is finished by its thread, or undone with the process."""
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the schema is ready, on the migrator's thread, or at once when it is already."""
        with self._lock:
            if self.state is not MigratorState.READY:
                self._callbacks.append(callback)
                return
        self._call(callback)

    def wait_ready(self, timeout_s: float) -> bool:
        """Whether the schema is ready, after at most `timeout_s`."""
        return self._settled.wait(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._note(MigratorState.MIGRATING, self.message)
            if self._try_once():
                self._become_ready()
                return
            self._stopping.wait(self._retry_s)

    def _try_once(self) -> bool:
        try:
            upgrade(self._db)
        except DatabaseUnavailableError as error:
            self._tell(MigratorState.WAITING, error.summary, events.DATABASE_LOST, "Database: Away, migration waits")
        except SchemaTooNewError as error:
            self._tell(MigratorState.TOO_NEW, str(error), events.DATABASE_TOO_NEW, "Database: Schema too new")
        except Exception as error:  # noqa: BLE001 - a migration that fails is told and tried again, never an exit
            text = without_secrets(f"{type(error).__name__}: {error}")
            self._tell(MigratorState.WAITING, text, events.DATABASE_MIGRATION_FAILED, "Database: Migration failed")
        else:
            return True
        return False

    def _tell(self, state: MigratorState, message: str, event: str, line: str) -> None:
        # Once per cause, not once per attempt.
        if message != self.message:
            level = "WARNING" if event == events.DATABASE_LOST else "ERROR"
            logger.bind(event=event, cause=message, database=self._db.url_redacted).log(level, line)
        self._note(state, message)

    def _note(self, state: MigratorState, message: str | None) -> None:
        with self._lock:
            self.state, self.message = state, message

    def _become_ready(self) -> None:
        with self._lock:
            self.state, self.message = MigratorState.READY, None
            callbacks, self._callbacks = self._callbacks, []
        logger.bind(event=events.DATABASE_MIGRATED, revision=HEAD, database=self._db.url_redacted).info(
            "Database: Schema is up to date"
        )
        for callback in callbacks:
            self._call(callback)
        self._settled.set()

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - one listener's mistake must not keep the others waiting
            logger.bind(event=events.UNEXPECTED_ERROR, cause=repr(error)).error("A listener of the migration failed")
