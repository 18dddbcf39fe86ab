"""The accounts file that the settings name."""

from shared.costs.accounts_file import AccountsFile
from shared.settings import Settings


def accounts_file(settings: Settings) -> AccountsFile:
    """The file, not yet read. Without ACCOUNTS_FILE it may be missing: accounts are taken up as soon as it is there."""
    return AccountsFile(settings.accounts_file, may_be_missing=not settings.accounts_file_is_given)
