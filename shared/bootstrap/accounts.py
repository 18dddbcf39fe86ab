"""The accounts file that the settings name, and what the ledger is to know of its accounts."""

from collections.abc import Iterable

from shared.costs.accounts_file import AccountConfig, AccountsFile
from shared.costs.lanes import lane_of
from shared.ledger.accounts import AccountFacts
from shared.settings import Settings


def accounts_file(settings: Settings) -> AccountsFile:
    """The file, not yet read. Without ACCOUNTS_FILE it may be missing: accounts are taken up as soon as it is there."""
    return AccountsFile(settings.accounts_file, may_be_missing=not settings.accounts_file_is_given)


def facts_of(accounts: Iterable[AccountConfig]) -> tuple[AccountFacts, ...]:
    """What the ledger keeps of `accounts`, in their order."""
    return tuple(AccountFacts(one.name, one.provider, one.paused, lane_of(one)) for one in accounts)
