"""What the workers found of every account's credentials, read in the background for the probes of any process."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.core.credentials import (
    CHECKED_PROVIDERS,
    PAUSED,
    UNKNOWN,
    UNUSED,
    Credential,
    CredentialsAnswer,
    CredentialStatus,
    credentials_check,
    worst_first,
)
from shared.costs.accounts import AccountConfig
from shared.ledger.credentials import CredentialsSeen, read_credentials
from shared.ledger.database import Database
from shared.ledger.migrate import Migrator, MigratorState
from shared.observability.metrics import CREDENTIALS as GAUGE
from shared.probes.bodies import CREDENTIALS

# Probes and reports ask several times a second, of what changes every few seconds.
REMEMBERED_S: Final = 1.0
NOTHING_YET: Final = CredentialsSeen(datetime.fromtimestamp(0, UTC), ())


class CredentialsUpkeep:
    """Remembers what the ledger last said, and answers from it. `known` gives the accounts file's list, from memory."""

    def __init__(
        self,
        db: Database,
        migrator: Migrator,
        known: Callable[[], Sequence[AccountConfig]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._migrator = migrator
        self._known = known
        self._clock = clock
        self._seen: tuple[CredentialsSeen, float] | None = None
        self._answered: tuple[float, object, Mapping[str, CredentialsAnswer]] | None = None

    def turn(self) -> None:
        """Read once, if any account needs credentials. Raises DatabaseUnavailableError."""
        if self._migrator.state is not MigratorState.READY:
            return
        if any(account.provider in CHECKED_PROVIDERS for account in self._known()):
            seen = read_credentials(self._db)
            self._seen, self._answered = (seen, self._clock()), None
        self._count(self.answers())

    def answers(self) -> Mapping[str, CredentialsAnswer]:
        """By the check's name. Costs no I/O; results that are no longer refreshed are told as stale."""
        now_s, known = self._clock(), self._known()
        answered = self._answered
        if answered and now_s - answered[0] < REMEMBERED_S and answered[1] is known:
            return answered[2]
        answers = {name: self._answer(provider, known, now_s) for name, provider in CREDENTIALS.items()}
        self._answered = (now_s, known, answers)
        return answers

    def _answer(self, provider: str, known: Sequence[AccountConfig], now_s: float) -> CredentialsAnswer:
        accounts = [account for account in known if account.provider == provider]
        if not accounts:
            return CredentialsAnswer(UNUSED)
        seen, read_s = self._seen or (NOTHING_YET, now_s)
        rows = {(each.account, each.provider): each for each in seen.credentials}
        collected = [account for account in accounts if not account.paused and account.name not in seen.idle]
        if not collected:
            return CredentialsAnswer(PAUSED)
        found = [
            rows.get((account.name, provider)) or Credential(0, account.name, provider, UNKNOWN, None, None)
            for account in collected
        ]
        now = seen.now + timedelta(seconds=now_s - read_s)
        check = credentials_check(found, now=now, accounts=len(seen.credentials))
        return CredentialsAnswer(check, tuple(worst_first(found)))

    def _count(self, answers: Mapping[str, CredentialsAnswer]) -> None:
        for name, provider in CREDENTIALS.items():
            counts = Counter(each.found.status for each in answers[name].credentials)
            for status in CredentialStatus:
                GAUGE.labels(provider=provider, status=status.value).set(counts[status])
