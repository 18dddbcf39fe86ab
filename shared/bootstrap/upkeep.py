"""What every process does for the ledger beside its work: accounts kept in step, the fleet's beats, counts of runs."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from loguru import logger

from shared.bootstrap.accounts import facts_of
from shared.core.errors import DatabaseUnavailableError
from shared.core.runs import RunState
from shared.costs.accounts_file import AccountConfig, AccountsFile
from shared.ledger.accounts import AccountFacts, sync_accounts
from shared.ledger.database import Database
from shared.ledger.fleet import ProcessBeat, beat, forget, processes
from shared.ledger.migrate import Migrator, MigratorState
from shared.ledger.queries import run_counts
from shared.observability import events
from shared.observability.metrics import RUNS, UNEXPECTED_ERRORS
from shared.observability.redactor import hide
from shared.probes.bodies import FleetMember

# At most one write in this time for each process.
BEAT_INTERVAL_S: Final = 5.0
LEAVE_S: Final = 0.5


# Fields of an account that name a variable holding a secret.
SECRET_FIELDS: Final = ("external_id_env", "token_env")


def secrets_of_accounts(accounts: Iterable[AccountConfig]) -> Iterator[str]:
    """The values of the variables that accounts name for their secrets."""
    for account in accounts:
        for field in SECRET_FIELDS:
            value = os.environ.get(getattr(account, field, None) or "")
            if value:
                yield value


class AccountsUpkeep:
    """Re-reads the accounts file, and writes its list to the ledger when it differs from what was written last."""

    def __init__(self, db: Database, migrator: Migrator, accounts: AccountsFile) -> None:
        self._db = db
        self._migrator = migrator
        self._accounts = accounts
        self._synced: tuple[AccountFacts, ...] | None = None
        self._configured = accounts.current()

    @property
    def known(self) -> tuple[AccountConfig, ...]:
        """The accounts as of the last look: from memory, for probes."""
        return self._configured

    def turn(self) -> None:
        """Look once. Raises DatabaseUnavailableError; the next turn tries again."""
        configured = self._accounts.current()
        if configured != self._configured:
            hide(secrets_of_accounts(configured))
            self._configured = configured
        wanted = facts_of(configured)
        if wanted == self._synced or self._migrator.state is not MigratorState.READY:
            return
        first = self._synced is None
        sync_accounts(self._db, wanted)
        self._synced = wanted
        level = "DEBUG" if first else "INFO"
        logger.bind(event=events.ACCOUNTS_SYNCED, accounts=len(wanted)).log(
            level, "Accounts: The list has been taken over"
        )


class FleetUpkeep:
    """Writes this process's beat and remembers everybody's."""

    interval_s = BEAT_INTERVAL_S

    def __init__(
        self,
        db: Database,
        migrator: Migrator,
        own: Callable[[], ProcessBeat],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._migrator = migrator
        self._own = own
        self._clock = clock
        self._written_at_s: float | None = None
        # Replaced whole: probes read it without a lock.
        self.members: tuple[FleetMember, ...] = ()

    def turn(self) -> None:
        """Write, unless that was done lately, and read. Raises DatabaseUnavailableError."""
        if self._migrator.state is not MigratorState.READY:
            return
        now_s = self._clock()
        if self._written_at_s is None or now_s - self._written_at_s >= self.interval_s:
            beat(self._db, self._own())
            self._written_at_s = now_s
        self.members = tuple(
            FleetMember(
                name=found.name,
                host=found.host,
                pid=found.pid,
                version=found.version,
                started_at=found.started_at,
                seen_at=found.seen_at,
                redis=found.redis,
            )
            for found in processes(self._db)
            if found.seen_at is not None
        )

    def leave(self, timeout_s: float = LEAVE_S) -> None:
        """Take this process out of the list, as far as that takes no longer than `timeout_s`."""
        if self._written_at_s is not None:
            thread = threading.Thread(target=self._forget, name="fleet-leave", daemon=True)
            thread.start()
            thread.join(timeout_s)

    def _forget(self) -> None:
        try:
            forget(self._db, self._own().id)
        except DatabaseUnavailableError:
            # The others forget this process by themselves a minute later.
            UNEXPECTED_ERRORS.labels(where="fleet_leave_database_away").inc()


class RunsUpkeep:
    """Shows how many runs are in each state."""

    def __init__(self, db: Database, migrator: Migrator) -> None:
        self._db = db
        self._migrator = migrator

    def turn(self) -> None:
        """Read once. Raises DatabaseUnavailableError."""
        if self._migrator.state is not MigratorState.READY:
            return
        counts = run_counts(self._db)
        for state in RunState:
            RUNS.labels(state=state.value).set(counts.get(state, 0))
