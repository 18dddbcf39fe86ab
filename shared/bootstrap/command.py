"""What the `holdfast` command works with: the settings and the ledger, opened for one command and closed after it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from shared.bootstrap.accounts import accounts_file, facts_of
from shared.bootstrap.dispatching import Dispatch, adopt
from shared.core.budgets import Budget
from shared.core.errors import RedisUnavailableError
from shared.core.runs import Run
from shared.costs.accounts import budgets_of
from shared.ledger.accounts import outdate_answers, sync_accounts
from shared.ledger.database import Database
from shared.ledger.fleet import processes
from shared.ledger.meta import ledger_id
from shared.ledger.migrate import upgrade
from shared.redis_link import LinkConfig, RedisLink
from shared.settings import Process, Settings, load_settings

# A command whose work is done without Redis waits for it no longer than nobody minds.
GLANCE_S: Final = 1.0
DISPATCH_DEADLINE_S: Final = 0.5
PATIENCE_S: Final = 5.0


@dataclass(frozen=True)
class Ledger:
    """The migrated database, and the settings it was found by."""

    settings: Settings
    db: Database

    def sync_accounts(self) -> None:
        """Make the accounts file's list the ledger's. Raises AccountsFileError."""
        accounts = accounts_file(self.settings).load()
        sync_accounts(self.db, facts_of(accounts))

    def budgets(self) -> tuple[Budget, ...]:
        """The budgets of the accounts file. Raises AccountsFileError."""
        return budgets_of(accounts_file(self.settings).load())

    def running(self, process: Process) -> bool:
        """Whether a process of this kind has been seen at work on this ledger in the last minute."""
        return any(beat.name == process for beat in processes(self.db))

    def dispatch(self, runs: Sequence[Run]) -> bool:
        """Send these runs to the workers; False when they are left to the scheduler, or all could not be sent.

        A running scheduler sends them within half a second, and through the Redis its workers listen to.
        """
        if self.running("scheduler"):
            return False
        # Dramatiq is slow to import, and no other command needs it.
        from shared.messaging.sender import DramatiqSender  # noqa: PLC0415 - as above

        namespace = self.settings.redis_namespace
        with self._redis(GLANCE_S) as link:
            sender = DramatiqSender(link, namespace=namespace)
            dispatch = Dispatch(self.db, link, sender, namespace=namespace, window=self.settings.dispatch_window)
            ids = {run.id for run in runs}
            return ids <= set(dispatch.due(only=ids, deadline_s=DISPATCH_DEADLINE_S).sent)

    def adopt_redis(self) -> tuple[UUID, str | None]:
        """Make the Redis of REDIS_URL this ledger's. Returns this ledger's id, and whose Redis it was (None: nobody's).

        Raises RedisUnavailableError, redis.RedisError.
        """
        mine = ledger_id(self.db)
        with self._redis(PATIENCE_S) as link:
            if not link.is_available():
                facts = link.health().details
                raise RedisUnavailableError(
                    summary=f"Redis at {facts.url} is not connected: {facts.last_error or 'no answer yet'}",
                    code=facts.error.code if facts.error else "NO_ANSWER",
                )
            # It is done after a restore: what was cached of the time that the restore undid must not come back.
            outdate_answers(self.db)
            return mine, adopt(link.client, namespace=self.settings.redis_namespace, ledger=mine)

    @contextmanager
    def _redis(self, patience_s: float) -> Iterator[RedisLink]:
        """The link, connected if that could be had in time."""
        link = RedisLink(LinkConfig.from_settings(self.settings), name="holdfast-command")
        try:
            link.start()
            link.wait_connected(patience_s)
            yield link
        finally:
            link.close()


@contextmanager
def open_ledger(settings: Settings | None = None) -> Iterator[Ledger]:
    """The ledger of DATABASE_URL, migrated. Raises SettingsError, DatabaseUnavailableError, SchemaTooNewError."""
    settings = settings or load_settings()
    db = Database(settings.database_url, pool_size=1)
    try:
        upgrade(db)
        yield Ledger(settings, db)
    finally:
        db.dispose()
