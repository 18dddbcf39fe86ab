"""The ledger as the scheduler uses it, bound to its database."""

from shared.bootstrap.accounts import facts_of
from shared.core.days import DayRange
from shared.core.months import MonthAgain
from shared.core.runs import Run
from shared.costs.accounts_file import AccountsFile
from shared.ledger.accounts import sync_accounts
from shared.ledger.claims import running_beats
from shared.ledger.database import Database
from shared.ledger.endings import take_back
from shared.ledger.lease import RunBeat
from shared.ledger.planning import plan_catchup, plan_scheduled
from shared.ledger.summing import Waiting, carry_over, journal_next_account, waiting


class SchedulerLedger:
    """Each method raises DatabaseUnavailableError."""

    def __init__(self, db: Database, accounts: AccountsFile) -> None:
        self._db = db
        self._accounts = accounts

    def sync_accounts(self) -> None:
        """Take over the accounts file's list, so that what is planned is planned for the accounts of this moment."""
        sync_accounts(self._db, facts_of(self._accounts.current()))

    def plan_scheduled(self, slot: str, days: DayRange, again: MonthAgain | None) -> list[Run]:
        """Plan a fire's runs, once per slot, and those of a month that is collected again."""
        return plan_scheduled(self._db, slot=slot, days=days, again=again)

    def plan_catchup(self, days: DayRange, fire: str) -> list[Run]:
        """Plan a run for each gap; `fire` is the slot of the newest fire that has passed."""
        return plan_catchup(self._db, days=days, fire=fire)

    def running_beats(self) -> list[RunBeat]:
        """Give the beat of every running run."""
        return running_beats(self._db)

    def take_back(self, seen: RunBeat) -> bool:
        """Return a run to pending unless it has moved since `seen`."""
        return take_back(self._db, seen)

    def waiting(self) -> Waiting:
        """What the sums of costs wait for."""
        return waiting(self._db)

    def carry_over(self) -> int:
        """Carry a step of the journal of costs over into the sums."""
        return carry_over(self._db)

    def journal_next_account(self) -> str | None:
        """Write an account of before the journal into it."""
        return journal_next_account(self._db)
