"""The ledger and the providers, as collecting needs them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol
from uuid import UUID

from shared.core.costs import FetchedCosts
from shared.core.errors import ProviderError
from shared.core.runs import RetryPolicy, Run, RunReady
from shared.costs.accounts_file import AccountConfig
from shared.costs.provider import CostProvider, provider_for
from shared.ledger import claims, meta
from shared.ledger.claims import Claim
from shared.ledger.database import Database
from shared.ledger.dispatch import hints_gone
from shared.ledger.store import Stored, store


@dataclass
class DatabaseLedger:
    """The ledger in the database; `holder` names this process there."""

    db: Database
    holder: str
    # Accounts that had a run claimed here without a hint since all others that wait had one.
    _served: set[str] = field(default_factory=set)

    @cached_property
    def _id(self) -> UUID:
        return meta.ledger_id(self.db)

    def ledger_id(self) -> UUID:
        """The ledger whose hints are meant for this installation; it never changes."""
        return self._id

    def claim(self, ready: RunReady) -> Claim | None:
        """Make the run ours; None when the hint is stale."""
        return claims.claim(self.db, ready, holder=self.holder)

    def claim_next(self) -> Claim | None:
        """Make the most urgent due run ours, of each account in turn; None when there is none. For one thread."""
        claim = claims.claim_next_due(self.db, holder=self.holder, served=self._served)
        if claim is None or claim.run.account in self._served:
            self._served.clear()
        if claim is not None:
            self._served.add(claim.run.account)
        return claim

    def hints_gone(self) -> None:
        """Have the hints of all queued runs sent again: a worker process before this one may have died with some."""
        hints_gone(self.db)

    def renew(self, held: list[Claim]) -> Iterable[int]:
        """Raise the runs' beats; which of them are still ours."""
        return claims.renew(self.db, held)

    def store(self, claim: Claim, fetched: FetchedCosts) -> Stored | None:
        """Store the costs and end the run; what became of them, None when the run is no longer ours."""
        return store(self.db, claim, fetched)

    def fail(self, claim: Claim, error: ProviderError, policy: RetryPolicy) -> Run | None:
        """End the attempt; the run as it stands then, None when it is no longer ours."""
        return claims.fail_attempt(self.db, claim, error, policy)

    def hand_back(self, claim: Claim) -> bool:
        """Give the run back, to be tried again at once."""
        return claims.hand_back(self.db, claim)


class Accounts(Protocol):
    """The accounts file, re-read when it changes."""

    def current(self) -> Iterable[AccountConfig]:
        """The accounts as the file has them now."""


@dataclass(frozen=True)
class Fetcher:
    """Fetches a run's costs from the provider that its account names."""

    accounts: Accounts
    provider_of: Callable[[AccountConfig], CostProvider] = provider_for

    def __call__(self, run: Run) -> FetchedCosts:
        """Raises ProviderError, permanent when the account is no longer configured."""
        for account in self.accounts.current():
            if account.name == run.account:
                return self.provider_of(account).fetch(run.days)
        raise ProviderError(
            code="ACCOUNT_NOT_CONFIGURED",
            summary=f"Account '{run.account}' is not in the accounts file any more",
            hint="Add the account again and ask for the run anew, or leave it: what was stored stays",
            permanent=True,
        )
