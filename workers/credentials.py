"""Checking in the background whether this worker can sign in as each account; the ledger carries the result to all."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from loguru import logger

from shared.bootstrap.periodic import Periodic
from shared.core.credentials import (
    CHECKED_PROVIDERS,
    PACE_S,
    Credential,
    CredentialStatus,
    Finding,
    is_due,
    is_taken,
)
from shared.costs.accounts import AccountConfig
from shared.costs.sign_in import SignIns
from shared.ledger import credentials as ledger_credentials
from shared.ledger.credentials import CredentialsSeen, Recorded
from shared.ledger.database import Database
from shared.observability import events, metrics
from workers.ledger import Accounts
from workers.room import room_to_open

TURN_S: Final = 5.0
# A check that takes longer than this belongs to a process that has died: a living one gives up much sooner.
ABANDONED_S: Final = 30.0
# Checked before the list is read again.
BATCH: Final = 5


class Agenda:
    """Which accounts this process is to check now. For one thread, but for `hurry`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Accounts to check at once; the database's time from which on a result is new enough, None until it is known.
        self._urgent: dict[str, datetime | None] = {}
        self._taken: dict[int, tuple[int, float]] = {}
        self._begun = False

    def hurry(self, account: str) -> None:
        """Check `account` as soon as possible. From any thread, never blocks for long."""
        with self._lock:
            self._urgent.setdefault(account, None)

    def due(self, seen: CredentialsSeen, *, now_s: float) -> list[Credential]:
        """What to check, the most urgent first. `now_s` is this process's own clock."""
        if not self._begun:
            self._begun = True
            # Whoever starts a worker may have corrected what was wrong, by another environment.
            for each in seen.credentials:
                if each.checked and each.found.status is not CredentialStatus.UP:
                    self.hurry(each.account)
        urgent = self._still_urgent(seen)
        abandoned = self._abandoned(seen, now_s)
        count = len(seen.credentials)
        due = [each for each in seen.credentials if is_due(each, now=seen.now, accounts=count)]
        first = [each for each in seen.credentials if each.account in urgent and not is_taken(each)]
        return list(dict.fromkeys([*first, *abandoned, *due]))

    def _still_urgent(self, seen: CredentialsSeen) -> set[str]:
        known = {each.account: each for each in seen.credentials}
        with self._lock:
            for account, since in list(self._urgent.items()):
                found = known.get(account)
                checked_at = found.checked_at if found else None
                if found is None or (since is not None and checked_at is not None and checked_at > since):
                    del self._urgent[account]
                elif since is None:
                    self._urgent[account] = seen.now
            return set(self._urgent)

    def _abandoned(self, seen: CredentialsSeen, now_s: float) -> list[Credential]:
        """Those whose check stands still for long, by this process's own clock: clocks of hosts are never compared."""
        taken = {each.account_id: each for each in seen.credentials if is_taken(each)}
        was = self._taken
        self._taken = {
            key: (each.turn, was[key][1] if key in was and was[key][0] == each.turn else now_s)
            for key, each in taken.items()
        }
        return [taken[key] for key, (_, since_s) in self._taken.items() if now_s - since_s >= ABANDONED_S]


class Ledger(Protocol):
    """What checking needs of the ledger. Every method raises DatabaseUnavailableError while it is away."""

    def read(self) -> CredentialsSeen:
        """What is known of each account that collects."""

    def begin(self, credential: Credential) -> int | None:
        """Take the account's turn, None when somebody else was first."""

    def record(self, account_id: int, turn: int, found: Finding) -> Recorded | None:
        """Write what was found, None when the turn is somebody else's meanwhile."""


@dataclass(frozen=True)
class DatabaseCredentials:
    """The ledger in the database."""

    db: Database

    def read(self) -> CredentialsSeen:
        """What is known of each account that collects."""
        return ledger_credentials.read_credentials(self.db)

    def begin(self, credential: Credential) -> int | None:
        """Take the account's turn."""
        return ledger_credentials.begin_check(self.db, credential)

    def record(self, account_id: int, turn: int, found: Finding) -> Recorded | None:
        """Write what was found."""
        return ledger_credentials.record_finding(self.db, account_id, turn, found)


class CredentialChecks:
    """One thread that checks what is due, one account after the other and at most one a second.

    `may_check` tells whether the ledger can be used and no drain is asked for. `stop` may be repeated, also before
    `start`.
    """

    def __init__(
        self,
        ledger: Ledger,
        accounts: Accounts,
        *,
        may_check: Callable[[], bool],
        sign_ins: SignIns | None = None,
        room: Callable[[], bool] = room_to_open,
        pace_s: float = PACE_S,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._may_check = may_check
        self._sign_ins = sign_ins or SignIns()
        self._room = room
        self._pace_s = pace_s
        self._agenda = Agenda()
        self._stopped = threading.Event()
        self._configured: Mapping[str, AccountConfig] | None = None
        self._told_hanging = False
        self._turns = Periodic(self.turn, name="credentials", interval_s=TURN_S)

    def start(self) -> None:
        """Begin to check."""
        self._turns.start()

    def stop(self) -> None:
        """Check nothing more, without waiting for the thread."""
        self._stopped.set()
        self._turns.end()

    def suspect(self, account: str) -> None:
        """A run of the account failed as with wrong credentials: check at once. Never blocks for long."""
        self._agenda.hurry(account)
        self._turns.hurry()

    def turn(self) -> None:
        """Check what is due. Raises DatabaseUnavailableError; a check that could not be recorded is done again."""
        while self._usable():
            configured = self._look_at_accounts()
            if not configured:
                return
            due = self._agenda.due(self._ledger.read(), now_s=time.monotonic())
            if not self._check_some(due, configured):
                return

    def _usable(self) -> bool:
        return not self._stopped.is_set() and self._may_check()

    def _look_at_accounts(self) -> Mapping[str, AccountConfig]:
        configured = {each.name: each for each in self._accounts.current() if each.provider in CHECKED_PROVIDERS}
        before = self._configured
        if before is not None:
            for name, account in configured.items():
                if before.get(name) != account:
                    self._agenda.hurry(name)
        self._configured = configured
        return configured

    def _check_some(self, due: Iterable[Credential], configured: Mapping[str, AccountConfig]) -> bool:
        """Whether any was checked, and so more may be due."""
        checked = 0
        for credential in due:
            account = configured.get(credential.account)
            if account is None or not self._sign_ins.possible(account):
                continue
            if checked >= BATCH or not self._usable() or not self._room():
                break
            turn = self._ledger.begin(credential)
            if turn is None:
                continue
            self._check(account, credential, turn)
            checked += 1
            if self._stopped.wait(self._pace_s):
                break
        self._tell_hanging()
        return checked > 0

    def _check(self, account: AccountConfig, credential: Credential, turn: int) -> None:
        found = self._sign_ins.check(account).found
        metrics.CREDENTIAL_CHECKS.labels(provider=account.provider, status=found.status.value).inc()
        recorded = self._ledger.record(credential.account_id, turn, found)
        if recorded is not None:
            tell(recorded)

    def _tell_hanging(self) -> None:
        full = self._sign_ins.full()
        if full and not self._told_hanging:
            logger.bind(event=events.CREDENTIALS_HANGING, hanging=self._sign_ins.hanging()).warning(
                "Credentials: Sign-ins hang, no more are begun until one of them ends"
            )
        self._told_hanging = full


def tell(recorded: Recorded) -> None:
    """One line when an account is refused, and one when it is well again."""
    was, now = recorded.before.found.status, recorded.after.found
    if now.status is was:
        return
    # About one account's work, and said once: no outage may hold it back.
    bound = logger.bind(scope=events.SCOPE_RUN, account=recorded.after.account, provider=recorded.after.provider)
    if now.status is CredentialStatus.DOWN:
        since = str(recorded.after.since)
        bound = bound.bind(event=events.CREDENTIALS_REFUSED, code=now.code, summary=now.summary, hint=now.hint)
        bound.bind(since=since).error("Credentials: The account is refused")
    elif was is CredentialStatus.DOWN:
        bound = bound.bind(event=events.CREDENTIALS_RESTORED, code=recorded.before.found.code)
        bound.bind(since=str(recorded.before.since)).info("Credentials: The account is well again")
